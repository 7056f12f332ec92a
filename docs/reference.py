"The pages of the reference: what each notebook exports, with its docstring, an example that runs, and its lesson."
import importlib
import re
from pathlib import Path
from textwrap import indent

MODULES = list(importlib.import_module("dotseg._modidx").d["syms"])
EXAMPLES = Path(__file__).parent / "examples"  # made by tools/examples.py
REFERENCE = """# The library, module by module

What each notebook exports. `import dotseg` gives the few names that most programs need: `Segmenter`, `refine`, the measures
`optimal_path`, `maximum_velocity` and `kl_discrepancy`, and what they are made of.

```{toctree}
:maxdepth: 1

"""


def public(module):
    "The public objects of a module by name, in the order of its notebook."
    module = importlib.import_module(module)
    return {name: getattr(module, name) for name in module.__all__}


def linkable(modules):
    "Name -> full name of what backticks lead to: functions and classes, but not the steps of training or the command line."
    found = {}
    for module in modules:
        if module not in ("dotseg.app.command_line", "dotseg.miniature.training"):
            found |= {name: f"{module}.{name}" for name, thing in public(module).items() if callable(thing)}
    return found


def read_examples(module):
    "The examples of a module by the name that they show: `# %% name, another`, then code."
    file = EXAMPLES / f"{module.removeprefix('dotseg.')}.py"
    parts = re.split(r"^# %% ([\w, ]+)\n", file.read_text(), flags=re.M)[1:] if file.exists() else []
    return {name: code.strip() for names, code in zip(parts[::2], parts[1::2]) for name in names.split(", ")}


def entry(name, thing):
    "The directives of one name."
    if isinstance(thing, type):
        return [f".. autoclass:: {name}", "   :members:", ""]
    if callable(thing):
        return [f".. autofunction:: {name}", ""]
    return [f".. autodata:: {name}", "   :no-value:" if len(repr(thing)) > 80 else "", ""]


def example(code, lesson, pictures):
    "An example with links to the lesson and to the figures that were made with the name; pages as (path, title)."
    links = [f"Lesson: :doc:`{lesson[1]} </{lesson[0]}>`", *([f"figures: {', '.join(f':doc:`{title} </{page}>`' for page, title in pictures)}"] if pictures else [])]
    block = [".. code-block:: python", "", indent(code, "   "), ""] if code else []
    return [".. container:: example", "", indent("; ".join(links) + ".", "   "), "", indent("\n".join(block), "   "), ""]


def reference(module, notebook, lesson, thumbnail, pictures):
    "The page of one module. `notebook` and `lesson` are (path, title), `pictures` gives the pages whose figures use a name."
    folder, examples = importlib.import_module(module), read_examples(module)
    lines = [f"# {module}", "", "{.lead}", folder.__doc__.strip(), "", "{.notebook}"]
    lines += [f"[Read the source](SOURCE/{module.replace('.', '/')}.py), or the notebook that it is written in: [{notebook[1]}](../{notebook[0]}.ipynb)", ""]
    lines += [f"{{.thumbnail}}\n[![{thumbnail[1]}](../{thumbnail[0]})](../{notebook[0]}.ipynb)", ""] if thumbnail else []
    lines += ["```{eval-rst}", f".. py:module:: {module}", ""]
    for name, thing in public(module).items():
        lines += [*entry(name, thing), *example(examples.get(name), lesson, [page for page in pictures.get(name, []) if page not in (lesson, notebook)][:3])]
    return "\n".join([*lines, "```", ""])

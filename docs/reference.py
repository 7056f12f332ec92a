"The pages of the reference: what each notebook exports, with its docstring, an example that runs, and its lesson."
import importlib
import re
from pathlib import Path

MODULES = list(importlib.import_module("dotseg._modidx").d["syms"])
EXAMPLES = Path(__file__).parent / "examples"


def public(module):
    "The public objects of a module by name, in the order of its notebook."
    module = importlib.import_module(module)
    return {name: getattr(module, name) for name in module.__all__}


def read_examples(module):
    "The examples of a module by the name that they show: `# %% name`, then code."
    file = EXAMPLES / f"{module.removeprefix('dotseg.')}.py"
    parts = re.split(r"^# %% (\w+)\n", file.read_text(), flags=re.M)[1:] if file.exists() else []
    return {name: code.strip() for name, code in zip(parts[::2], parts[1::2])}

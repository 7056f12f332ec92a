import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import dotseg

PACKAGE = Path(dotseg.__file__).parent
CORE = ("core", "sinkhorn", "logits", "attention", "path", "velocity", "jbu", "refine")
HEAVY = {"open_clip", "diffusers", "transformers", "matplotlib", "colorcet", "torchvision", "safetensors", "huggingface_hub", "pycocotools", "ray"}  # inside functions only
# A module imports only from those above it, and of other libraries only what stands beside it.
LAYERS = {
    "jbu_triton": {"torch", "triton"},  # what jbu calls on a GPU
    **{name: {"torch"} for name in CORE},
    "plot": {"torch", "numpy", "PIL", "matplotlib", "colorcet"},
    "picturebook": {"numpy", "PIL"},
    "images": {"torch", "numpy", "PIL"},
    "checkpoints": {"torch", "huggingface_hub"},
    "prompts": {"torch", "open_clip"},
    "clip": {"torch", "open_clip", "safetensors"},
    "diffusion": {"torch", "diffusers", "transformers"},
    "dino": {"torch", "transformers"},
    "miniature": {"torch", "open_clip", "diffusers", "safetensors"},
    "training": {"torch", "numpy", "open_clip", "diffusers", "safetensors", "tqdm"},
    "presets": {"torch", "open_clip", "diffusers", "transformers"},
    "segmenter": {"torch", "numpy", "PIL"},
    "metrics": {"torch", "matplotlib"},
    "profile": {"torch"},
    "datasets": {"numpy", "PIL"},
    "prepare": {"numpy", "PIL", "tqdm", "pycocotools"},
    "protocol": {"torch", "numpy", "PIL"},
    "evaluate": {"torch", "numpy", "tqdm"},
    "methods": {"torch", "tqdm"},
    "cli": {"dotseg", "PIL", "tqdm"},  # the package itself, whose names are imported when they are used
    "distribute": {"ray"},
    "explore": {"torch", "numpy", "PIL", "matplotlib", "ipywidgets", "anywidget", "traitlets"},
}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_"))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def brings(code):
    "What is imported by a piece of code besides the standard library: the outermost packages."
    code = f"import sys; before = set(sys.modules); {code}\nprint(*sorted({{m.partition('.')[0] for m in set(sys.modules) - before}} - sys.stdlib_module_names))"
    return python(code).splitlines()[-1].split()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["segment", "--help"], ["evaluate", "-h"], ["paint"], ["segment", "a.png", "--clases", "sky"], ["segment", "a.png", "--classes", "sky"]])
def test_help_and_slips_wait_for_no_library(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert brings(f"import contextlib, dotseg.cli\nwith contextlib.suppress(SystemExit): dotseg.cli.main({words})") == ["dotseg", "lazy_loader"]


def test_import_dotseg_is_light():
    assert brings("import dotseg; dotseg.__version__; dir(dotseg)") == ["dotseg", "lazy_loader"]
    names = [name for name in dotseg.__all__ if name != "Explorer"]
    assert python(f"import sys; from dotseg import {', '.join(names)}; print(sorted({HEAVY} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("first", [
    "import dotseg", "import dotseg.segmenter", "import dotseg.refine, dotseg.sinkhorn", "from dotseg.refine import discrepancy; from dotseg.sinkhorn import Scaling",
    "import dotseg; dotseg.optimal_path", "import dotseg; dotseg.sinkhorn; import dotseg.refine", "from dotseg import *", "from dotseg import Explorer",
])
def test_a_function_is_not_hidden_by_the_module_of_its_name(first):
    code = f"""
{first}
import dotseg, inspect, pickle
from dotseg import refine, sinkhorn
for name, function in (("refine", refine), ("sinkhorn", sinkhorn)):
    assert function is getattr(dotseg, name) is pickle.loads(pickle.dumps(function)) and inspect.getsource(function).startswith(f"def {{name}}(")
"""
    python(code)


def test_the_core_needs_nothing_but_torch():
    "Whatever is None in sys.modules cannot be imported."
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY | {"PIL"}}))
for name in {CORE}:
    __import__("dotseg." + name)
print(sorted(name.partition(".")[2] for name in sys.modules if name.startswith("dotseg.")))
"""
    assert python(code) == str(sorted(CORE))


def imports(tree):  # (module imported, is it done when the file is imported?)
    outside = {id(inner) for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda)) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"dotseg.{node.module}"] if node.module else [f"dotseg.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        yield from ((name, id(node) not in outside) for name in names)


@pytest.mark.parametrize("module", MODULES)
def test_layers(module):
    assert module in LAYERS, f"give {module} its place in LAYERS"
    above = list(LAYERS)[: list(LAYERS).index(module)]
    for name, at_once in imports(ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))):
        library, _, inner = name.partition(".")
        if library == "dotseg" and inner:
            assert inner.split(".")[0] in [*above, "__version__"], f"{module} imports {name}, which is not above it"
        elif library not in sys.stdlib_module_names:
            assert library in LAYERS[module], f"{module} imports {library}"
            assert not at_once or library not in HEAVY or module in ("training", "explore"), f"{module}: import {library} inside the function"


@pytest.mark.parametrize("name", dotseg.__all__)
def test_public_names_exist_and_say_what_they_are(name):
    value = getattr(dotseg, name)
    if not callable(value):
        return
    text = inspect.getdoc(value) or ""
    assert text and not text.startswith(f"{name}("), f"{name} has no docstring of its own"


@pytest.mark.parametrize("module", MODULES)
def test_exported_modules_say_what_they_are(module):
    assert ast.get_docstring(ast.parse((PACKAGE / f"{module}.py").read_text("utf-8")))

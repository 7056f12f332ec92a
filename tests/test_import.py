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
    "cli": {"PIL", "tqdm"},
    "distribute": {"ray"},
    "explore": {"torch", "numpy", "PIL", "matplotlib", "ipywidgets", "anywidget", "traitlets"},
}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_"))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_dotseg_is_light():
    assert python(f"import sys, dotseg; print(sorted({HEAVY} & set(sys.modules)))") == "[]"


def test_the_core_needs_nothing_but_torch():
    """Without the package's own `__init__`, which brings the segmenter and with it PIL; whatever is None in sys.modules cannot be imported."""
    code = f"""
import sys, types
sys.modules.update(dict.fromkeys({HEAVY | {"PIL"}}))
package = types.ModuleType("dotseg")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["dotseg"] = package
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
        if library == "dotseg":
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

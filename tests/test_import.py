import ast
import graphlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import dotseg

PACKAGE = Path(dotseg.__file__).parent
HEAVY = {"open_clip", "diffusers", "transformers", "matplotlib", "colorcet", "torchvision", "safetensors", "huggingface_hub", "pycocotools", "ray", "cv2", "av", "supervision", "pillow_heif"}  # inside functions only
# A wing imports only from those above it, and of other libraries only what stands beside it.
WINGS = {
    "method": {"torch"},
    "models": {"torch", "open_clip", "diffusers", "transformers", "safetensors", "huggingface_hub"},
    "miniature": {"torch", "numpy", "PIL", "open_clip", "diffusers", "safetensors", "tqdm"},
    "figures": {"torch", "numpy", "PIL", "matplotlib", "colorcet"},
    "segmentation": {"torch", "numpy", "PIL", "open_clip", "diffusers", "transformers", "filelock"},
    "evaluation": {"torch", "numpy", "PIL", "tqdm", "matplotlib", "pycocotools"},
    "app": {"torch", "numpy", "PIL", "tqdm", "matplotlib", "ipywidgets", "anywidget", "traitlets", "ray"},
}
ALSO = {"method.upsampling_triton": {"triton"}, "figures.plots": {"IPython"}}  # of single modules
EAGER = ("miniature.training", "app.explorer")  # may import what is heavy at once: nobody imports them by the way
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in PACKAGE.rglob("*.py") if not path.stem.startswith("_"))
METHOD = [name for name in MODULES if name.startswith("method.") and name != "method.upsampling_triton"]


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
    assert brings(f"import contextlib, dotseg.app.command_line\nwith contextlib.suppress(SystemExit): dotseg.app.command_line.main({words})") == ["dotseg", "lazy_loader"]


def test_import_dotseg_is_light():
    assert brings("import dotseg; dotseg.__version__; dir(dotseg)") == ["dotseg", "lazy_loader"]
    names = [name for name in dotseg.__all__ if name != "Explorer"]
    assert python(f"import sys; from dotseg import {', '.join(names)}; print(sorted({HEAVY} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("first", [
    "import dotseg", "import dotseg.segmentation.segmenter", "import dotseg.method.refine, dotseg.method.sinkhorn", "import dotseg.method.refine as r; r.DiscrepancyConfig",
    "import dotseg; dotseg.optimal_path", "import dotseg; dotseg.sinkhorn; import dotseg.method.refine", "from dotseg import *", "from dotseg import Explorer",
])
def test_functions_and_modules_of_one_name_live_side_by_side(first):
    code = f"""
{first}
import dotseg, inspect, pickle
from dotseg import refine, sinkhorn
import dotseg.method.refine, dotseg.method.sinkhorn
for name, function in (("refine", refine), ("sinkhorn", sinkhorn)):
    assert function is getattr(dotseg, name) is pickle.loads(pickle.dumps(function)) and inspect.getsource(function).startswith(f"def {{name}}(")
    assert inspect.ismodule(getattr(dotseg.method, name))
"""
    python(code)


def test_the_method_needs_nothing_but_torch():
    "Whatever is None in sys.modules cannot be imported."
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY | {"PIL"}}))
for name in {METHOD}:
    __import__("dotseg." + name)
print(sorted(name.removeprefix("dotseg.") for name in sys.modules if name.startswith("dotseg.") and name.count(".") == 2))
"""
    assert python(code) == str(sorted(METHOD))


def imports(module):
    "What a module of the package imports, by full name, and whether that happens as soon as it is imported itself."
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    package = ["dotseg", *module.split(".")[:-1]]
    inside = {id(inner) for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda)) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level]
            names = [".".join([*base, node.module])] if node.module else [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        yield from ((name, id(node) not in inside) for name in names)


@pytest.mark.parametrize("module", MODULES)
def test_no_import_leads_upwards(module):
    wing = module.partition(".")[0]
    if wing == module:  # beside the wings, for all of them
        assert all(name.partition(".")[0] in sys.stdlib_module_names for name, _ in imports(module))
        return
    assert wing in WINGS, f"give {wing} its place in WINGS"
    below = list(WINGS)[list(WINGS).index(wing) + 1 :]
    for name, at_once in imports(module):
        library, _, inner = name.partition(".")
        if library == "dotseg":
            assert inner.partition(".")[0] not in below, f"{module} imports {name}, which is not above it"
        elif library not in sys.stdlib_module_names:
            assert library in WINGS[wing] | ALSO.get(module, set()), f"{module} imports {library}"
            assert not at_once or library not in HEAVY or module in EAGER, f"{module}: import {library} inside the function"


def test_no_imports_in_a_circle():
    needs = {module: {name.removeprefix("dotseg.") for name, _ in imports(module)} & set(MODULES) for module in MODULES}
    graphlib.TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("name", dotseg.__all__)
def test_public_names_exist_and_say_what_they_are(name):
    value = getattr(dotseg, name)
    if not callable(value):
        return
    text = inspect.getdoc(value) or ""
    assert text and not text.startswith(f"{name}("), f"{name} has no docstring of its own"


@pytest.mark.parametrize("module", MODULES)
def test_exported_modules_say_what_they_are(module):
    assert ast.get_docstring(ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8")))


@pytest.mark.parametrize("name", [
    "Segmenter", "refine", "sinkhorn", "doubly_stochastic", "optimal_path", "maximum_velocity", "kl_discrepancy", "joint_bilateral_upsample", "reject_early", "suppress_non_maxima",
    "resize_attention", "AttentionSource", "LogitSource", "draw_scene", "CLASSES", "Explorer",
])
def test_what_other_people_call_is_on_the_face(name):
    assert name in dotseg.__all__ and getattr(dotseg, name) is not None


def test_the_arguments_that_other_people_give():
    wanted = {
        "sinkhorn": ["cost", "a", "b", "eps", "n_iters"], "doubly_stochastic": ["attention", "n_iters"], "optimal_path": ["f", "attention", "eps", "n_iters", "reading"],
        "maximum_velocity": ["f", "attention", "tau", "ipf_iters"], "kl_discrepancy": ["f"], "reject_early": ["logits"], "suppress_non_maxima": ["logits", "threshold", "scale"],
        "joint_bilateral_upsample": ["maps", "image", "sigma_s2", "sigma_r2", "radius"], "refine": ["logits", "attention", "image", "config"], "draw_scene": ["seed", "size"],
        "resize_attention": ["attention", "from_grid", "to_grid"],
    }
    for name, arguments in wanted.items():
        assert list(inspect.signature(getattr(dotseg, name)).parameters)[: len(arguments)] == arguments

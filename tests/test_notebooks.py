"What holds for every notebook: a skipped cell leaves no state, and one number stands for one notebook."
import ast
import base64
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "nbs").rglob("[!._]*.ipynb"))
FLAG = re.compile(r"^#\|\s*(slow|cuda|weights|eval:\s*false)", re.M)


def names(source):
    "Names that a cell reads, and those that it binds at its top level."
    tree = ast.parse("\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))))
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bound = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        else:
            bound |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
    return read, bound


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT / "nbs").as_posix())
def test_a_cell_that_is_skipped_leaves_no_state(path):
    always, skipped = set(dir(__builtins__)), set()
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code":
            continue
        read, bound = names(cell.source)
        if FLAG.search(cell.source):
            skipped |= bound - always
        else:
            missing = (read & skipped) - bound
            assert not missing, f"{sorted(missing)} come from cells that are not always run; needed by:\n{cell.source[:300]}"
            always |= bound
            skipped -= bound


def test_one_number_one_notebook():
    numbers = Counter((path.parent.name, path.name[:2]) for path in NOTEBOOKS if path.name[:2].isdigit())
    assert {where: count for where, count in numbers.items() if count > 1} == {}


def test_notebooks_and_modules_have_the_same_folders():
    for path in NOTEBOOKS:
        found = re.search(r"#\| default_exp (\w+)\.(\w+)", path.read_text("utf-8"))
        if found:
            assert path.parent.name == found[1] and path.stem[3:] == found[2], path


def test_stored_figures_are_small():
    sizes = {}
    for path in NOTEBOOKS:
        for i, cell in enumerate(nbformat.read(path, 4).cells):
            for data in (out.get("data", {}) for out in cell.get("outputs", [])):
                if "image/png" in data:
                    sizes[f"{path.parent.name}/{path.name} {i}"] = len(base64.b64decode(data["image/png"]))
    assert sizes and {place: size for place, size in sizes.items() if size > 150_000} == {}


def test_a_run_stores_figures_at_double_density(tmp_path):
    source = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.subplots(figsize=(2, 1));"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), tmp_path / "one.ipynb")
    subprocess.run([sys.executable, ROOT / "tools" / "execute.py", tmp_path / "one.ipynb"], check=True, capture_output=True)
    (out,) = nbformat.read(tmp_path / "one.ipynb", 4).cells[0].outputs
    width = int.from_bytes(base64.b64decode(out.data["image/png"])[16:20], "big")
    assert 0 <= width - 2 * out.metadata["image/png"]["width"] <= 1

"Which code the site folds, and under which line."
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "docs"))
pytest.importorskip("nbformat")
from folds import fold  # noqa: E402

NAMES = {"sinkhorn": "dotseg.method.sinkhorn.sinkhorn", "refine": "dotseg.method.refine.refine"}
PICTURE, PRINTED = [{"output_type": "display_data", "data": {"image/png": ""}}], [{"output_type": "stream", "text": "1"}]
EXPORT = {"export": ""}


def folded(source, outputs=(), found=None, page="method/01_sinkhorn"):
    return fold(page, found or {}, source, outputs, NAMES, "By hand")


@pytest.mark.parametrize("source, line", [
    ("def sinkhorn(a):\n    return a", "Library code: `sinkhorn`"),
    ("def _part(a):\n    return a\n\ndef sinkhorn(a):\n    return a", "Library code: `sinkhorn`"),
    ("def _part(a):\n    return a", "Library code: `_part`"),
    ("A = B = 1\nC: int = 2", "Library code: `A`, `B`, `C`"),
    ("import torch", "Library code: what it imports"),
    ("a = b = c = d = e = 1", "Library code: `a`, `b`, `c`, `d` and others"),
])
def test_exported_code_is_folded_under_what_it_defines(source, line):
    assert folded(source, found=EXPORT) == line


@pytest.mark.parametrize("source, line", [
    ("assert_close(sinkhorn(a), refine(b))", "Check: `sinkhorn`, `refine`"),
    ("for x in y:\n    assert sinkhorn(x)\nprint('all')", "Check: `sinkhorn`"),
    ("with expect_fail(ValueError):\n    dotseg.sinkhorn(1)", "Check: errors of `sinkhorn`"),
    ("test_eq(1, 1)", "Check: By hand"),
    ("%timeit 1\nassert sinkhorn(2)", "Check: `sinkhorn`"),
])
def test_a_cell_that_ends_in_an_assertion_is_folded(source, line):
    assert folded(source, PRINTED) == line


@pytest.mark.parametrize("source, outputs", [
    ("mu = a / b", []),
    ("assert mu > 0\nmu", PRINTED),  # it ends by showing something
    ("mu = a\nassert mu > 0", PICTURE),
    ("def agrees(x):\n    assert x", []),
])
def test_the_code_of_the_board_is_shown(source, outputs):
    assert folded(source, outputs) is None


@pytest.mark.parametrize("page", ["index", "howto/folder", "tutorials/methods"])
def test_what_a_user_types_is_shown(page):
    assert folded("assert sinkhorn(1)", page=page) is None


def test_a_cell_decides_for_itself():
    assert folded("assert 1", found={"code-fold": "false"}) is None
    assert folded("def f(): pass", found=EXPORT | {"code-fold": "false"}) is None
    assert folded("mu = 1", found={"code-fold": "true"}) == "Code"
    answer = {"code-fold": "true", "code-summary": '"Answer to 2"'}
    assert folded("mu = 1", found=answer) == folded("assert mu", found=answer) == "Answer to 2"
    assert folded("mu = 1", found=answer, page="index") == "Answer to 2"
    assert folded("def f(): pass", found=EXPORT | {"code-summary": "'The same, faster'"}) == "The same, faster"

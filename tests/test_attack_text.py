"Names of files and classes come from anywhere: whatever is in them, they are text wherever they are shown or written, and nothing else."
import ast
import csv
import html.parser
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from dotseg import Explorer, Segmenter
from dotseg.app.inspection import inspection_page
from dotseg.evaluation.reports import class_report, plot_classes, report_csv, report_text
from dotseg.figures.panels import legend, strip, tile
from dotseg.figures.plots import show_labels, show_maps
from dotseg.figures.viewers import scrub
from dotseg.method.errors import DotsegError, plain
from dotseg.method.refine import DiscrepancyConfig
from dotseg.models.prompts import check_classes
from dotseg.segmentation.images import load_image

NAMES = {
    "markup": "<script>alert(1)</script>", "picture": "<img src=x onerror=alert(1)>", "attribute": "\" onmouseover=\"alert(1)", "quotes": "'\"`", "entity": "&lt;b&gt;", "comment": "<!-- ",
    "clear": "\x1b[2J\x1b[31mred", "title": "\x1b]0;owned\x07", "c1": "\x9b31mred", "bell": "a\x07\x08b", "line": "one\ntwo", "return": "sky\rgrass", "separator": "a\u2028b", "null": "a\x00b",
    "bidi": "\u202egpj.exe", "isolate": "\u2066a\u2069", "surrogate": "a\udcffb", "maths": "$x^2$", "broken maths": "$\\frac$", "dollar": "$", "underscore": "_hidden",
    "formula": "=1+1", "plus": "+1", "minus": "-1", "at": "@sum(a1)", "tab": "\t=1", "python": "'); import os; os.abort() #", "format": "{x}%s%n", "template": "$key ${label}",
}
TERMINAL = ["clear", "title", "c1", "bell", "line", "return", "separator", "null", "bidi", "isolate", "surrogate"]


def params(names=NAMES):
    return pytest.mark.parametrize("name", [NAMES[key] for key in names], ids=list(names))


class Elements(html.parser.HTMLParser):
    "The tags and attributes of a page; what is text counts for nothing."

    def __init__(self, page):
        super().__init__()
        self.found, self.handlers = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def same_elements(page, of_a_plain_name):
    a, b = Elements(page), Elements(of_a_plain_name)
    assert a.found == b.found and a.handlers == b.handlers == []


def harmless(text):
    assert all(c.isprintable() or c in "\n\u00a0\u3000" for c in text)
    text.encode("utf-8")


@pytest.fixture(scope="module")
def page():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def segmenter():
    "One that knows every name: a patch is of the class whose number its red is nearest to."

    def logits(images, classes):
        red = torch.nn.functional.adaptive_avg_pool2d(images, 4)[:, 0]
        return torch.stack([-(red * 3 - c).abs() for c in range(len(classes))], 1)

    def attention(images, grid):
        n = grid[0] * grid[1]
        return torch.full((len(images), n, n), 1 / n) + torch.eye(n)

    return Segmenter(logits, attention, DiscrepancyConfig(mode="path"))


# terminals

@params()
def test_plain_text_and_errors_reach_a_terminal_as_text(name):
    harmless(plain(name))
    assert "\n" not in plain(name) and plain(plain(name)) == plain(name)
    harmless(str(DotsegError(f"file: {name}: no such file\nlook elsewhere")))
    with pytest.raises(DotsegError) as error:
        check_classes([name, name])
    harmless(str(error.value))
    if "\0" not in name:
        with pytest.raises(DotsegError) as error:
            load_image(f"{name.replace('/', '')}.png")
        harmless(str(error.value))


@params(TERMINAL)
def test_a_report_is_text(name):
    text = report_text(class_report(torch.eye(2).long(), [name, "b"]))
    harmless(text)
    assert len(text.splitlines()) == len(report_text(class_report(torch.eye(2).long(), ["a", "b"])).splitlines())


# pages

PAGES = ["markup", "picture", "attribute", "quotes", "entity", "comment", "template", "format", "null", "surrogate"]


@params()
def test_panels_hold_names_as_text(page, name):
    for make in (lambda n: tile(page, n, n), lambda n: strip(n, torch.zeros(1, 2, 2), [n]), lambda n: legend({n: 1.0}, [n]), lambda n: scrub([page, page], [n, n], n).html):
        same_elements(make(name), make("plain"))


@params(PAGES)
def test_a_segmentation_shows_names_as_text(segmenter, page, name):
    show = lambda n: segmenter(page, [n, "b"])._repr_html_()
    same_elements(show(name), show("plain"))


@params(PAGES)
def test_a_page_about_an_image_shows_names_as_text(segmenter, page, name):
    make = lambda n: inspection_page(segmenter, page, [n, "b"], title=n)
    same_elements(make(name), make("plain"))
    assert re.search(r"<script>alert|<img src=x", make(name)) is None


@params(["markup", "attribute", "python", "maths", "bidi"])
def test_the_explorer_shows_and_exports_names_as_text(segmenter, page, name, tmp_path):
    def panels(n):
        made = Explorer(segmenter, page, [n, "b"])
        return made, "".join(getattr(made, part).value for part in ("message", "labels", "maps", "attention", "lines"))

    (made, shown), (_, usual) = panels(name), panels("plain")
    same_elements(shown, usual)
    called = [node for node in ast.walk(ast.parse(made.python())) if isinstance(node, ast.Call)]
    assert {node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id for node in called} <= {"segmenter", "DiscrepancyConfig", "OptimalPath"}
    assert name in {node.value for node in ast.walk(ast.parse(made.python())) if isinstance(node, ast.Constant)}


# figures and tables

@params(["broken maths", "dollar", "underscore", "line", "surrogate"])
def test_figures_show_names_as_text(page, name):
    labels = np.arange(24 * 32).reshape(24, 32) % 2
    shown = show_labels(page, {name: labels}, [name, "b"])
    assert [text.get_text() for text in shown.legends[0].get_texts()] == [plain(name), "b"]
    figures = [shown, show_maps(np.zeros((1, 2, 2)), [name]), plot_classes(class_report(torch.eye(2).long(), [name, "b"]))]
    for figure in figures:
        figure.savefig(io.BytesIO())


@params()
def test_cells_of_a_table_are_no_formulas(name):
    lines = list(csv.DictReader(io.StringIO(report_csv(class_report(torch.eye(2).long(), [name, "b"])), newline="")))
    assert len(lines) == 2 and lines[0]["class"] in (plain(name), f"'{plain(name)}")
    assert not lines[0]["class"].startswith(("=", "+", "-", "@", "\t", "\r"))


# files

@params([key for key in NAMES if key not in ("null", "surrogate")])
def test_no_class_leads_a_mask_out_of_its_folder(segmenter, page, name, tmp_path):
    for odd in (name, f"../{name}", f"/{name}", "..", "a/../../../b"):
        segmenter(page, [odd, "b"]).save(tmp_path / "in/out", "mask", ["palette", "binary", "coco", "labelme"])
    assert {path.name for path in tmp_path.iterdir()} == {"in"} and {path.name for path in (tmp_path / "in").iterdir()} == {"out"}
    assert (tmp_path / "in/out/classes.txt").read_text("utf-8").count("\n") == 2


def test_a_picture_with_text_in_it_is_a_picture(page, tmp_path):
    "What a file says about itself is not shown."
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("Title", NAMES["markup"])
    Image.fromarray(page).save(tmp_path / "a.png", pnginfo=notes)
    assert np.array_equal(load_image(tmp_path / "a.png"), page)

"The page \"From the paper to the code\": its links lead somewhere, its names exist, and its figures are those of the pages that it names."
import importlib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1] / "nbs" / "tutorials"
TEXT = "\n".join(cell.source for cell in nbformat.read(ROOT / "paper.ipynb", 4).cells)
ROWS = [line for line in TEXT.splitlines() if line.startswith("|") and "](" in line]
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:]+\.ipynb)\)")
NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+|e-\d+)(?:e-\d+)?(?![\w.])")


def said(path):
    "The prose and the outputs of a notebook as one text."
    parts = []
    for cell in nbformat.read(path, 4).cells:
        parts += [cell.source] if cell.cell_type == "markdown" else []
        shown = [(out, out.get("data", {})) for out in cell.get("outputs", [])]
        parts += [out.get("text", "") or str(data.get("text/markdown") or data.get("text/plain", "")) for out, data in shown]
    return "\n".join(parts)


def test_links_exist():
    targets = {target for _, target in LINK.findall(TEXT)}
    assert len(targets) > 15
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_names_exist():
    public = {name for module in importlib.import_module("dotseg._modidx").d["syms"] for name in importlib.import_module(module).__all__}
    names = set(re.findall(r"`(\w+)`", TEXT))
    assert len(names) > 20 and names <= public, names - public


@pytest.mark.parametrize("row", [row for row in ROWS if NUMBER.search(row.rsplit("|", 2)[1])], ids=lambda row: row.split("|")[1].strip())
def test_a_figure_stands_on_a_page_of_its_row(row):
    measured = LINK.sub("", row.rsplit("|", 2)[1])
    texts = "\n".join(said(ROOT / target) for _, target in LINK.findall(row))
    for number in NUMBER.findall(measured):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", texts), f"{number} stands on no page of the row: {row}"


def test_every_equation_and_line_has_its_row():
    told = set()
    for row in ROWS:
        first, last = (re.findall(r"\d+", row.split("|")[1]) or ["0"])[0], (re.findall(r"\d+", row.split("|")[1]) or ["0"])[-1]
        told |= set(range(int(first), int(last) + 1)) if not re.search("Table|Figure", row.split("|")[1]) else set()
    assert told >= {*range(1, 9), *range(13, 24)}
    figures = " ".join(row.split("|")[1] for row in ROWS)
    assert all(name in figures for name in ("Table 4", "Figure 6", "Figures 7 to 10", "Figure 11", "Figure 12"))

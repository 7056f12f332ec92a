"Sphinx extension: a folded cell is a plain `details` whose summary is read as it stands (that of myst-nb is named \"Toggle hidden content\")."
import re
from html import escape

from myst_nb.sphinx_ import HideCodeCellNode, depart_HideCellInput


def visit(self, node):
    kind = "answer" if node["prompt_show"].startswith("Answer") else "fold"
    summary = re.sub("`([^`]+)`", r"<code>\1</code>", escape(node["prompt_show"], quote=False))
    self.body.append(f'<details class="{kind}"><summary>{summary}</summary>\n')


def setup(app):
    app.add_node(HideCodeCellNode, override=True, html=(visit, depart_HideCellInput))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

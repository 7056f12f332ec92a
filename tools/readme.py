"""Write README.md from nbs/index.ipynb: Markdown as it is, code fenced, text outputs quoted, figures saved beside the notebook.

`nbdev_readme` does this with Quarto; this script needs nothing but nbformat.
"""
import base64
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "nbs" / "images"


def hidden(source):
    return re.search(r"^\s*#\|\s*(hide|default_exp|export)\b", source, re.M)


def figure(output, number):
    "Save a PNG output under nbs/images and return the Markdown that shows it."
    path = FIGURES / f"index-{number}.png"
    FIGURES.mkdir(exist_ok=True)
    data = base64.b64decode(output.data["image/png"])
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
    return f"![{output.metadata.get('alt', 'figure')}]({path.relative_to(ROOT).as_posix()})\n"


def blocks(nb):
    number = 0
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            yield re.sub(r"\]\((?!https?:|#|\.\./)([^)]+)\)", r"](nbs/\1)", cell.source).replace("](../", "](") + "\n"
            continue
        if hidden(cell.source):
            continue
        echo = not re.search(r"^#\|\s*echo:\s*false", cell.source, re.M)
        alt = re.search(r'^#\|\s*fig-alt:\s*"?(.*?)"?$', cell.source, re.M)
        source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip()
        if echo and source:
            yield f"```python\n{source}\n```\n"
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                number += 1
                output.metadata["alt"] = alt[1] if alt else "figure"
                yield figure(output, number)
            elif text := output.get("text") or output.get("data", {}).get("text/plain"):
                yield f"```\n{text.rstrip()}\n```\n"


nb = nbformat.read(ROOT / "nbs" / "index.ipynb", 4)
first, *rest = blocks(nb)
note = "<!-- made from nbs/index.ipynb by tools/readme.py; edit the notebook -->\n"
(ROOT / "README.md").write_text("\n".join([first, note, *rest]))

"""Run notebooks in place and store their outputs: `python tools/execute.py [--slow] nbs/*.ipynb`.

Cells marked `#| eval: false` or with a flag of `tst_flags`, and the closing `nbdev_export()`, are left out, as
`nbdev_test` leaves them out (`jupyter nbconvert --execute` would run them), and keep the outputs they have.
Live widgets are not stored: without a kernel they show nothing.
With `--slow` those marked `#| slow` are run too.
Figures are stored at double density, and at most `MOST` bytes each: a larger one has its colours reduced to 256.
"""
import base64
import io
import re
import sys
import time
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FLAGS = ConfigParser(delimiters=["="])
FLAGS.read(Path(__file__).parent.parent / "settings.ini", encoding="utf-8")
FLAGS = "|".join(flag for flag in FLAGS["DEFAULT"]["tst_flags"].split() if (flag, "--slow") != ("slow", sys.argv[1]))
SKIP = re.compile(rf"^\s*#\|\s*(eval:\s*false|{FLAGS})|nbdev_export\(", re.M)

MOST = 150_000
DENSITY = ["--InlineBackend.figure_formats={'retina'}"]
VIEW = "application/vnd.jupyter.widget-view+json"


class Runner(NotebookClient):
    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if cell.cell_type == "code" and SKIP.search(cell.source):
            cell.execution_count = None
            return cell
        return await super().async_execute_cell(cell, cell_index, **kwargs)


def lighter(png):
    "A picture in base64, in as few bytes as it takes."
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    image.save(file := io.BytesIO(), "PNG", optimize=True)
    if len(file.getvalue()) > MOST:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode() + "\n"


for path in map(Path, [arg for arg in sys.argv[1:] if arg != "--slow"]):
    start, nb = time.time(), nbformat.read(path, 4)
    nb.metadata.pop("widgets", None)
    settings = {"kernel_name": "python3", "extra_arguments": DENSITY, "resources": {"metadata": {"path": str(path.parent)}}}
    Runner(nb, timeout=1800, store_widget_state=False, **settings).execute()
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if VIEW not in o.get("data", {})]
            for data in (o.data for o in cell.outputs if "image/png" in o.get("data", {})):
                data["image/png"] = lighter(data["image/png"])
    nbformat.write(nb, path)
    print(f"{path} {time.time() - start:.1f} s")

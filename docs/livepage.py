"""The live page: its settings, its pages of the picture book, and its modules joined into one script.

A module cannot be imported from a file:// address, and binary files cannot be fetched from one. So the site gets the modules of
docs/live as one classic script, and each page of the picture book as a script that holds its bytes.
"""
import json
import re
import zlib
from base64 import b64encode
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.figures.palette import class_colours
from dotseg.method.measures import MEASURES
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.presets import PRESETS

LIVE = Path(__file__).parent / "live"
MODULES = ["selection", "measures", "pixels", "refine", "data", "state", "draw", "elements", "live", "main"]  # each after those it imports
SIZE, GRID = (128, 128), (16, 16)
NAMES = {"n_iters": "iterations", "ipf_iters": "iterations"}  # what the page calls the settings of a measure


def settings(mode):
    "The preset's settings of a measure under the names of the page."
    measure = PRESETS["picturebook"].settings(mode).mode
    named = lambda values: {NAMES.get(key, key): named(value) if isinstance(value, dict) else value for key, value in values.items()}
    return named(asdict(measure)) | {"ownership": measure.ownership}


def pages():
    "The pages as tools/live_pages.py chose them: seed, title and why."
    return json.loads((LIVE / "pages" / "pages.json").read_text())


def thumbnail(seed):
    "A page in 64 x 64 pixels, as an address that holds the picture."
    file = BytesIO()
    Image.fromarray(unpack((LIVE / "pages" / f"{seed}.bin").read_bytes())[0]).resize((64, 64), Image.Resampling.BOX).save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + b64encode(file.getvalue()).decode()


def manifest():
    "What the script has to know besides the pages' bytes."
    config = PRESETS["picturebook"].config
    colours = ["#" + bytes(colour).hex() for colour in class_colours(len(CLASSES))]
    return {"size": SIZE, "grid": GRID, "classes": CLASSES, "colours": colours, "scale": config.scale, "threshold": config.confidence_threshold,
            "modes": {mode: settings(mode) for mode in MEASURES}, "pages": [page | {"thumb": thumbnail(page["seed"])} for page in pages()]}


def pack(image, truth, logits, attention):
    "A page in bytes: colours as differences along each row, cosines in units of 1/32767, attention in units of 1/255 of its row's maximum."
    across = np.diff(image.astype(np.int16), axis=1, prepend=0).astype(np.uint8)
    share = np.rint(attention / attention.max(1, keepdims=True) * 255).astype(np.uint8)
    parts = [across, truth.astype(np.uint8), np.rint(logits * 32767).astype("<i2"), share]
    return zlib.compress(b"".join(np.ascontiguousarray(part).tobytes() for part in parts), 9)


def unpack(data):
    "What `pack` kept: image (H, W, 3) uint8, truth (H, W), logits (k, h, w) and attention (n, n) in float64."
    (H, W), (h, w), k, n = SIZE, GRID, len(CLASSES), GRID[0] * GRID[1]
    data, at, found = zlib.decompress(data), 0, []
    for shape, dtype in (((H, W, 3), "u1"), ((H, W), "u1"), ((k, h, w), "<i2"), ((n, n), "u1")):
        found.append(np.frombuffer(data, dtype, int(np.prod(shape)), at).reshape(shape))
        at += found[-1].nbytes
    image, truth, logits, attention = found
    return np.cumsum(image, 1, dtype=np.uint8), truth, logits / 32767, attention / 255


def bundle():
    "All modules as one script, without their imports and exports."
    parts = [f"const MANIFEST = {json.dumps(manifest(), separators=(',', ':'))};"]
    for name in MODULES:
        source = (LIVE / f"{name}.js").read_text()
        parts.append(re.sub(r"^export ", "", re.sub(r"^import .*\n", "", source, flags=re.M), flags=re.M))
    names = re.findall(r"^(?:const|let|function\*?|async function|class) (\w+)", "\n".join(parts), re.M)
    if twice := {name for name in names if names.count(name) > 1}:
        raise SystemExit(f"docs/live: {', '.join(sorted(twice))} defined in two modules, which one script cannot hold; rename one")
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();\n"


def build(target):
    "Write the script, the style and the pages under `target`, which becomes a part of _static."
    found = {"live/live.js": bundle(), "live/live.css": (LIVE / "live.css").read_text()}
    for page in pages():
        data = b64encode((LIVE / "pages" / f"{page['seed']}.bin").read_bytes()).decode()
        found[f"live/{page['seed']}.js"] = f'dotsegLive.receive({page["seed"]}, "{data}");\n'
    for path, text in found.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

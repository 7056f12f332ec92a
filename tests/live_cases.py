"The live page against `refine`: states of the explorer, what Python says of them, and the JavaScript that is asked the same."
import math
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from dotseg.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from dotseg.method.refine import discrepancy, refine
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.pipeline import rows_for
from dotseg.segmentation.presets import PRESETS

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS))

import livepage  # noqa: E402

SEEDS = [page["seed"] for page in livepage.pages()]
STATES = [{"mode": mode} for mode in livepage.manifest()["modes"]] + [
    {"mode": "path", "eps": 0.1, "iterations": 7, "reading": "potential"},
    {"mode": "path", "threshold": 0.3, "background": 1},  # supports overlap, and every name is asked for
    {"mode": "path", "threshold": 1, "classes": "sky,grass,ball,fish"},  # nobody is sure: suppression is undone
    {"mode": "velocity", "tau": 0.05, "iterations": 3, "background": 1, "classes": "ball,star,fish"},
    {"mode": "contrast", "eps": 0.1, "background": 1, "classes": "grass,mushroom,kite"},
    {"mode": "fused", "threshold": 0.8, "background": 1, "classes": "sky,snow"},
    {"mode": "vote", "eps": 0.05, "threshold": 0.7, "classes": "kite"},
    {"mode": "logits", "background": 1, "classes": "ball,kite"},
]

# bytes of a page, and states as text -> of each state what the page works out, in JSON
ANSWER = """async ({ manifest, parse, settings, Page, unpack }, bytes, texts) => {
    const page = new Page(await unpack(bytes, manifest));
    return JSON.stringify(texts.map(text => {
        const said = settings(parse(text, manifest), manifest), raw = text.startsWith("mode=logits");
        const found = page.refine(raw ? { ...said, mode: "logits", ownership: manifest.modes.logits.ownership } : said);
        return { kept: found.kept, maps: found.maps.map(map => [...map]), labels: [...found.labels], iou: found.mean, right: found.right };
    }));
}"""


def text(state):
    "A state as it stands in an address."
    return "&".join(f"{key}={value}" for key, value in state.items())


@cache
def inputs(seed):
    "image (3, H, W), truth, logits and attention of a page, as they are stored."
    parts = livepage.unpack((livepage.LIVE / "pages" / f"{seed}.bin").read_bytes())
    image, truth, logits, attention = (torch.tensor(part) for part in parts)
    return image.permute(2, 0, 1).double() / 255, truth.long(), logits, attention


def expected(seed, state, dtype=torch.float64):
    "What the library says: kept rows, maps, labels, mean IoU and the share of right pixels."
    image, truth, logits, attention = (x.to(dtype) if x.is_floating_point() else x for x in inputs(seed))
    asked = state["classes"].split(",") if "classes" in state else list(CLASSES)
    asked = [name for name in CLASSES if name in asked]
    config = PRESETS["picturebook"].settings(state["mode"], background=bool(state.get("background")), confidence_threshold=state.get("threshold", 0.5))
    fields = {"eps": "eps", "tau": "tau", "reading": "reading", "iterations": "n_iters" if state["mode"] == "path" else "ipf_iters"}
    config = replace(config, mode=replace(config.mode, **{name: state[key] for key, name in fields.items() if key in state}))
    names, config = rows_for(asked, config)
    rows = logits[[CLASSES.index(name) for name in names]]
    maps, kept = discrepancy(rows, attention, config)
    labels, k = refine(rows, attention, image, config).labels, len(asked) + bool(config.background)
    to = torch.full((len(CLASSES),), 0 if config.background else -1)
    to[[CLASSES.index(name) for name in asked]] = torch.arange(k - len(asked), k)
    matrix = confusion_matrix(to[truth], labels, k)
    return {"kept": kept.tolist(), "maps": maps.flatten(1), "labels": labels.flatten(), "iou": mean_iou(matrix).item(), "right": pixel_accuracy(matrix).item()}


def compare(seed, state, got):
    "Hold what the page worked out against the library: numbers to 1e-4, masks to the pixel."
    want, single = expected(seed, state), expected(seed, state, torch.float32)
    assert got["kept"] == want["kept"] == single["kept"], (seed, state)
    maps = torch.tensor(got["maps"], dtype=torch.float64)
    for found in (want["maps"], single["maps"].double()):
        torch.testing.assert_close(maps, found, atol=1e-4, rtol=1e-4, msg=lambda m: f"{seed} {state}: {m}")
    labels = torch.tensor(got["labels"])
    assert (labels != want["labels"]).sum() == 0 and (labels != single["labels"]).sum() == 0, (seed, state)
    for score in ("iou", "right"):  # JSON has no NaN, the score of a mask that no pixel of the truth asks about
        assert got[score] is None and math.isnan(want[score]) or abs(got[score] - want[score]) < 1e-9, (seed, state)

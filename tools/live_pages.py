"""Choose the six pages of the live page and write what the models say of them: docs/live/pages, which is committed.

The choice is made on lesson seeds alone, 1,500,000 to 1,500,149, none of which is a test page, by the rules in `choose`.
"""
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from livepage import LIVE, pack  # noqa: E402

from dotseg import Segmenter  # noqa: E402
from dotseg.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy  # noqa: E402
from dotseg.method.refine import refine  # noqa: E402
from dotseg.miniature.picturebook import CLASSES, draw_scene  # noqa: E402
from dotseg.segmentation.presets import PRESETS  # noqa: E402

SEEDS = range(1_500_000, 1_500_150)
MODES = ("logits", "path", "velocity", "contrast")


def judge(segmenter, seed):
    "The page, its logits and attention, and for each mode the share of right pixels and the mean IoU over the classes it shows."
    scene = draw_scene(seed)
    logits, attention = segmenter.encode(scene.image, CLASSES)
    image, truth, found = torch.tensor(scene.image).permute(2, 0, 1) / 255, torch.tensor(scene.labels).long(), {}
    for mode in MODES:
        matrix = confusion_matrix(truth, refine(logits, attention, image, PRESETS["picturebook"].settings(mode)).labels, len(CLASSES))
        found[mode] = pixel_accuracy(matrix).item(), mean_iou(matrix, in_truth=True).item()
    return (scene.image, scene.labels, logits.numpy(), attention.numpy()), found


def middle(table):
    "The page nearest to the medians of the right pixels, before and after by both measures."
    medians = {mode: sorted(row[mode][0] for row in table.values())[len(table) // 2] for mode in ("logits", "path", "velocity")}
    return lambda row: -sum(abs(row[mode][0] - medians[mode]) for mode in medians)


def choose(table):
    "seed -> title and why, in the order in which the pages are shown."
    poor = {seed: table[seed] for seed in sorted(table, key=lambda seed: table[seed]["logits"][0])[:20]}
    rules = [
        ("The method at its best", "Of the 20 pages with the poorest logits, the one that the optimal path gets best.", poor, lambda row: row["path"][0]),
        ("The poorest logits", "The page with the fewest right pixels before.", table, lambda row: -row["logits"][0]),
        ("A typical page", "The page nearest to the median before and after.", table, middle(table)),
        ("The method loses", "The page on which the optimal path loses most right pixels.", table, lambda row: row["logits"][0] - row["path"][0]),
        ("Sure of the wrong name", "The page on which the optimal path ends worst: selection keeps patches that have the wrong name.", table, lambda row: -row["path"][1]),
        ("Our own step wins", "The page on which the contrast vote gains most over the optimal path.", table, lambda row: row["contrast"][1] - row["path"][1]),
    ]
    chosen = {}
    for title, why, among, score in rules:
        seed = max((seed for seed in among if seed not in chosen), key=lambda seed: score(among[seed]))
        chosen[seed] = {"seed": seed, "title": title, "why": why}
    return chosen


def main():
    segmenter, table, inputs = Segmenter.from_preset("picturebook"), {}, {}
    for seed in SEEDS:
        inputs[seed], table[seed] = judge(segmenter, seed)
    folder, chosen = LIVE / "pages", choose(table)
    folder.mkdir(exist_ok=True)
    for seed in chosen:
        data = pack(*inputs[seed])
        (folder / f"{seed}.bin").write_bytes(data)
        print(seed, len(data), chosen[seed]["title"], *(f"{mode} {100 * right:.1f}/{100 * iou:.1f}" for mode, (right, iou) in table[seed].items()))
    (folder / "pages.json").write_text(json.dumps(list(chosen.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()

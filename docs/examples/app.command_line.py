# %% PRESET
from dotseg.app.command_line import PRESET

print(PRESET)


# %% CLASSES_HELP
from dotseg.app.command_line import CLASSES_HELP

print(CLASSES_HELP)


# %% load
from dotseg.app.command_line import load, parser

segmenter = load(parser().parse_args(["segment", "page.png", "--classes", "sky, kite", "--preset", "picturebook"]))
print(segmenter.config)


# %% segment
from PIL import Image

from dotseg.app.command_line import parser, segment
from dotseg.miniature.picturebook import draw_scene

Image.fromarray(draw_scene(0).image).save("page.png")
segment(parser().parse_args(["segment", "page.png", "--classes", "sky, grass, kite", "--preset", "picturebook", "--out", "out"]))


# %% demo
from dotseg.app.command_line import demo, parser

demo(parser().parse_args(["demo", "--classes", "kite, grass", "--out", "out"]))


# %% presets
from dotseg.app.command_line import presets, parser

presets(parser().parse_args(["presets"]))


# %% datasets
from dotseg.app.command_line import datasets, parser

datasets(parser().parse_args(["datasets"]))


# %% prepare
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.app.command_line import parser, prepare

folder = Path("cityscapes/gtFine/val/ulm")
folder.mkdir(parents=True)
Image.fromarray(np.array([[7, 8], [26, 0]], dtype=np.uint8)).save(folder / "ulm_000000_000019_gtFine_labelIds.png")
prepare(parser().parse_args(["prepare", "cityscapes", "--root", "cityscapes"]))


# %% evaluate
from dotseg.app.command_line import evaluate, parser

evaluate(parser().parse_args(["evaluate", "picturebook", "--preset", "picturebook", "--limit", "2", "--out", "run"]))


# %% tune
from dotseg.app.command_line import parser, tune
from dotseg.evaluation.datasets import load_dataset
from PIL import Image
from pathlib import Path

for kind in ("images", "masks"):
    Path(kind).mkdir()
for page in load_dataset("picturebook")[:2]:
    Image.fromarray(page.image).save(f"images/{page.name}.png")
    Image.fromarray(page.mask).save(f"masks/{page.name}.png")
words = load_dataset("picturebook").spec.names
tune(parser().parse_args(["tune", "--images", "images", "--masks", "masks", "--classes", ", ".join(words), "--preset", "picturebook", "--out", "mine.json"]))


# %% profile
from dotseg.app.command_line import profile, parser

profile(parser().parse_args(["profile", "--preset", "picturebook", "--size", "128"]))


# %% methods
from dotseg.app.command_line import methods, parser

methods(parser().parse_args(["methods", "--pages", "2"]))


# %% parser
from dotseg.app.command_line import parser

print(parser().parse_args(["segment", "photos", "--classes", "sky, grass", "--checkpoint", "clip=my-clip"]).checkpoint)


# %% main
from dotseg.app.command_line import main

main(["demo", "--classes", "kite, grass", "--out", "out"])


# %% say
from dotseg.app.command_line import say

say("a file called \x1b[2Jred.png", "and a line of its own")  # the terminal is not cleared

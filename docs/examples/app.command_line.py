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
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.app.command_line import segment, parser
from dotseg.miniature.picturebook import CLASSES, draw_scene

for name in ("images", "masks"):
    Path(name).mkdir()
for seed in range(2):
    scene = draw_scene(seed)
    Image.fromarray(scene.image).save(f"images/{seed}.png")
    Image.fromarray(scene.labels.astype(np.uint8)).save(f"masks/{seed}.png")
segment(parser().parse_args(["segment", "images", "--classes", "sky, grass, kite", "--preset", "picturebook", "--out", "out"]))


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
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.app.command_line import evaluate, parser
from dotseg.miniature.picturebook import CLASSES, draw_scene

for name in ("images", "masks"):
    Path(name).mkdir()
for seed in range(2):
    scene = draw_scene(seed)
    Image.fromarray(scene.image).save(f"images/{seed}.png")
    Image.fromarray(scene.labels.astype(np.uint8)).save(f"masks/{seed}.png")
evaluate(parser().parse_args(["evaluate", "folder", "--images", "images", "--masks", "masks", "--classes", ", ".join(CLASSES), "--preset", "picturebook", "--out", "run"]))


# %% tune
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.app.command_line import tune, parser
from dotseg.miniature.picturebook import CLASSES, draw_scene

for name in ("images", "masks"):
    Path(name).mkdir()
for seed in range(2):
    scene = draw_scene(seed)
    Image.fromarray(scene.image).save(f"images/{seed}.png")
    Image.fromarray(scene.labels.astype(np.uint8)).save(f"masks/{seed}.png")
tune(parser().parse_args(["tune", "--images", "images", "--masks", "masks", "--classes", ", ".join(CLASSES), "--preset", "picturebook", "--out", "mine.json"]))


# %% profile
from dotseg.app.command_line import profile, parser

profile(parser().parse_args(["profile", "--preset", "picturebook", "--size", "128"]))


# %% methods
from dotseg.app.command_line import methods, parser

methods(parser().parse_args(["methods", "--pages", "2"]))


# %% parser
import shlex
from dotseg.app.command_line import parser
from fastcore.test import test_eq

line = "dotseg segment photos --classes sky,grass --preset clip-b16-sd2 --checkpoint clip=my-clip"
test_eq(parser().parse_args(shlex.split(line)[1:]).checkpoint, ["clip=my-clip"])


# %% main
from dotseg.app.command_line import main

main(["demo", "--classes", "kite, grass", "--out", "out"])


# %% say
from dotseg.app.command_line import say

say("a file called \x1b[2Jred.png", "and a line of its own")  # the terminal is not cleared

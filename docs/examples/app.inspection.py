# %% MEANING
from dotseg.app.inspection import MEANING

print(MEANING)


# %% PAGE_STYLE
from dotseg.app.inspection import PAGE_STYLE

print(PAGE_STYLE)


# %% GRID
from dotseg.app.inspection import GRID

print(GRID)


# %% class_rows
import torch

from dotseg.app.inspection import class_rows

logits = torch.tensor([[[0.3, 0.1]], [[0.1, 0.2]]])  # two classes on a grid of 1 x 2
support = torch.tensor([[[0.3, -torch.inf]], [[-torch.inf, 0.2]]])
for row in class_rows(logits, ["sky", "grass"], 0, {"sky": 0.5, "grass": 0.5}, {}, support):
    print(row)


# %% inspection_page
from dotseg.app.inspection import inspection_page
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", mode="path", background=True)
scene = draw_scene(LESSON_SEED)
page = inspection_page(segmenter, scene.image, ["kite", "grass", "boat"], "the lesson's page")


# %% inspect
import tempfile
from dotseg.app.inspection import inspect
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import test_eq
from pathlib import Path

segmenter = Segmenter.from_preset("picturebook", mode="path", background=True)
scene = draw_scene(LESSON_SEED)
with tempfile.TemporaryDirectory() as folder:
    test_eq(inspect(segmenter, scene.image, ["kite"], Path(folder) / "new" / "page.html").stat().st_size > 50_000, True)

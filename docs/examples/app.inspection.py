# %% MEANING
from dotseg.app.inspection import MEANING

print(MEANING)


# %% PAGE_STYLE
from dotseg.app.inspection import PAGE_STYLE

print(PAGE_STYLE)


# %% GRID
from dotseg.app.inspection import GRID

print(GRID)


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

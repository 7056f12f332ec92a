# %% Stages
from dotseg.app.stages import Stages
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

page = draw_scene(LESSON_SEED)
segmenter = Segmenter.from_preset("picturebook", mode="path")
stages = Stages(segmenter, page.image)


# %% python_lines
from dataclasses import replace
from dotseg.app.stages import python_lines
from dotseg.segmentation.presets import PRESETS
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", mode="path")
few, beside = ["kite", "star"], replace(segmenter.config, background=PRESETS["picturebook"].background)
segmenter.config, closed = beside, segmenter.config
segmenter.config = closed
print(python_lines(segmenter, "page.png", few, beside))

# %% Explorer
from dotseg.app.explorer import Explorer
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

page = draw_scene(LESSON_SEED)
classes = list(CLASSES)
segmenter = Segmenter.from_preset("picturebook", device="cpu", mode="path")
explorer = Explorer(segmenter, page.image, classes)

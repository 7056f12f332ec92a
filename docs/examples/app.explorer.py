# %% PatchPicker
from dotseg.app.explorer import PatchPicker

picker = PatchPicker(rows=16, columns=16)  # beside `picture`, the bytes of a PNG
picker.observe(lambda change: print(change.new), names="column")
picker.column = 3  # as a click does


# %% Explorer
from dotseg.app.explorer import Explorer
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

page = draw_scene(LESSON_SEED)
classes = list(CLASSES)
segmenter = Segmenter.from_preset("picturebook", device="cpu", mode="path")
explorer = Explorer(segmenter, page.image, classes)

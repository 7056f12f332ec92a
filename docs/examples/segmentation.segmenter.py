# %% Segmentation
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmentation, Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
assert isinstance(found, Segmentation)
found.overlay().save("overlay.png")
print(found.labels.shape)


# %% Segmenter
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
print(found.labels.shape, {CLASSES[label] for label in found.labels.unique()})

# %% is_background
from dotseg.segmentation.formats import is_background

print(is_background(0, "background"), is_background(0, "sky"))


# %% label_confidence
import torch
from dotseg.segmentation.formats import label_confidence

two = torch.tensor([[[0.0, 3.0]], [[0.0, 1.0]]]).log().nan_to_num(neginf=0.0)
print(label_confidence(two, torch.tensor([[0, 0]]), 1.0), label_confidence(two, torch.tensor([[1, 1]]), 1.0))


# %% Found
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import Found, class_masks
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
anything: Found = found  # a Segmentation has all that is written
print([label for label, mask in class_masks(anything)])


# %% check_formats
import torch
from dotseg.segmentation.formats import check_formats, label_confidence
from fastcore.test import expect_fail

for call, message in (
    (lambda: check_formats("tiff"), "format: got 'tiff', expected some of palette, overlay, grey"),
    (lambda: check_formats([]), "format: got none"),
    (lambda: label_confidence(torch.zeros(2, 3), torch.zeros(3, 3), 1.0), "logits: expected 3 axes, got 2"),
    (lambda: label_confidence(torch.zeros(2, 3, 3), torch.zeros(3, 3), 0.0), "scale: got 0.0"),
):
    with expect_fail(ValueError, contains=message):
        call()


# %% class_masks
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import class_masks
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
for label, mask in class_masks(found):
    print(CLASSES[label], mask.sum())


# %% to_coco
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import to_coco
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
print(to_coco(found, "page")["categories"][:2])


# %% join_coco
import json
from pathlib import Path

from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import join_coco, to_coco
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
Path("page.json").write_text(json.dumps(to_coco(found, "page")))
print(join_coco([Path("page.json")], Path("all.json")))


# %% polygons
import numpy as np

from dotseg.segmentation.formats import polygons

mask = np.zeros((8, 8), dtype=bool)
mask[2:6, 3:7] = True
print(polygons(mask))


# %% to_labelme
from pathlib import Path

from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import to_labelme
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
print(to_labelme(found, Path("page.json"))["shapes"][0]["label"])


# %% file_of_class
from dotseg.segmentation.formats import file_of_class

print(file_of_class(3, "traffic light"))


# %% write_picture
from pathlib import Path

from PIL import Image

from dotseg.segmentation.formats import write_picture
from dotseg.segmentation.records import form_of

write_picture(Path("red.png"), Image.new("RGB", (6, 4), "red"), "overlay")
print(Image.open("red.png").info, form_of("red.png"))


# %% write
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.formats import write
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
scene = draw_scene(LESSON_SEED)
found = segmenter(scene.image, CLASSES)
print(write(found, "palette", "masks", "page"))


# %% write_classes
from pathlib import Path

from dotseg.segmentation.formats import write_classes

Path("masks").mkdir()
write_classes(["sky", "grass"], "masks")
print(Path("masks/classes.txt").read_text())

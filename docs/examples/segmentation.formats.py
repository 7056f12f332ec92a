# %% FORMATS
from dotseg.segmentation.formats import FORMATS

print(FORMATS)


# %% COCO_FILE
from dotseg.segmentation.formats import COCO_FILE

print(COCO_FILE)


# %% label_confidence
import torch
from dotseg.segmentation.formats import label_confidence

two = torch.tensor([[[0.0, 3.0]], [[0.0, 1.0]]]).log().nan_to_num(neginf=0.0)
print(label_confidence(two, torch.tensor([[0, 0]]), 1.0), label_confidence(two, torch.tensor([[1, 1]]), 1.0))


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

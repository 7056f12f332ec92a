# %% MEASURES_TRIED
from dotseg.evaluation.tuning import MEASURES_TRIED

print(MEASURES_TRIED)


# %% SCALES
from dotseg.evaluation.tuning import SCALES

print(SCALES)


# %% THRESHOLDS
from dotseg.evaluation.tuning import THRESHOLDS

print(THRESHOLDS)


# %% EPS
from dotseg.evaluation.tuning import EPS

print(EPS)


# %% TAUS
from dotseg.evaluation.tuning import TAUS

print(TAUS)


# %% OWNERSHIPS
from dotseg.evaluation.tuning import OWNERSHIPS

print(OWNERSHIPS)


# %% CONFIDENCES
from dotseg.evaluation.tuning import CONFIDENCES

print(CONFIDENCES)


# %% SIDE
from dotseg.evaluation.tuning import SIDE

print(SIDE)


# %% FEW
from dotseg.evaluation.tuning import FEW

print(FEW)


# %% variations
from dotseg.evaluation.tuning import variations
from dotseg.method.refine import DiscrepancyConfig

tried = list(variations(DiscrepancyConfig("path"), 100.0))


# %% Tuning
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.evaluation.datasets import load_folder
from dotseg.evaluation.tuning import Tuning, tune
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.segmentation.segmenter import Segmenter

for name in ("images", "masks"):
    Path(name).mkdir()
for seed in range(2):
    scene = draw_scene(seed)
    Image.fromarray(scene.image).save(f"images/{seed}.png")
    Image.fromarray(scene.labels.astype(np.uint8)).save(f"masks/{seed}.png")
found = tune(Segmenter.from_preset("picturebook", device="cpu"), load_folder("images", "masks", CLASSES), progress=False)
assert isinstance(found, Tuning)
print(found.before, found.after, found.chosen)


# %% tune
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.tuning import tune
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import expect_fail

spoilt = Segmenter.from_preset("picturebook", mode="velocity", scale=60.0, confidence_threshold=0.95)
few = load_dataset("picturebook")[20:22]
with expect_fail(ValueError, contains="images: got 1, expected at least two"):
    tune(spoilt, few[:1])

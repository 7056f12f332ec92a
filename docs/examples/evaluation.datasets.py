# %% IGNORED
import matplotlib.pyplot as plt
import numpy as np
from dotseg.evaluation.datasets import DATASETS, IGNORED

shown, picked = [name for name in DATASETS if name != "picturebook"], [0, 1, 2, 18, 19, 20, 21, 58, 59, 60, 80, 81, 149, 150, 151, 170, 171, 254, 255]
fig, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
colour = np.ones((len(shown), len(picked), 3))
for row, name in enumerate(shown):
    for column, value in enumerate(picked):
        label = DATASETS[name].label_map.get(value)
        if label is not None:
            colour[row, column] = 0.8 if label == IGNORED else (0.75, 0.87, 1)
            ax.text(column, row, "–" if label == IGNORED else label, ha="center", va="center", fontsize=8)


# %% DATA
from dotseg.evaluation.datasets import DATA

print(DATA)


# %% DATASETS
from dotseg.evaluation.datasets import DATASETS

print(DATASETS["voc21"].prompts[:4])


# %% to_labels
import matplotlib.pyplot as plt
import numpy as np
from dotseg.evaluation.datasets import DATASETS, IGNORED, to_labels
from fastcore.test import test_eq

shown, picked = [name for name in DATASETS if name != "picturebook"], [0, 1, 2, 18, 19, 20, 21, 58, 59, 60, 80, 81, 149, 150, 151, 170, 171, 254, 255]
fig, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
colour = np.ones((len(shown), len(picked), 3))
for row, name in enumerate(shown):
    for column, value in enumerate(picked):
        label = DATASETS[name].label_map.get(value)
        if label is not None:
            colour[row, column] = 0.8 if label == IGNORED else (0.75, 0.87, 1)
            ax.text(column, row, "–" if label == IGNORED else label, ha="center", va="center", fontsize=8)
row = np.array([[0, 1, 20, 255]], np.uint8)
test_eq(to_labels(row, DATASETS["coco_object"].label_map).tolist(), [[0, 1, 20, 0]])  # void is background there


# %% Example
from dotseg.evaluation.datasets import Example, load_dataset
from pathlib import Path

pages = load_dataset("picturebook")[:8]
gone = Example("gone", Path("gone.png"), Path("gone.mask.png"), pages.spec)


# %% load_dataset
from dotseg.evaluation.datasets import load_dataset

book = load_dataset("picturebook")

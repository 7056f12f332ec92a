# %% IGNORED
from dotseg.evaluation.datasets import DATASETS, IGNORED

print([value for value, c in DATASETS["voc21"].label_map.items() if c == IGNORED])  # the border of things


# %% DATA
from dotseg.evaluation.datasets import DATA

print(DATA)


# %% DATASETS
from dotseg.evaluation.datasets import DATASETS

print(DATASETS["voc21"].prompts[:4])


# %% DatasetError
from dotseg.evaluation.datasets import DatasetError, load_dataset

try:
    load_dataset("voc21", "nowhere")
except DatasetError as error:
    print(error)


# %% DatasetSpec, find_spec
from dotseg.evaluation.datasets import DatasetSpec, find_spec

spec = find_spec("COCO-Stuff")
assert isinstance(spec, DatasetSpec)
print(spec.about, len(spec.classes))


# %% read_mask
import numpy as np
from PIL import Image

from dotseg.evaluation.datasets import read_mask

Image.fromarray(np.array([[0, 1], [2, 255]], dtype=np.uint8)).save("mask.png")
print(read_mask("mask.png"))


# %% to_labels
import numpy as np

from dotseg.evaluation.datasets import DATASETS, to_labels

print(to_labels(np.array([[0, 1, 20, 255]], np.uint8), DATASETS["coco_object"].label_map))  # 255 is background there


# %% Example
from dotseg.evaluation.datasets import Example, load_dataset
from pathlib import Path

pages = load_dataset("picturebook")[:8]
gone = Example("gone", Path("gone.png"), Path("gone.mask.png"), pages.spec)


# %% Dataset
from dotseg.evaluation.datasets import Dataset, load_dataset

pages = load_dataset("picturebook")
assert isinstance(pages, Dataset)
print(len(pages), pages[0].name, pages[0].labels().shape, len(pages[:5]))


# %% find_files
from pathlib import Path

from dotseg.evaluation.datasets import find_files

Path("images/val").mkdir(parents=True)
Path("images/val/a.jpg").touch()
print(find_files(".", "images/{}"))


# %% survey, find_dataset
from pathlib import Path

from dotseg.evaluation.datasets import find_dataset, find_spec, survey

spec = find_spec("voc21")
root = find_dataset(spec, Path("."))  # None: not here
print(root, survey(spec, root or Path(".")))


# %% load_dataset
from dotseg.evaluation.datasets import load_dataset

book = load_dataset("picturebook")


# %% load_folder
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.evaluation.datasets import load_folder
from dotseg.miniature.picturebook import CLASSES, draw_scene

for name in ("images", "masks"):
    Path(name).mkdir()
scene = draw_scene(0)
Image.fromarray(scene.image).save("images/0.png")
Image.fromarray(scene.labels.astype(np.uint8)).save("masks/0.png")
data = load_folder("images", "masks", CLASSES)
print(data[0].name, np.unique(data[0].labels()))


# %% check_counted
from dotseg.evaluation.datasets import IGNORED, DatasetError, DatasetSpec, check_counted

spec = DatasetSpec("cats", "black and white masks", (("background",), ("cat",)), "images/{}.jpg", "masks/{}.png", {0: 0, 1: 1, 255: IGNORED}, assumed=(255,))
check_counted(spec, [900, 80], {255: 20})  # a thin edge that does not count
try:
    check_counted(spec, [900, 0], {255: 100})  # the cats are 255, not 1
except DatasetError as error:
    print(error)

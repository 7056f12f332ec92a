# %% CITYSCAPES
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.preparation import CITYSCAPES, COCO_OBJECT, COCO_STUFF, CONTEXT
from fastcore.test import test_eq

for table, name in ((CITYSCAPES, "cityscapes"), (COCO_STUFF, "coco_stuff"), (COCO_OBJECT, "coco_object"), (CONTEXT, "context60")):
    known = DATASETS[name]
    test_eq(sorted(set(table.values()) - {255}), list(range(len(known.classes))))  # every class is reached, and nothing else
    assert set(table.values()) <= set(known.label_map)


# %% COCO_STUFF
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.preparation import CITYSCAPES, COCO_OBJECT, COCO_STUFF, CONTEXT
from fastcore.test import test_eq

for table, name in ((CITYSCAPES, "cityscapes"), (COCO_STUFF, "coco_stuff"), (COCO_OBJECT, "coco_object"), (CONTEXT, "context60")):
    known = DATASETS[name]
    test_eq(sorted(set(table.values()) - {255}), list(range(len(known.classes))))  # every class is reached, and nothing else
    assert set(table.values()) <= set(known.label_map)


# %% COCO_OBJECT
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.preparation import CITYSCAPES, COCO_OBJECT, COCO_STUFF, CONTEXT
from fastcore.test import test_eq

for table, name in ((CITYSCAPES, "cityscapes"), (COCO_STUFF, "coco_stuff"), (COCO_OBJECT, "coco_object"), (CONTEXT, "context60")):
    known = DATASETS[name]
    test_eq(sorted(set(table.values()) - {255}), list(range(len(known.classes))))  # every class is reached, and nothing else
    assert set(table.values()) <= set(known.label_map)


# %% CONTEXT
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.preparation import CITYSCAPES, COCO_OBJECT, COCO_STUFF, CONTEXT
from fastcore.test import test_eq

for table, name in ((CITYSCAPES, "cityscapes"), (COCO_STUFF, "coco_stuff"), (COCO_OBJECT, "coco_object"), (CONTEXT, "context60")):
    known = DATASETS[name]
    test_eq(sorted(set(table.values()) - {255}), list(range(len(known.classes))))  # every class is reached, and nothing else
    assert set(table.values()) <= set(known.label_map)


# %% Job
from pathlib import Path

import numpy as np

from dotseg.evaluation.preparation import Job

job: Job = (Path("mask.png"), lambda: np.zeros((4, 6), dtype=np.uint8))  # where a mask goes, and what makes it


# %% Prepared, prepare
from pathlib import Path

import numpy as np
from PIL import Image

from dotseg.evaluation.preparation import Prepared, prepare

folder = Path("cityscapes/gtFine/val/ulm")
folder.mkdir(parents=True)
Image.fromarray(np.array([[7, 8], [26, 0]], dtype=np.uint8)).save(folder / "ulm_000000_000019_gtFine_labelIds.png")
made = prepare("cityscapes", "cityscapes", progress=False)
assert isinstance(made, Prepared)
print(made.written, made.folder)

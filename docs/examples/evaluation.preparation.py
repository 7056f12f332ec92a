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

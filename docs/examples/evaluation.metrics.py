# %% confusion_matrix
import torch
from dotseg.evaluation.metrics import confusion_matrix

truth = torch.tensor([[0, 0, 1], [1, 1, 255]])
extra = confusion_matrix(truth, torch.tensor([[0, 2, 1], [1, 1, 0]]), 3)


# %% iou
import torch
from dotseg.evaluation.metrics import confusion_matrix, iou

truth = torch.tensor([[0, 0, 1], [1, 1, 255]])
extra = confusion_matrix(truth, torch.tensor([[0, 2, 1], [1, 1, 0]]), 3)
iou(extra).tolist()


# %% mean_iou
import torch
from dotseg.evaluation.metrics import confusion_matrix, mean_iou

truth = torch.tensor([[0, 0, 1], [1, 1, 255]])
guess = torch.tensor([[0, 1, 1], [1, 0, 0]])
matrix = confusion_matrix(truth, guess, 2)
mean_iou(matrix).item()


# %% pixel_accuracy
import torch
from dotseg.evaluation.metrics import confusion_matrix, pixel_accuracy
from torch.testing import assert_close

truth = torch.tensor([[0, 0, 1], [1, 1, 255]])
guess = torch.tensor([[0, 1, 1], [1, 0, 0]])
matrix = confusion_matrix(truth, guess, 2)
assert_close(pixel_accuracy(matrix), torch.tensor(3 / 5, dtype=torch.float64))


# %% class_accuracy
import torch
from dotseg.evaluation.metrics import class_accuracy, confusion_matrix
from torch.testing import assert_close

truth = torch.tensor([[0, 0, 1], [1, 1, 255]])
guess = torch.tensor([[0, 1, 1], [1, 0, 0]])
matrix = confusion_matrix(truth, guess, 2)
assert_close(class_accuracy(matrix), torch.tensor([1 / 2, 2 / 3], dtype=torch.float64))


# %% bands
import torch
from dotseg.evaluation.metrics import bands

row = torch.tensor([[0, 0, 0, 1, 1]])
tall = row.expand(5, 5)
bands(tall, 1)[2]


# %% boundary_matrix
import numpy as np
import torch
from dotseg.evaluation.metrics import boundary_matrix, confusion_matrix
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene

scene = torch.tensor(draw_scene(LESSON_SEED).labels.astype(np.int64))
k, moved = len(CLASSES), scene.roll((3, 3), (0, 1))
count, edges = confusion_matrix(scene, moved, k), boundary_matrix(scene, moved, k)


# %% boundary_iou
import numpy as np
import torch
from dotseg.evaluation.metrics import bands, boundary_iou, boundary_matrix
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene

scene = torch.tensor(draw_scene(LESSON_SEED).labels.astype(np.int64))
k, moved = len(CLASSES), scene.roll((3, 3), (0, 1))
rim = torch.where(bands(scene, 1), 255, scene)
perfect = boundary_iou(boundary_matrix(rim, torch.where(rim == 255, 3, scene), k))


# %% grouping_auc
import torch
from dotseg.evaluation.metrics import grouping_auc
from fastcore.test import test_eq

classes = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 0])
test_eq(grouping_auc((classes[:, None] == classes).double(), classes), 1.0)


# %% bootstrap_difference
import torch
from dotseg.evaluation.metrics import bootstrap_difference, confusion_matrix

g = torch.Generator().manual_seed(0)
truth, guess = torch.randint(-1, 5, (3, 7, 9), generator=g), torch.randint(0, 5, (3, 7, 9), generator=g)
a, b = confusion_matrix(truth, guess, 5), confusion_matrix(truth, guess.flip(0), 5)
got = bootstrap_difference(a, b, draws=50, seed=4)

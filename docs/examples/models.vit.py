# %% MEAN
from dotseg.models.vit import MEAN

print(MEAN)


# %% STD
from dotseg.models.vit import STD

print(STD)


# %% DINOV2_B14
from dotseg.models.vit import DINOV2_B14

print(DINOV2_B14)


# %% DINOV2_B14_REG
from dotseg.models.vit import DINOV2_B14_REG

print(DINOV2_B14_REG)


# %% DINOV3_B16
from dotseg.models.vit import DINOV3_B16

print(DINOV3_B16)


# %% head_mean
import torch
from dotseg.models.vit import head_mean
from fastcore.test import test_eq

q, k = torch.full((1, 4, 21, 16), 100.0), torch.zeros(1, 4, 21, 16)
k[:, :, 0] = 10  # the class token alone answers
test_eq(head_mean(q, k, 5).max().item(), 0)


# %% VitAttention
from dotseg.models.vit import VitAttention
from fastcore.test import expect_fail
from torch import nn

with expect_fail(ValueError, contains="model: got Linear, expected a plain vision transformer of transformers"):
    VitAttention(nn.Linear(2, 2))

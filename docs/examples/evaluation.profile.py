# %% Stage, format_stages
from torch import nn, zeros

from dotseg.evaluation.profile import Stage, format_stages, measure

layer = nn.Linear(8, 4)
stage = measure("a layer", lambda: layer(zeros(2, 8)))
assert isinstance(stage, Stage)
print(format_stages([stage]))


# %% measure
import torch
from dotseg.evaluation.profile import measure
from torch import nn

layer, rows = nn.Linear(300, 200), torch.zeros(50, 300)
stage = measure("by hand", lambda: (layer(rows), torch.ones(20_000_000).sum()))


# %% profile_preset
from dotseg.evaluation.profile import profile_preset
from fastcore.test import expect_fail

with expect_fail(ValueError, contains="got an image of 0 pixels and 21 names"):
    profile_preset("picturebook", size=0)

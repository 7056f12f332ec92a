# %% TOLD_APART
from dotseg.method.diagnostics import TOLD_APART

print(TOLD_APART)


# %% look_alikes
import torch
from dotseg.method.diagnostics import look_alikes

three = torch.tensor([[0.30, 0.301, 0.2], [0.301, 0.30, 0.2], [0.2, 0.2, 0.3]], dtype=torch.float64)  # sky, blue sky, grass; three patches
print(look_alikes(three, 0.75, 100.0))


# %% Diagnostics, diagnose
import torch

from dotseg.method.diagnostics import Diagnostics, diagnose
from dotseg.method.refine import DiscrepancyConfig, discrepancy

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
maps, kept = discrepancy(logits, attention, config)
winners = torch.tensor([0, 1])
found = diagnose(logits, attention, maps, kept, winners, None, config.confidence_threshold, config.scale)
assert isinstance(found, Diagnostics)
print(found)

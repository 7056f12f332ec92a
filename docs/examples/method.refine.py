# %% DiscrepancyConfig
from dotseg.method.refine import DiscrepancyConfig

config = DiscrepancyConfig(scale=25.0)
print(config)


# %% measure_from
from dotseg.method.refine import measure_from

print(measure_from({"name": "path", "eps": 0.05}))


# %% select
import torch

from dotseg.method.refine import DiscrepancyConfig, select

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
survivors, kept = select(logits, config)
print(survivors, kept)


# %% discrepancy
import torch
from dotseg.method.measures import KernelVote
from dotseg.method.refine import DiscrepancyConfig, discrepancy

logits = torch.tensor([[0.9, 0.1, 0.3, 0.1], [0.1, 0.2, 0.2, 0.9], [0.0, 0.15, 0.0, 0.0]], dtype=torch.float64)[:, None]
attention = torch.block_diag(torch.full((2, 2), 0.5), torch.full((2, 2), 0.5)).double()
by_hand = DiscrepancyConfig(mode=KernelVote(eps=0.5), scale=10.0)
maps, kept = discrepancy(logits, attention, by_hand)
print(maps, kept)


# %% Scores
import torch

from dotseg.method.refine import DiscrepancyConfig, Scores, refine

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
found = refine(logits, attention, image, config)
assert isinstance(found, Scores)
print(found.labels)


# %% examine
import torch

from dotseg.method.refine import DiscrepancyConfig, discrepancy, examine

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
maps, kept = discrepancy(logits, attention, config)
print(examine(logits, attention, maps, kept, config))


# %% label_pixels
import torch

from dotseg.method.refine import DiscrepancyConfig, discrepancy, label_pixels, upsample

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
maps, kept = discrepancy(logits, attention, config)
labels, scores, kept = label_pixels(upsample(maps, image, config), kept, logits, config)
print(labels)


# %% upsample
import torch

from dotseg.method.refine import DiscrepancyConfig, discrepancy, upsample

logits = torch.tensor([[[0.30, 0.28, 0.10]], [[0.10, 0.12, 0.30]]])  # two classes on a grid of 1 x 3
attention = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
image = torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(0))
config = DiscrepancyConfig("path")
maps, kept = discrepancy(logits, attention, config)
print(upsample(maps, image, config).shape)


# %% refine
import torch
from dotseg.method.refine import DiscrepancyConfig, refine

three = torch.tensor([[0.30, 0.301, 0.2], [0.301, 0.30, 0.2], [0.2, 0.2, 0.3]], dtype=torch.float64)  # sky, blue sky, grass; three patches
page = torch.cat([three, torch.full((1, 3), 0.1, dtype=torch.float64)])[:, None]
found = refine(page, torch.full((3, 3), 1 / 3), torch.full((3, 1, 3), 0.5), DiscrepancyConfig("path"))
print(found.labels)

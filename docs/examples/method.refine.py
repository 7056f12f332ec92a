# %% DiscrepancyConfig
from dotseg.method.refine import DiscrepancyConfig

config = DiscrepancyConfig(scale=25.0)


# %% discrepancy
import torch
from dotseg.method.measures import KernelVote
from dotseg.method.refine import DiscrepancyConfig, discrepancy

logits = torch.tensor([[0.9, 0.1, 0.3, 0.1], [0.1, 0.2, 0.2, 0.9], [0.0, 0.15, 0.0, 0.0]], dtype=torch.float64)[:, None]
attention = torch.block_diag(torch.full((2, 2), 0.5), torch.full((2, 2), 0.5)).double()
by_hand = DiscrepancyConfig(mode=KernelVote(eps=0.5), scale=10.0)
maps, kept = discrepancy(logits, attention, by_hand)


# %% refine
import torch
from dotseg.method.refine import DiscrepancyConfig, refine

three = torch.tensor([[0.30, 0.301, 0.2], [0.301, 0.30, 0.2], [0.2, 0.2, 0.3]], dtype=torch.float64)  # sky, blue sky, grass; three patches
page = torch.cat([three, torch.full((1, 3), 0.1, dtype=torch.float64)])[:, None]
found = refine(page, torch.full((3, 3), 1 / 3), torch.full((3, 1, 3), 0.5), DiscrepancyConfig("path"))

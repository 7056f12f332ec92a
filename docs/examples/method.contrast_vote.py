# %% LARGE
import torch

from dotseg.method.contrast_vote import LARGE, contrast_vote

logits = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
largest = contrast_vote(logits, torch.eye(2), contrast=LARGE, links=0.5)
print(torch.equal(largest, contrast_vote(logits, torch.eye(2), contrast=1e30, links=0.5)))


# %% neighbour_kernel
import torch

from dotseg.method.contrast_vote import neighbour_kernel

attention = torch.eye(6) + 0.1
kernel = neighbour_kernel(attention, (2, 3), links=1 / 6, reach=0.3, eps=0.2)
print(kernel.shape, kernel.sum(-1))


# %% contrast_vote
import torch
from dotseg.method.contrast_vote import contrast_vote

logits = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.5, 1.5, 2.0, 2.0]], dtype=torch.float64)[:, None]
attention = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).double() / 2
maps = contrast_vote(logits, attention, links=0.5)

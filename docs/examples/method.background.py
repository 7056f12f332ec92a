# %% NAME
from dotseg.method.background import NAME

print(NAME)


# %% LEAST_PATCHES
from dotseg.method.background import LEAST_PATCHES

print(LEAST_PATCHES)


# %% Background
from dotseg.method.background import Background

everyday = Background(["sky", "sea|ocean", "tree"])


# %% claim_pixels
import torch
from dotseg.method.background import claim_pixels

rows = torch.tensor([[0.9, 0.1, 0.1, 0.1, 0.1], [0.0, 0.8, 0.3, 0.0, 0.0], [0.0, 0.0, 0.2, 0.5, 0.5]])[:, None]
kept = torch.arange(3)
for theta in (0.0, 0.5):
    print(f"theta {theta}: {claim_pixels(rows, kept, 1, theta)[0].tolist()}")


# %% merge_words
import torch
from dotseg.method.background import merge_words

random = torch.Generator().manual_seed(0)
maps = torch.rand(5, 6, 7, generator=random, dtype=torch.float64)
some = torch.tensor([0, 2, 3, 4, 6])  # word 1 and class 2 did not survive
merged, index = merge_words(maps, some, 3)


# %% settle_words
import torch
from dotseg.method.background import settle_words

pair = torch.tensor([[0.301, 0.30, 0.20, -torch.inf], [0.30, 0.301, 0.21, -torch.inf]], dtype=torch.float64)[:, None]
settled = settle_words(pair, 0.9, 100.0)


# %% mark_background
import torch
from dotseg.method.background import mark_background
from fastcore.test import test_eq

lead = torch.tensor([0.27, 0.25, 0.25]).view(3, 1, 1)
out = lead.masked_fill(lead < 0.26, -torch.inf).expand(3, 2, 2).clone()
out[:, 0, 0] = -torch.inf  # a patch that is out for every class: all are alike, a third each
test_eq(mark_background(torch.ones(2, 2, dtype=torch.uint8), out, 0.4).tolist(), [[0, 1], [1, 1]])

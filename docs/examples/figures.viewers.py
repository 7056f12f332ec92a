# %% scrub
import numpy as np
from dotseg.figures.viewers import scrub
from fastcore.test import test_eq

picture = np.stack([np.tile(np.linspace(0, 255, 24), (16, 1))] * 3, -1).astype(np.uint8)
test_eq(scrub([picture, picture], "ab", "x").html, scrub([picture, picture], "ab", "x").html)


# %% attention_viewer
import numpy as np
import torch
from dotseg.figures.viewers import attention_viewer

place = torch.cartesian_prod(torch.arange(8), torch.arange(12)).double()
near = (torch.cdist(place, place) ** 2 / -4).softmax(-1)
viewer = attention_viewer(np.stack([np.tile(np.linspace(60, 220, 96), (64, 1))] * 3, -1).astype(np.uint8), near, (8, 12))

# %% SHOWN
from dotseg.figures.panels import SHOWN

print(SHOWN)


# %% STYLE
from dotseg.figures.panels import STYLE

print(STYLE)


# %% png_bytes
import io
import numpy as np
import torch
from PIL import Image
from dotseg.figures.panels import heat, png_bytes
from fastcore.test import test_eq

ramp = torch.linspace(0, 1, 12).reshape(3, 4)
colours = heat(ramp.masked_fill(ramp == 1, -torch.inf))
test_eq(np.asarray(Image.open(io.BytesIO(png_bytes(colours)))), colours)


# %% small
import numpy as np
from dotseg.figures.panels import small
from fastcore.test import test_eq

test_eq(small(np.zeros((1025, 10, 3))).shape, (342, 4, 3))


# %% tile
import numpy as np

from dotseg.figures.panels import tile

print(tile(np.zeros((4, 4, 3), dtype=np.uint8), "night", "a black square")[:60])


# %% heat
import torch
from dotseg.figures.panels import heat

ramp = torch.linspace(0, 1, 12).reshape(3, 4)
colours = heat(ramp.masked_fill(ramp == 1, -torch.inf))


# %% strip
import torch
from dotseg.figures.panels import strip

ramp = torch.linspace(0, 1, 12).reshape(3, 4)
row = strip("logits", torch.stack([ramp, 1 - ramp, ramp.masked_fill(ramp < 0.4, -torch.inf)]), ["up", "down", "<b>cut</b>"])


# %% legend
import torch
from IPython.display import HTML
from dotseg.figures.panels import card, legend, strip

ramp = torch.linspace(0, 1, 12).reshape(3, 4)
row = strip("logits", torch.stack([ramp, 1 - ramp, ramp.masked_fill(ramp < 0.4, -torch.inf)]), ["up", "down", "<b>cut</b>"])
HTML(card(row + legend({"up": 0.6, "down": 0.4}, ["up", "down"])))


# %% card
import torch
from IPython.display import HTML
from dotseg.figures.panels import card, legend, strip

ramp = torch.linspace(0, 1, 12).reshape(3, 4)
row = strip("logits", torch.stack([ramp, 1 - ramp, ramp.masked_fill(ramp < 0.4, -torch.inf)]), ["up", "down", "<b>cut</b>"])
HTML(card(row + legend({"up": 0.6, "down": 0.4}, ["up", "down"])))

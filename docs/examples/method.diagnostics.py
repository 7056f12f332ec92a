# %% TOLD_APART
from dotseg.method.diagnostics import TOLD_APART

print(TOLD_APART)


# %% look_alikes
import torch
from dotseg.method.diagnostics import look_alikes

three = torch.tensor([[0.30, 0.301, 0.2], [0.301, 0.30, 0.2], [0.2, 0.2, 0.3]], dtype=torch.float64)  # sky, blue sky, grass; three patches
print(look_alikes(three, 0.75, 100.0))

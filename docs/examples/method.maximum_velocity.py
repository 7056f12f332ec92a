# %% maximum_velocity
import torch
from dotseg.method.maximum_velocity import maximum_velocity

swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
swung = maximum_velocity(torch.tensor([[1.0, 0.0]]), swap)

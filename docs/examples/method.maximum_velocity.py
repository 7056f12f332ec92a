# %% maximum_velocity
import torch
from dotseg.method.maximum_velocity import maximum_velocity

f = torch.tensor([[1.0, 0.0, 0.0]])  # one class, sure of the first of three patches
attention = torch.tensor([[0.6, 0.4, 0.0], [0.4, 0.2, 0.4], [0.0, 0.4, 0.6]])
print(maximum_velocity(f, attention))  # whole part: the step at which a patch settles; fraction: its level

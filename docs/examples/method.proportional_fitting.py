# %% doubly_stochastic
import torch
from dotseg.method.proportional_fitting import doubly_stochastic

attention3 = torch.tensor([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.4, 0.2, 0.4]], dtype=torch.float64)
transition = doubly_stochastic(attention3)

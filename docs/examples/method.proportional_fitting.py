# %% fit_factors
import torch

from dotseg.method.proportional_fitting import fit_factors

attention = torch.tensor([[0.6, 0.4], [0.1, 0.9]])
print(fit_factors(attention, n_iters=15))


# %% doubly_stochastic
import torch
from dotseg.method.proportional_fitting import doubly_stochastic

attention3 = torch.tensor([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.4, 0.2, 0.4]], dtype=torch.float64)
transition = doubly_stochastic(attention3)

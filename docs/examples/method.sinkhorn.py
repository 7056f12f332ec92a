# %% ROW_ERROR
from dotseg.method.sinkhorn import ROW_ERROR

print(ROW_ERROR)


# %% WIDEN
from dotseg.method.sinkhorn import WIDEN

print(WIDEN)


# %% sinkhorn
import torch
from dotseg.method.sinkhorn import sinkhorn

cost3 = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
two = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
third = torch.full((3,), 1 / 3, dtype=torch.float64)
mu, nu, kernel = sinkhorn(cost3, two, third, eps=1, n_iters=1)

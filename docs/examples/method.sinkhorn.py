# %% ROW_ERROR
from dotseg.method.sinkhorn import ROW_ERROR

print(ROW_ERROR)


# %% WIDEN
from dotseg.method.sinkhorn import WIDEN

print(WIDEN)


# %% SinkhornResult
import torch

from dotseg.method.sinkhorn import SinkhornResult, sinkhorn

third = torch.full((3,), 1 / 3)
found = sinkhorn(1 - torch.eye(3), torch.tensor([[0.8, 0.1, 0.1]]), third, eps=0.5, n_iters=100)
assert isinstance(found, SinkhornResult)
print(found.plan())


# %% sinkhorn
import torch
from dotseg.method.sinkhorn import sinkhorn

cost3 = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
two = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
third = torch.full((3,), 1 / 3, dtype=torch.float64)
mu, nu, kernel = sinkhorn(cost3, two, third, eps=1, n_iters=1)


# %% FINEST
import torch

from dotseg.method.errors import DotsegError
from dotseg.method.sinkhorn import FINEST, sinkhorn

half = torch.full((2,), 0.5)
try:
    sinkhorn(1 - torch.eye(2), half[None], half, eps=0.1 / FINEST, n_iters=1)
except DotsegError as error:
    print(error)

# %% check_shapes
import torch
from dotseg.method.checks import check_shapes

check_shapes(image=(torch.zeros(2, 3, 32, 48), "... 3 H W"))


# %% as_float
import math
import torch
from dotseg.method.checks import as_float
from torch.testing import assert_close

assert_close(as_float(torch.tensor([0.5, -math.inf]), "logits"), torch.tensor([0.5, -math.inf]))


# %% is_number
from dotseg.method.checks import is_number

print(is_number(0.5, 0, 1), is_number(0, 0, 1, above=True), is_number("0.5"))


# %% check_number
from dotseg.method.checks import check_number

check_number("tau", 0.3, low=0)


# %% to_grid
import torch
from dotseg.method.checks import to_grid

tokens = torch.arange(6)
grid = to_grid(tokens, (2, 3))


# %% to_tokens
import torch
from dotseg.method.checks import to_grid, to_tokens
from torch.testing import assert_close

maps = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))  # two images, five classes, six patches
assert_close(to_tokens(to_grid(maps, (2, 3))), maps)


# %% has_values
import torch

from dotseg.method.checks import has_values

print(has_values(torch.zeros(2)), has_values(torch.zeros(2, device="meta")))


# %% need_values
import torch

from dotseg.method.checks import need_values
from dotseg.method.errors import DotsegError

need_values("labels", torch.zeros(2))
try:
    need_values("labels", torch.zeros(2, device="meta"))
except DotsegError as error:
    print(error)


# %% in_range
import torch

from dotseg.method.checks import in_range

print(in_range(0.5, torch.float32), in_range(1e300, torch.float32), in_range(1e-300, torch.float32))


# %% divide
import torch

from dotseg.method.checks import divide

y = torch.tensor([2.0, 0.0], requires_grad=True)
divide(torch.tensor([1.0, 0.0]), y).sum().backward()
print(divide(torch.tensor([1.0, 0.0]), y), y.grad)  # no NaN in either

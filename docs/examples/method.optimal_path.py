# %% kl_discrepancy
import torch
from dotseg.method.optimal_path import kl_discrepancy

print("shares of the divergence:", [round(x, 3) for x in kl_discrepancy(torch.tensor([[0.0, 0.05, 0.15, 0.3, 0.5]]))[0].tolist()])


# %% attention_cost
import torch
from dotseg.method.optimal_path import attention_cost
from torch.testing import assert_close

draw = torch.Generator().manual_seed(0)
row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
region = (column + 0.5 * row > 5.6).flatten()
place = torch.stack([row.flatten(), column.flatten()], -1).double()
affinity = 2.5 * (region[:, None] == region) - 0.15 * torch.cdist(place, place) + 0.5 * torch.randn(64, 64, generator=draw).double()
attention = torch.softmax(affinity, -1)
cost = 1 - attention / attention.amax(-1, keepdim=True)
assert_close(attention_cost(attention), cost)


# %% optimal_path
import torch
from dotseg.method.optimal_path import optimal_path

blocks = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
corners = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
optimal_path(corners, blocks)

# %% attention_probs
import torch
from dotseg.method.attention import attention_probs

queries, keys = torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, -1.0], [0.0, 1.0]])
attention = attention_probs(queries, keys)


# %% resize_attention
import torch
from dotseg.method.attention import resize_attention
from torch.testing import assert_close

assert_close(resize_attention(torch.ones(1, 1), (1, 1), (2, 2)), torch.full((4, 4), 0.25))


# %% merge_attention
import torch
from dotseg.method.attention import merge_attention

two = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
layers = {"coarse": (two, (1, 2)), "fine": (torch.eye(4, dtype=torch.float64), (1, 4))}
merged = merge_attention(layers, {"coarse": 1, "fine": 3}, (1, 4))

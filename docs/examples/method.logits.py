# %% reject_early
import torch
from dotseg.method.logits import reject_early

by_hand = torch.tensor([[0.30, 0.29, 0.25, 0.20], [0.20, 0.20, 0.24, 0.30], [0.10, 0.10, 0.10, 0.10]], dtype=torch.float64)
kept = reject_early(by_hand[:, None])  # a grid of one row


# %% confidence
import torch
from dotseg.method.logits import confidence

by_hand = torch.tensor([[0.30, 0.29, 0.25, 0.20], [0.20, 0.20, 0.24, 0.30], [0.10, 0.10, 0.10, 0.10]], dtype=torch.float64)
together = torch.tensor([0, 0, 1])  # sky and grass, and boat
print(confidence(by_hand[:, None], groups=together)[:, 0].numpy().round(4))


# %% suppress_non_maxima
import torch
from dotseg.method.logits import suppress_non_maxima

by_hand = torch.tensor([[0.30, 0.29, 0.25, 0.20], [0.20, 0.20, 0.24, 0.30], [0.10, 0.10, 0.10, 0.10]], dtype=torch.float64)
survivors = suppress_non_maxima(by_hand[:, None])


# %% normalise
import torch
from dotseg.method.logits import normalise, suppress_non_maxima

by_hand = torch.tensor([[0.30, 0.29, 0.25, 0.20], [0.20, 0.20, 0.24, 0.30], [0.10, 0.10, 0.10, 0.10]], dtype=torch.float64)
survivors = suppress_non_maxima(by_hand[:, None])
f = normalise(survivors)

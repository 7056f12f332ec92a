# %% MEASURES
import json
from dotseg.method.background import Background
from dotseg.method.measures import MEASURES
from dotseg.method.refine import DiscrepancyConfig
from fastcore.test import test_eq

for mode in MEASURES:  # written down and read again
    choices = DiscrepancyConfig(mode, scale=25.0, background=Background(["sky"], confidence=0.2))
    test_eq(DiscrepancyConfig.from_description(json.loads(json.dumps(choices.describe()))), choices)


# %% Measure, find_measure
import torch

from dotseg.method.measures import Measure, find_measure

path = find_measure("path")  # with the settings of the paper
assert isinstance(path, Measure)
print(path, path(torch.tensor([[1.0, 0.0, 0.0]]), torch.full((3, 3), 1 / 3)))


# %% OptimalPath
import torch
from dotseg.method.measures import OptimalPath

f, attention = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.1], [0.1, 0.9]])
print(OptimalPath(eps=0.2, n_iters=20)(f, attention))


# %% MaximumVelocity
import torch
from dotseg.method.measures import MaximumVelocity

f, attention = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.1], [0.1, 0.9]])
print(MaximumVelocity(tau=0.05)(f, attention))


# %% KLDivergence
import torch
from dotseg.method.measures import KLDivergence

print(KLDivergence()(torch.tensor([[0.8, 0.1, 0.1]])))  # reads no attention


# %% Alone
import torch
from dotseg.method.measures import Alone

print(Alone()(torch.tensor([[0.8, 0.1, 0.1]])))  # reads no attention


# %% KernelVote
import torch
from dotseg.method.measures import KernelVote

f, attention = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.1], [0.1, 0.9]])
print(KernelVote(eps=0.5)(f, attention))


# %% Fused
import torch

from dotseg.method.measures import Fused

print(Fused()(torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]]), torch.full((3, 3), 1 / 3)))


# %% ContrastVote
import torch
from dotseg.method.measures import ContrastVote
from dotseg.method.refine import DiscrepancyConfig, refine
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene

logit_source, attention_source = load_miniature()
scene = draw_scene(LESSON_SEED)
image = torch.tensor(scene.image).permute(2, 0, 1) / 255
logits = logit_source(image[None], CLASSES)[0]
attention = attention_source(image[None], tuple(logits.shape[-2:]))[0]
config = DiscrepancyConfig(ContrastVote(), confidence_threshold=0.5, scale=15.0)  # the settings of the preset
print(refine(logits, attention, image, config).labels.unique())


# %% RawLogits
import torch

from dotseg.method.measures import RawLogits

print(RawLogits()(torch.tensor([[[0.3, 0.1]], [[0.2, 0.4]]])))

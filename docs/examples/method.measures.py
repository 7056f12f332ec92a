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
from dotseg.method.measures import MaximumVelocity, OptimalPath

path, velocity = OptimalPath(eps=0.2, n_iters=20), MaximumVelocity(tau=0.1)


# %% MaximumVelocity
from dotseg.method.measures import MaximumVelocity, OptimalPath

path, velocity = OptimalPath(eps=0.2, n_iters=20), MaximumVelocity(tau=0.1)


# %% KLDivergence
from dotseg.method.measures import Alone, KLDivergence
from dotseg.miniature.picturebook import PictureBook
from dotseg.segmentation.presets import PRESETS
from dotseg.segmentation.segmenter import Segmenter

segmenter, settings, book = Segmenter.from_preset("picturebook"), PRESETS["picturebook"].settings, PictureBook("test", 60)
PLAIN = {"f / max f": settings(mode=Alone()), "KL": settings(mode=KLDivergence())}


# %% Alone
from dotseg.method.measures import Alone, KLDivergence
from dotseg.miniature.picturebook import PictureBook
from dotseg.segmentation.presets import PRESETS
from dotseg.segmentation.segmenter import Segmenter

segmenter, settings, book = Segmenter.from_preset("picturebook"), PRESETS["picturebook"].settings, PictureBook("test", 60)
PLAIN = {"f / max f": settings(mode=Alone()), "KL": settings(mode=KLDivergence())}


# %% KernelVote
from dotseg.method.measures import KernelVote
from dotseg.method.refine import DiscrepancyConfig

by_hand = DiscrepancyConfig(mode=KernelVote(eps=0.5), scale=10.0)


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
by_hand = refine(logits, attention, image, DiscrepancyConfig(ContrastVote(), confidence_threshold=0.5, scale=15.0))  # the settings of the preset


# %% RawLogits
import torch

from dotseg.method.measures import RawLogits

print(RawLogits()(torch.tensor([[[0.3, 0.1]], [[0.2, 0.4]]])))

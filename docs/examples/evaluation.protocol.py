# %% LONGEST
from dotseg.evaluation.protocol import LONGEST

print(LONGEST)


# %% PROTOCOLS
from dotseg.evaluation.protocol import PROTOCOLS

print(PROTOCOLS)


# %% Protocol
from dotseg.evaluation.protocol import Protocol

Protocol(short=336, crop=224, stride=112)


# %% window_starts
from dotseg.evaluation.protocol import window_starts

corners = [(y, x) for y in window_starts(40, 24, 12) for x in window_starts(56, 24, 12)]


# %% merge_windows
import torch
from dotseg.evaluation.protocol import merge_windows

merge_windows(torch.tensor([[[[1.0], [2.0]]], [[[4.0], [8.0]]]]), [(0, 0), (1, 0)], (2, 1), (3, 1)).flatten()


# %% ProtocolLogits
import torch

from dotseg.evaluation.protocol import Protocol, ProtocolLogits
from dotseg.miniature.embedded import load_miniature

logits, attention = load_miniature()
windows = ProtocolLogits(logits, Protocol(crop=96, stride=32))
print(windows(torch.rand(1, 3, 128, 128), ["sky", "grass"]).shape)


# %% for_dataset
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.protocol import for_dataset
from dotseg.segmentation.segmenter import Segmenter

voc = DATASETS["voc21"]
plain = Segmenter.from_preset("picturebook")
with_words, classes = for_dataset(plain, voc)


# %% by_protocol
from dotseg.evaluation.protocol import Protocol, by_protocol
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
picture = draw_scene(LESSON_SEED).image
unsure = by_protocol(segmenter, Protocol(background_threshold=0.6, scale=12.0))(picture, CLASSES)


# %% find_protocol
from dotseg.evaluation.protocol import Protocol, find_protocol
from fastcore.test import test_eq

test_eq(find_protocol("mmseg"), Protocol(short=336, crop=224, stride=112, mmseg=True))

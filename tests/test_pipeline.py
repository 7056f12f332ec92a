"What the pipeline asks of its sources, and what it does not."
import numpy as np
import pytest
import torch

from dotseg.method.measures import MEASURES
from dotseg.method.refine import DiscrepancyConfig
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.models.clip import ClipAttention, ClipLogits
from dotseg.segmentation.pipeline import encode
from dotseg.segmentation.segmenter import Segmenter

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


class Sources:
    "Both sources, counting how often each is asked and for which names."

    def __init__(self):
        self.names, self.asked = [], 0

    def logits(self, images, names):
        self.names.append(list(names))
        return torch.rand(len(images), len(names), 4, 5, generator=torch.Generator().manual_seed(0))

    def attention(self, images, grid):
        self.asked += 1
        return torch.eye(grid[0] * grid[1]).expand(len(images), -1, -1)


@pytest.mark.parametrize("mode", MEASURES)
def test_attention_is_asked_for_only_where_it_is_read(mode):
    sources = Sources()
    Segmenter(sources.logits, sources.attention, DiscrepancyConfig(mode, confidence_threshold=0.0))(PICTURE, ["a", "b|c"])
    assert sources.asked == MEASURES[mode].uses_attention
    assert sources.names == [["a", "b", "c"]]  # a source sees plain names


def test_a_class_has_the_logit_of_its_best_name():
    sources = Sources()
    found = encode([PICTURE], ["a", "b|c"], sources.logits, None)[0]
    assert found.attention is None and found.cosines.shape == (3, 4, 5)
    assert torch.equal(found.logits, torch.stack([found.cosines[0], found.cosines[1:].amax(0)]))


@pytest.mark.parametrize("kind", ["kk_mean", "origin"])
def test_one_clip_for_both_runs_once(kind):
    model, page = read_weights(build_clip(), "clip"), draw_scene(1_000_000).image
    logits, attention = ClipLogits(model, MiniatureTokenizer(), kind), ClipAttention(model, "kk")
    passes = []
    hook = model.visual.transformer.resblocks[0].register_forward_hook(lambda *_: passes.append(1))
    last = model.visual.transformer.resblocks[-1].register_forward_hook(lambda *_: passes.append("last"))
    shared = Segmenter(logits, attention, DiscrepancyConfig("path", scale=15.0))(page, CLASSES)
    hook.remove(), last.remove()
    assert passes == [1]  # one pass, and never through the stock last block
    apart = Segmenter(lambda images, names: logits(images, names), attention, DiscrepancyConfig("path", scale=15.0))(page, CLASSES)
    assert torch.equal(shared.labels, apart.labels) and torch.equal(shared.scores, apart.scores)

"Every source of logits with every source of attention, end to end in miniature."
import functools

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from dotseg.method.refine import DiscrepancyConfig, refine
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.models.clip import LAST_ATTENTION, ClipAttention, ClipLogits
from dotseg.models.vit import VitAttention

PAGES = {"square": (128, 128), "wide": (80, 128)}


@functools.cache
def miniature():
    return load_miniature()


def dino(registers, **options):
    torch.manual_seed(0)
    config = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=126, patch_size=14, initializer_range=0.2)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**config)) if registers else Dinov2Model(Dinov2Config(**config))
    return VitAttention(model, **options)


LOGITS = {
    kind: lambda kind=kind: ClipLogits(miniature()[0].model, miniature()[0].prompts.tokenize, kind, image_size=128) for kind in LAST_ATTENTION
}
ATTENTION = {
    "diffusion": lambda: miniature()[1],
    **{f"CLIP {kind}": lambda kind=kind: ClipAttention(miniature()[0].model, kind, image_size=128) for kind in ("qk", "qq", "kk")},
    **{f"DINOv2 {kind}": lambda kind=kind: dino(False, kind=kind) for kind in ("qk", "qq", "kk")},
    **{f"DINOv2 with registers {kind}": lambda kind=kind: dino(True, kind=kind) for kind in ("qk", "qq", "kk")},
    "DINOv2 with registers, all layers": lambda: dino(True, layers=range(2)),
}


def page(name):
    h, w = PAGES[name]
    return torch.tensor(draw_scene(7).image).permute(2, 0, 1)[None, :, :h, :w].float() / 255


@functools.cache
def logits_of(source, name):
    return LOGITS[source]()(page(name), CLASSES)


@functools.cache
def attention_of(source, name):
    return ATTENTION[source]()(page(name), tuple(logits_of("kk_mean", name).shape[-2:]))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("logits", LOGITS)
def test_every_pair(logits, attention, name):
    scores, rows, image = logits_of(logits, name), attention_of(attention, name), page(name)
    n = scores.shape[-2] * scores.shape[-1]
    assert scores.shape[:2] == (1, len(CLASSES)) and rows.shape == (1, n, n)
    assert (scores.shape[-2] < scores.shape[-1]) == (name == "wide")
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, n))
    for mode in ("velocity", "path"):
        out = refine(scores[0], rows[0], image[0], DiscrepancyConfig(mode=mode, scale=25.0))
        assert out.scores.isfinite().all() and out.scores.shape == (len(out.kept), *PAGES[name])
        assert out.labels.shape == PAGES[name] and out.labels.dtype == torch.int64
        assert 1 <= len(out.kept) <= len(CLASSES) and set(out.labels.unique().tolist()) <= set(out.kept.tolist()) <= set(range(len(CLASSES)))

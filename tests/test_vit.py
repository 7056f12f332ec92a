"Self-attention of vision transformers, on small models with random weights; with --slow DINOv2 in the published size."
import json
import math
import os
import pickle
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from real_formats import dino_shapes, write_dino
from test_clip import REFUSED_IMAGES, hooks_of, pictures
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from torch.testing import assert_close
from transformers import BeitConfig, BeitModel, BertConfig, BertModel, CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel, DeiTConfig, DeiTModel, Dinov2Config
from transformers import Dinov2ForImageClassification, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel, DINOv3ViTConfig, DINOv3ViTModel, IJepaConfig
from transformers import IJepaModel, SamConfig, SamModel, SamVisionConfig, SamVisionModel, Siglip2VisionConfig, Siglip2VisionModel, SiglipConfig, SiglipModel
from transformers import SiglipVisionConfig, SiglipVisionModel, SwinConfig, SwinModel, ViTConfig, ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel, ViTModel
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from watching import Largest

from dotseg.method.attention import resize_attention
from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.models.vit import DINOV2_B14, DINOV2_B14_REG, DINOV3_B16, MEAN, STD, VitAttention, global_layers, head_mean, hear_attention, image_tower, load_vit

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
KINDS = ("qk", "qq", "kk")
CONFIG = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14)
SMALL = dict(width=48, layers=3, heads=4, image_size=56)


def tiny(registers=0, seed=0, **options):
    torch.manual_seed(seed)
    config = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14, initializer_range=0.2) | options
    if registers:
        model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**config, num_register_tokens=registers))
    else:
        model = Dinov2Model(Dinov2Config(**config))
    for p in model.parameters():  # away from the zeros and ones that layers start with
        p.data += 0.05 * torch.randn_like(p)
    return model.eval().requires_grad_(False)


def prepared(images):
    return (images - torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_DEFAULT_STD).view(3, 1, 1)


def projections(layer):
    attn = getattr(layer.attention, "attention", layer.attention)
    return {"q": attn.q_proj, "k": attn.k_proj} if hasattr(attn, "q_proj") else {"q": attn.query, "k": attn.key}  # up to transformers 5.16


def heard_from(model, layer, images):  # the queries and keys of a layer, (b, heads, t, d)
    found = []
    with torch.no_grad(), hear_attention([layer], lambda *call: found.append(call)):
        model(images)
    (number, q, k, bias, scale), = found
    assert number == layer and bias is None
    return q, k


def extra_of(model):
    return 1 + getattr(model.config, "num_register_tokens", 0)


def stock(model, images, layers=(-1,)):
    "What transformers' plain implementation gives out, its mean, without what is no patch, rows divided by their sum; in double precision."
    twin = type(model)(type(model.config)(**model.config.to_dict(), attn_implementation="eager")).eval()
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        found = twin(prepared(images), output_attentions=True).attentions
    mean = torch.stack([found[i].double().mean(1) for i in layers]).mean(0)[:, extra_of(model) :, extra_of(model) :]
    return (mean / mean.sum(-1, keepdim=True)).float()


def by_hand(model, images, kind, number):
    "Layer norm, projections and softmax of one layer written out, head by head, in double precision."
    twin = type(model)(model.config).eval()
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        x = twin(prepared(images), output_hidden_states=True).hidden_states[number].double()
    layer, heads, extra = model.encoder.layer[number], model.config.num_attention_heads, extra_of(model)
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + layer.norm1.eps).sqrt() * layer.norm1.weight + layer.norm1.bias
    made = {name: x @ p.weight.double().T + p.bias for name, p in projections(layer).items()}
    d, total = made["q"].shape[-1] // heads, 0
    for h in range(heads):
        a, b = (made[name][..., h * d : h * d + d] for name in kind)
        weights = (a @ b.mT / d**0.5).exp()
        total = total + weights / weights.sum(-1, keepdim=True)
    total = total[:, extra:, extra:]
    return (total / total.sum(-1, keepdim=True)).float()


# against the stock model


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(56, 56), (28, 28), (70, 42), (28, 112), (14, 14)])
@pytest.mark.parametrize("registers", [0, 1, 4])
def test_as_trained_it_is_the_stock_model(registers, size, device):
    model, images = tiny(registers), pictures(2, 3, *size)
    grid = (size[0] // 14, size[1] // 14)
    for layers in ((0,), (1,), (-1,), (0, 2), (0, 1, 2)):
        source = VitAttention(tiny(registers).to(device), layers=layers, image_size=round(math.sqrt(size[0] * size[1])))
        got = source(images, grid)  # images on the CPU, wherever the model is
        assert got.dtype == torch.float32 and got.device.type == device and not got.requires_grad
        assert_close(got.cpu(), stock(model, images, layers), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("registers", [0, 4])
def test_every_kind_by_hand(registers, kind):
    model, images = tiny(registers), pictures(2, 3, 42, 70)
    for number in range(3):
        got = VitAttention(model, kind, [number], image_size=round(math.sqrt(42 * 70)))(images, (3, 5))
        assert_close(got, by_hand(model, images, kind, number), atol=1e-5, rtol=1e-3)


def test_registers_are_the_tokens_that_leave():
    "Without their share of the softmax it is another attention; with the wrong tokens dropped it would be the wrong patches."
    model = tiny(4)
    images = pictures(1, 3, 56, 56)
    q, k = heard_from(model, 2, prepared(images))
    assert q.shape == (1, 4, 1 + 4 + 16, 12)
    for drop, same in ((5, True), (1, False), (4, False)):
        part = head_mean(q, k, drop)[:, -16:, -16:]
        whole = head_mean(q, k)[:, -16:, -16:]
        assert_close(part, whole, atol=1e-6, rtol=1e-5)
        assert (head_mean(q, k, drop).shape[-1] == 16) == same
    got = VitAttention(model)(images, (4, 4))
    assert_close(got, whole / whole.sum(-1, keepdim=True), atol=1e-6, rtol=1e-5)
    only = (q[:, :, 5:].double() @ k[:, :, 5:].double().mT / 12**0.5).softmax(-1).mean(1)
    assert (got - only).abs().max() > 1e-4  # the softmax runs over all tokens, then the mean is taken, then rows are divided


# queries and keys


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(0, 11), st.integers(1, 60),
       st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]), st.sampled_from([None, 0.3]), st.sampled_from([None, (1, 1, 1, 1), (1, 1, 0, 0), (0, 0, 0, 0)]))
def test_head_mean(b, t, heads, d, skip, chunk, dtype, scale, axes):
    skip = min(skip, t - 1)
    q, k = (pictures(b, heads, t, d, seed=seed).mul(4).sub(2).to(dtype) for seed in (1, 2))
    bias = None if axes is None else pictures(*(size if own else 1 for size, own in zip((b, heads, t, t), axes)), seed=3)
    scores = q.double() @ k.double().mT * (scale or 1 / math.sqrt(d)) + (0 if bias is None else bias.double())
    want = scores.softmax(-1).mean(1)[:, skip:, skip:]
    got = head_mean(q, k, skip, bias, scale, chunk)
    assert got.dtype == torch.float32 and got.shape == (b, t - skip, t - skip)
    assert_close(got, want.float(), atol=1e-6, rtol=1e-5)
    assert (got.sum(-1) <= 1 + 1e-5).all()


@pytest.mark.parametrize("mask", [None, torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(3)) > 0.5, torch.arange(25.0).reshape(1, 1, 5, 5) / 9])
@pytest.mark.parametrize("scale", [None, 0.2])
def test_what_is_heard_makes_the_probabilities(mask, scale):
    "Against what PyTorch's attention makes of values that are one for each token, so that it gives out its probabilities."
    q, k = pictures(2, 3, 5, 5, seed=1), pictures(2, 3, 5, 5, seed=2)
    mask = mask if mask is None or mask.dtype != torch.bool else mask | torch.eye(5, dtype=torch.bool)
    heard = []
    with hear_attention([1], lambda *call: heard.append(call)):
        for _ in range(3):
            nn.functional.scaled_dot_product_attention(q, k, torch.eye(5).expand(2, 3, 5, 5), mask, scale=scale)
    want = nn.functional.scaled_dot_product_attention(q, k, torch.eye(5).expand(2, 3, 5, 5), attn_mask=mask, scale=scale).mean(1)
    (number, *made), = heard
    assert number == 1 and (made[2] is None) == (mask is None)
    assert_close(head_mean(made[0], made[1], 0, *made[2:]), want, atol=1e-6, rtol=1e-5)


class OldSelfAttention(nn.Module):
    "DINOv2's attention in older versions of transformers: one module deeper, other names, keys made before queries."

    def __init__(self, new):
        super().__init__()
        self.num_attention_heads, self.query, self.key, self.value = new.num_attention_heads, new.q_proj, new.k_proj, new.v_proj

    def forward(self, x):
        k, v, q = (p(x).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2) for p in (self.key, self.value, self.query))
        return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class OldAttention(nn.Module):
    def __init__(self, new):
        super().__init__()
        self.attention, self.output = OldSelfAttention(new), new.o_proj

    def forward(self, x, *args, **kwargs):
        return self.output(self.attention(x)), None


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_of_older_transformers(kind):
    images, new, old = pictures(1, 3, 56, 56), tiny(4), tiny(4)
    if not hasattr(new.encoder.layer[0].attention, "q_proj"):
        pytest.skip("this is an older transformers")
    for layer in old.encoder.layer:
        layer.attention = OldAttention(layer.attention)
    for layers in ([-1], [0, 1, 2]):
        assert_close(VitAttention(old, kind, layers)(images, (4, 4)), VitAttention(new, kind, layers)(images, (4, 4)), atol=1e-6, rtol=1e-4)


# the pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [[0], [1], [0, 1], [-1]])
def test_nothing_runs_behind_the_last_attention(kind, layers):
    model, ran = tiny(4), []
    watch = [m.register_forward_pre_hook(lambda m, args, name=name: ran.append(name)) for name, m in model.named_modules()]
    VitAttention(model, kind, layers)(pictures(1, 3, 56, 56), (4, 4))
    for hook in watch:
        hook.remove()
    last = range(3)[layers[-1]]
    assert ran[-1].startswith(f"encoder.layer.{last}.attention") and not any(name.endswith("o_proj") and f".{last}." in name for name in ran)
    assert f"encoder.layer.{last}.mlp" not in ran and "layernorm" not in ran


@pytest.mark.parametrize("where", ["embeddings", "encoder.layer.0.mlp", "encoder.layer.2.norm1"])
def test_nobody_listens_after_a_failure(where):
    model, images = tiny(4), pictures(1, 3, 56, 56)
    source = VitAttention(model, layers=[0, 1, 2])
    want, implementation = source(images, (4, 4)), model.config._attn_implementation

    def fail(*_):
        raise KeyboardInterrupt  # not even an Exception

    hook = model.get_submodule(where).register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        source(images, (4, 4))
    hook.remove()
    assert hooks_of(model) == 0 and model.config._attn_implementation == implementation and not _get_current_function_mode_stack()
    assert torch.equal(source(images, (4, 4)), want)
    assert not _get_current_function_mode_stack()


def test_threads_hear_themselves_alone():
    "One model for all: nothing is written into it."
    source, images = VitAttention(tiny(4), layers=[0, 1, 2]), pictures(8, 3, 56, 56)
    want = [source(image[None], (4, 4)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert all(torch.equal(a, b) for a, b in zip(pool.map(lambda image: source(image[None], (4, 4)), images), want))


def test_the_model_says_afterwards_what_it_said_before():
    model, images = tiny(4), pictures(1, 3, 56, 56)
    with torch.no_grad():
        before = model(images).last_hidden_state
        VitAttention(model, "kk", [0, 1])(images, (4, 4))
        assert torch.equal(model(images).last_hidden_state, before)


def test_a_model_that_hands_out_its_states_all_the_same():
    model, images = tiny(4), pictures(1, 3, 56, 56)
    want = VitAttention(model)(images, (4, 4))
    model.config.output_hidden_states = True
    assert torch.equal(VitAttention(model)(images, (4, 4)), want)
    assert len(model(images).hidden_states) == 4


def test_the_model_is_put_into_evaluation_mode():
    model = tiny(0, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5, drop_path_rate=0.5).train()
    source, images = VitAttention(model), pictures(1, 3, 56, 56)
    assert not model.training and torch.equal(source(images, (4, 4)), source(images, (4, 4)))


def test_no_matrix_for_each_head():
    model, images = tiny(4, hidden_size=32, num_attention_heads=16, num_hidden_layers=4, mlp_ratio=1), pictures(1, 3, 448, 448)
    n = 32 * 32
    with Largest() as largest:
        VitAttention(model, layers=range(4), image_size=448)(images, (32, 32))
    assert n * n <= largest.size < 2 * n * n


# images and grids


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 80), st.sampled_from(KINDS), st.sampled_from([0, 4]), st.integers(1, 9), st.integers(1, 9))
def test_any_image_and_any_grid(height, width, image_size, kind, registers, h, w):
    attention = VitAttention(tiny(registers), kind, image_size=image_size)(pictures(1, 3, height, width), (h, w))
    assert attention.shape == (1, h * w, h * w) and attention.amin() >= 0
    assert_close(attention.sum(-1), torch.ones(1, h * w))


def test_other_grids_are_resized():
    source, images = VitAttention(tiny(4)), pictures(2, 3, 56, 56)
    own = source(images, (4, 4))
    for grid in ((2, 2), (3, 5), (8, 8)):
        assert_close(source(images, grid), resize_attention(own, (4, 4), grid))


def test_side_is_the_models_own():
    assert VitAttention(tiny()).image_size == 56
    assert VitAttention(tiny(4, image_size=98)).image_size == 98
    other = VitAttention(tiny(4, patch_size=8, image_size=64))
    assert (other.image_size, other.patch) == (64, 8)
    assert other(pictures(1, 3, 64, 64), (8, 8)).shape == (1, 64, 64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("registers", [0, 4])
def test_other_precisions(dtype, registers):
    images = pictures(2, 3, 56, 56)
    want = VitAttention(tiny(registers))(images, (4, 4))
    got = VitAttention(tiny(registers).to(dtype))(images, (4, 4))
    assert got.dtype == torch.float32
    assert_close(got, want, atol=1e-6 if dtype == torch.float64 else 0.05, rtol=1e-4)
    assert_close(VitAttention(tiny(registers))(images.to(dtype), (4, 4)), want, atol=1e-2, rtol=0)


def test_images_are_independent():
    source, images = VitAttention(tiny(4), layers=[0, 1, 2]), pictures(3, 3, 56, 56)
    assert_close(source(images, (4, 4)), torch.cat([source(image[None], (4, 4)) for image in images]), atol=1e-6, rtol=1e-4)


def test_a_row_that_gives_patches_nothing_is_uniform():
    model = tiny(4)
    with torch.no_grad():
        for name, p in projections(model.encoder.layer[-1]).items():
            p.weight.zero_(), p.bias.zero_()
            if name == "q":
                p.bias.fill_(1000)

    def answer(module, args, out):  # the first register answers, and nobody else
        out = out.clone()
        out[:, 1] = 1000
        return out

    hook = projections(model.encoder.layer[-1])["k"].register_forward_hook(answer)
    got = VitAttention(model)(pictures(1, 3, 56, 56), (4, 4))
    hook.remove()
    assert_close(got, torch.full((1, 16, 16), 1 / 16))


def test_nan_weights_are_refused_by_name():
    model = tiny()
    projections(model.encoder.layer[-1])["q"].bias[3] = math.nan
    with pytest.raises(ValueError, match="attention: .* values are NaN"):
        VitAttention(model)(pictures(1, 3, 56, 56), (4, 4))
    assert hooks_of(model) == 0


def test_colours_are_imagenets():
    assert (list(MEAN), list(STD)) == (list(IMAGENET_DEFAULT_MEAN), list(IMAGENET_DEFAULT_STD))


# errors


@pytest.mark.parametrize("images, message", REFUSED_IMAGES)
def test_refused_images(images, message):
    model = tiny()
    with pytest.raises(ValueError, match=message):
        VitAttention(model)(images, (4, 4))
    assert hooks_of(model) == 0


@pytest.mark.parametrize("grid", [(0, 4), (4,), (4, -1)])
def test_refused_grid(grid):
    with pytest.raises(ValueError, match="to_grid"):
        VitAttention(tiny())(pictures(1, 3, 56, 56), grid)


@pytest.mark.parametrize("layers", [[3], [-4], [], -1, 2, None, [0.5], ["last"], "last", [None]])
def test_refused_layers(layers):
    with pytest.raises(ValueError, match=r"layers: got .* expected a list of whole numbers from -3 to 2"):
        VitAttention(tiny(), layers=layers)


def test_layers_count_once_in_any_order():
    model, images = tiny(), pictures(1, 3, 56, 56)
    assert torch.equal(VitAttention(model, layers=[2, 0, -1])(images, (4, 4)), VitAttention(model, layers=(0, 2))(images, (4, 4)))


@pytest.mark.parametrize("kind", ["vv", "kk_mean", "", None, "q", ("q", "k")])
def test_refused_kind(kind):
    with pytest.raises(ValueError, match="kind: got .* expected qk, qq or kk"):
        VitAttention(tiny(), kind)


@pytest.mark.parametrize("make", [
    lambda: nn.Linear(2, 2),
    lambda: BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9)),
    lambda: SwinModel(SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 1], image_size=32, patch_size=4))])
def test_refused_models(make):
    with pytest.raises(ValueError, match="model: got .*, expected a plain vision transformer of transformers"):
        VitAttention(make())


def test_a_model_with_another_implementation_of_attention_is_refused():
    with pytest.raises(ValueError, match="a pass called PyTorch's attention 0 times, expected at least 3; load the model with attn_implementation=\"sdpa\""):
        VitAttention(Dinov2Model(Dinov2Config(**CONFIG, attn_implementation="eager")))(pictures(1, 3, 56, 56), (4, 4))


@pytest.mark.parametrize("image_size", [0, -5, math.nan])
def test_refused_image_size(image_size):
    with pytest.raises(ValueError, match="image_size: got"):
        VitAttention(tiny(), image_size=image_size)(pictures(1, 3, 8, 8), (4, 4))


# other families


def family(model_class, config_class, seed=0, **options):
    torch.manual_seed(seed)
    base = CONFIG | {"intermediate_size": 48, "image_size": 48, "patch_size": 8}
    config = config_class(**{key: value for key, value in (base | options).items() if value is not None})
    model = model_class(config)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return model.eval().requires_grad_(False)


SAM = dict(window_size=4, global_attn_indexes=[0, 2], mlp_dim=48, output_channels=8, num_pos_feats=4)
FAMILIES = {  # -> a model, and how many tokens are no patches
    "DINOv3": (lambda: family(DINOv3ViTModel, DINOv3ViTConfig, num_register_tokens=4), 5),
    "DINOv3, no registers": (lambda: family(DINOv3ViTModel, DINOv3ViTConfig, num_register_tokens=0, use_gated_mlp=True, key_bias=True), 1),
    "MAE": (lambda: family(ViTMAEModel, ViTMAEConfig), 1),
    "I-JEPA": (lambda: family(IJepaModel, IJepaConfig), 0),
    "SAM": (lambda: family(SamVisionModel, SamVisionConfig, **SAM), 0),
    "SigLIP": (lambda: family(SiglipVisionModel, SiglipVisionConfig), 0),
    "SigLIP 2": (lambda: family(Siglip2VisionModel, Siglip2VisionConfig, image_size=None, num_patches=36), 0),
    "CLIP": (lambda: family(CLIPVisionModel, CLIPVisionConfig), 1),
    "ViT": (lambda: family(ViTModel, ViTConfig), 1),
    "DeiT": (lambda: family(DeiTModel, DeiTConfig), 2),
    "BEiT": (lambda: family(BeitModel, BeitConfig, use_relative_position_bias=True), 1),
}


def eager_twin(model):
    twin = type(model)(type(model.config)(**model.config.to_dict(), attn_implementation="eager")).eval()
    twin.load_state_dict(model.state_dict())
    return twin


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(48, 48), (24, 24), (72, 40), (24, 96), (8, 8)])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_its_stock_model(name, size, device):
    make, extra = FAMILIES[name]
    if name == "SAM" and size != (48, 48):
        pytest.skip("takes its own size alone")
    model, images, n = make(), pictures(2, 3, *size), size[0] * size[1] // 64
    for layers in ((0,), (-1,), (0, 2)):
        source = VitAttention(make().to(device), layers=layers, image_size=round(math.sqrt(size[0] * size[1])), colours=((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
        got = source(images, (size[0] // 8, size[1] // 8))
        reference = VitAttention(model, layers=layers, image_size=source.image_size, colours=source.colours)
        given, grid = reference.prepare(images)
        assert grid == (size[0] // 8, size[1] // 8)
        with torch.no_grad():
            found = eager_twin(model)(**given, output_attentions=True).attentions
        found = [x.reshape(2, -1, *x.shape[-2:]) for x in found]  # SAM's has images and heads on one axis
        mean = torch.stack([found[i].double().mean(1) for i in layers]).mean(0)
        assert mean.shape[-1] == extra + n
        mean = mean[:, extra:, extra:]
        assert_close(got.cpu(), (mean / mean.sum(-1, keepdim=True)).float(), atol=1e-5, rtol=1e-3)


def test_what_the_stock_model_is_given():
    "Colours as an image processor makes them, the patches of the flexible SigLIP 2 as its own cuts them, and MAE's in order."
    from transformers.models.siglip2.image_processing_siglip2 import convert_image_to_patches

    images, mean, std = pictures(2, 3, 32, 72), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    want = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    for name in ("MAE", "SigLIP 2", "I-JEPA"):
        source = VitAttention(FAMILIES[name][0](), image_size=48, colours=(mean, std))
        given, grid = source.prepare(images)
        assert grid == (4, 9)
        if name == "SigLIP 2":
            assert_close(given["pixel_values"], torch.stack([convert_image_to_patches(image, 8) for image in want]))
            assert given["spatial_shapes"].tolist() == [[4, 9]] * 2 and bool(given["pixel_attention_mask"].all())
        else:
            assert_close(given["pixel_values"], want)
    mae = FAMILIES["MAE"][0]()
    assert mae.config.mask_ratio == 0.75
    source = VitAttention(mae)
    first = source(images, (6, 6))
    assert mae.config.mask_ratio == 0 and torch.equal(first, source(images, (6, 6)))  # nothing is shuffled


def test_mae_is_a_vit():
    "The same weights in a class that neither masks nor shuffles."
    mae = FAMILIES["MAE"][0]()
    vit = family(ViTModel, ViTConfig, layer_norm_eps=mae.config.layer_norm_eps)
    vit.load_state_dict(mae.state_dict(), strict=False)
    images = pictures(2, 3, 48, 48)
    for kind in KINDS:
        assert_close(VitAttention(mae, kind)(images, (6, 6)), VitAttention(vit, kind)(images, (6, 6)), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["qq", "kk"])
def test_dinov3_compares_what_was_turned_by_its_place(kind):
    model, images = FAMILIES["DINOv3"][0](), pictures(1, 3, 48, 48)
    turned = {}
    with torch.no_grad(), hear_attention([2], lambda number, q, k, bias, scale: turned.update(q=q, k=k)):
        model(prepared(images))
    layer, x = model.model.layer[-1] if hasattr(model, "model") else model.layer[-1], None
    with torch.no_grad():
        x = eager_twin(model)(prepared(images), output_hidden_states=True).hidden_states[2]
        plain = getattr(layer.attention, f"{kind[0]}_proj")(layer.norm1(x)).unflatten(-1, (4, 12)).transpose(1, 2)
    angle = []  # by hand, patch by patch: a quarter of the numbers turns by its row, a quarter by its column, each with its half
    for place in range(36):
        at = torch.tensor([(place // 6 + 0.5) / 6, (place % 6 + 0.5) / 6]) * 2 - 1
        angle.append(torch.cat([2 * math.pi * a / 100 ** torch.arange(0, 1, 4 / 12) for a in at]))
    angle = torch.stack(angle)
    a, b = plain[:, :, 5:, :6], plain[:, :, 5:, 6:]
    want = torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)
    assert_close(turned[kind[0]][:, :, 5:], want, atol=1e-5, rtol=1e-4)
    assert_close(turned[kind[0]][:, :, :5], plain[:, :, :5], atol=1e-5, rtol=1e-4)


def test_sams_windows_and_sizes():
    model = FAMILIES["SAM"][0]()
    assert global_layers(image_tower(model)) == [0, 2] and global_layers(FAMILIES["ViT"][0]()) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"layers: \[1\] attend inside windows, expected some of \[0, 2\]"):
        VitAttention(model, layers=[0, 1])
    with pytest.raises(ValueError, match="image_size: got 64, expected 48, the only size that SamVisionEncoder takes; leave it out"):
        VitAttention(model, image_size=64)
    source = VitAttention(model, layers=[0])
    got = source(pictures(1, 3, 20, 90), (3, 12))  # squeezed to the square
    assert_close(got.sum(-1), torch.ones(1, 36))
    assert source.prepare(pictures(1, 3, 20, 90))[0]["pixel_values"].shape == (1, 3, 48, 48)


def test_relative_positions_count_as_trained_and_not_among_like():
    model, images = FAMILIES["SAM"][0](), pictures(1, 3, 48, 48)
    want = {kind: VitAttention(model, kind)(images, (6, 6)) for kind in KINDS}
    attn = model.vision_encoder.layers[2].attn
    attn.rel_pos_h.data.zero_(), attn.rel_pos_w.data.zero_()
    for kind in KINDS:
        moved = (VitAttention(model, kind)(images, (6, 6)) - want[kind]).abs().sum(-1).max()
        assert moved > 0.01 if kind == "qk" else moved == 0


def test_half_precision_of_every_family():
    images = pictures(2, 3, 48, 48)
    for name, (make, _) in FAMILIES.items():
        for dtype in (torch.bfloat16, torch.float16):
            got = VitAttention(make().to(dtype))(images, (6, 6))
            assert got.dtype == torch.float32
            assert_close(got, VitAttention(make())(images, (6, 6)), atol=0.02, rtol=0, msg=name)


TEXT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
VISION = CONFIG | {"intermediate_size": 48, "image_size": 48, "patch_size": 8}
WHOLE = {  # models of which the image encoder is a part, and the name of the part
    "SigLIP": (lambda: SiglipModel(SiglipConfig(text_config=TEXT | dict(max_position_embeddings=8), vision_config=VISION)), "vision_model", [0.5] * 3),
    "CLIP": (lambda: CLIPModel(CLIPConfig(text_config=TEXT | dict(eos_token_id=2), vision_config=VISION, projection_dim=8)), "vision_model", None),
    "SAM": (lambda: SamModel(SamConfig(vision_config=VISION | SAM, prompt_encoder_config=dict(hidden_size=8, image_size=48, patch_size=8), mask_decoder_config=dict(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, mlp_dim=8, iou_head_hidden_dim=8))), "vision_encoder", list(MEAN)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_folders_of_models_that_do_more(name, tmp_path):
    make, part, mean = WHOLE[name]
    torch.manual_seed(0)
    model = make().eval()
    model.save_pretrained(tmp_path)
    source, images = load_vit(tmp_path), pictures(2, 3, 48, 48)
    assert type(source.model) is type(getattr(model, part)) and source.image_size == 48
    assert_close(source(images, (6, 6)), VitAttention(model, colours=source.colours)(images, (6, 6)))
    if mean is not None:
        assert list(source.colours[0]) == mean
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "do_resize": True}))
    assert load_vit(tmp_path).colours == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])


@pytest.mark.parametrize("name", FAMILIES)
def test_folders_of_every_family(name, tmp_path):
    model, images = FAMILIES[name][0](), pictures(2, 3, 48, 48)
    model.save_pretrained(tmp_path)
    source = load_vit(tmp_path, kind="qq")
    assert torch.equal(source(images, (6, 6)), VitAttention(model, "qq", colours=source.colours)(images, (6, 6)))


def test_a_masked_autoencoder_is_read_without_its_decoder(tmp_path):
    torch.manual_seed(0)
    whole = ViTMAEForPreTraining(ViTMAEConfig(**VISION, decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=16)).eval()
    whole.save_pretrained(tmp_path)
    images = pictures(1, 3, 40, 56)
    assert_close(load_vit(tmp_path)(images, (6, 6)), VitAttention(whole.vit)(images, (6, 6)))


WRAPS = {
    "state_dict": lambda s: {"epoch": 3, "state_dict": s},
    "model": lambda s: {"model": s, "optimizer": {"step": 7}},
    "module": lambda s: {f"module.{key}": x for key, x in s.items()},
    "compiled": lambda s: {f"_orig_mod.{key}": x for key, x in s.items()},
    "all": lambda s: {"model": {"state_dict": {f"module._orig_mod.{key}": x for key, x in s.items()}}},
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_wrapped_checkpoints(wrap, tmp_path):
    from safetensors.torch import load_file, save_file

    want = load_vit(write_dino(tmp_path, True, **SMALL)).model.state_dict()
    wrapped = WRAPS[wrap](load_file(tmp_path / "model.safetensors"))
    (tmp_path / "model.safetensors").unlink()
    torch.save(wrapped, tmp_path / "pytorch_model.bin")
    got = load_vit(tmp_path).model.state_dict()
    assert got.keys() == want.keys() and all(torch.equal(got[key], want[key]) for key in want)
    if not any(isinstance(x, dict) for x in wrapped.values()):
        save_file(wrapped, tmp_path / "model.safetensors")
        (tmp_path / "pytorch_model.bin").unlink()
        assert all(torch.equal(x, want[key]) for key, x in load_vit(tmp_path).model.state_dict().items())


def test_a_folder_with_its_weights_in_several_files(tmp_path):
    model = tiny(4)
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert not (tmp_path / "model.safetensors").exists() and (tmp_path / "model.safetensors.index.json").exists()
    assert_close(load_vit(tmp_path)(pictures(1, 3, 56, 56), (4, 4)), VitAttention(model)(pictures(1, 3, 56, 56), (4, 4)))


# folders


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_a_folder_of_the_real_format(tmp_path, monkeypatch, registers, binary):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    source = load_vit(write_dino(tmp_path, registers, binary=binary, **SMALL), kind="kk", layers=[0, 1], image_size=70)
    assert isinstance(source.model, Dinov2WithRegistersModel if registers else Dinov2Model)
    assert (source.kind, source.layers, source.image_size, source.patch) == ("kk", [0, 1], 70, 14)
    assert not any(p.requires_grad for p in source.model.parameters()) and not source.model.training
    written = dict(dino_shapes(48, 3, 16, registers))
    assert sum(math.prod(shape) for shape in written.values()) == sum(p.numel() for p in source.model.parameters())
    images = pictures(1, 3, 70, 70)
    for number in range(3):
        got = VitAttention(source.model, "kk", [number], image_size=70)(images, (5, 5))
        assert_close(got, by_hand(source.model, images, "kk", number), atol=1e-5, rtol=1e-3)


def test_every_weight_of_a_folder_comes_in(tmp_path):
    from safetensors.torch import load_file

    model = load_vit(write_dino(tmp_path, True, **SMALL)).model
    given = sorted(load_file(tmp_path / "model.safetensors").values(), key=lambda x: (x.shape, x.flatten()[0].item()))
    loaded = sorted(model.parameters(), key=lambda x: (x.shape, x.flatten()[0].item()))
    assert len(given) == len(loaded) and all(torch.equal(a, b) for a, b in zip(given, loaded))
    first = load_file(tmp_path / "model.safetensors")["encoder.layer.1.attention.attention.key.weight"]
    assert torch.equal(projections(model.encoder.layer[1])["k"].weight, first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_folder_in_half_precision(tmp_path, dtype):
    write_dino(tmp_path, True, **SMALL)
    assert next(load_vit(tmp_path).model.parameters()).dtype == torch.float32
    source = load_vit(str(tmp_path), dtype=dtype)
    assert {p.dtype for p in source.model.parameters()} == {dtype}
    assert_close(source(pictures(1, 3, 56, 56), (4, 4)), load_vit(tmp_path)(pictures(1, 3, 56, 56), (4, 4)), atol=0.05, rtol=0)


def test_a_fine_tuned_classifier_is_read_without_its_head(tmp_path):
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=56, initializer_range=0.2)
    tuned = Dinov2ForImageClassification(config).eval()
    tuned.save_pretrained(tmp_path)
    images = pictures(1, 3, 56, 56)
    assert_close(load_vit(tmp_path)(images, (4, 4)), VitAttention(tuned.dinov2)(images, (4, 4)))


def test_checkpoints_are_found_by_their_variables(tmp_path, monkeypatch):
    assert DINOV3_B16.ids[0].startswith("facebook/dinov3-vitb16-pretrain-lvd1689m@") and DINOV3_B16.variable == "DOTSEG_DINOV3"
    for checkpoint, registers in ((DINOV2_B14, False), (DINOV2_B14_REG, True)):
        folder = write_dino(tmp_path / checkpoint.variable, registers, **SMALL)
        monkeypatch.setenv(checkpoint.variable, str(folder))
        found = find_checkpoint(checkpoint, download=False)
        assert all(any(found.path.glob(pattern)) for pattern in checkpoint.files)
        assert load_vit(found.path)(pictures(1, 3, 28, 28), (2, 2)).shape == (1, 4, 4)
        assert checkpoint.ids[0].startswith("facebook/dinov2-") and checkpoint.gigabytes == 0.35


class Code:
    def __reduce__(self):  # what an unpickler would run
        return os.mkdir, ("ran",)


def change(folder, **options):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | options))


def cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])


def another_model(folder, config, cls):
    for file in folder.iterdir():
        file.unlink()
    cls(config).save_pretrained(folder)


def vit(folder):
    another_model(folder, ViTConfig(hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, image_size=56, patch_size=14), ViTModel)


def bert(folder):
    another_model(folder, BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9), BertModel)


def swin(folder):
    another_model(folder, SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 1], image_size=32, patch_size=4), SwinModel)


def vit_in_disguise(folder):
    config = (folder / "config.json").read_text()
    vit(folder)
    (folder / "config.json").write_text(config)


def registers_untold(folder):
    write_dino(folder, True, **SMALL)
    change(folder, model_type="dinov2")


def registers_missing(folder):
    change(folder, model_type="dinov2_with_registers", num_register_tokens=4)


def pickled(folder, protocol=2, torch_format=False):
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save({"weight": Code()}, path) if torch_format else path.write_bytes(pickle.dumps({"weight": Code()}, protocol))


def short_pickle(folder):
    write_dino(folder, binary=True, **SMALL)
    (folder / "model.safetensors").unlink()
    cut(folder / "pytorch_model.bin", 3000)


WRONG = {
    "empty": (lambda f: [file.unlink() for file in f.iterdir()], "no config.json is there"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json is there"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no file named model.safetensors"),
    "BERT": (bert, "model_type 'bert', which is not a plain vision transformer; get one such as facebook/dinov2"),
    "Swin": (swin, "model_type 'swin', which is not a plain vision transformer"),
    "no type": (lambda f: (f / "config.json").write_text("{}"), "damaged, cut short or not a checkpoint"),
    "no type that is known": (lambda f: change(f, model_type="dinov9"), "damaged, cut short or not a checkpoint"),
    "a type with code of its own": (lambda f: change(f, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"}), "holds code besides tensors, and code is never run"),
    "ViT in disguise": (vit_in_disguise, "another model or is incomplete"),
    "wider": (lambda f: change(f, hidden_size=96), "another model or is incomplete"),
    "deeper": (lambda f: change(f, num_hidden_layers=4), "another model or is incomplete"),
    "larger": (lambda f: change(f, image_size=70), "another model or is incomplete"),
    "registers untold": (registers_untold, "its weights have registers and its config.json, model_type 'dinov2', has none"),
    "registers missing": (registers_missing, "another model or is incomplete; 1 of its weights are missing .* embeddings.register_tokens"),
    "cut header": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:100]), "damaged, cut short"),
    "cut": (lambda f: cut(f / "model.safetensors", 100), "damaged, cut short"),
    "a letter": (lambda f: (f / "model.safetensors").write_text("Dear Sir or Madam"), "damaged, cut short"),
    "config cut": (lambda f: cut(f / "config.json", 20), "damaged, cut short"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "damaged, cut short"),
    "cut pickle": (short_pickle, "damaged, cut short"),
    "code": (pickled, "holds code besides tensors, and code is never run"),
    "code, protocol 4": (lambda f: pickled(f, 4), "holds code besides tensors, and code is never run"),
    "code, as torch saves it": (lambda f: pickled(f, torch_format=True), "holds code besides tensors, and code is never run"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_folder(name, tmp_path, monkeypatch):
    folder = write_dino(tmp_path / "folder", **SMALL)
    spoil, message = WRONG[name]
    spoil(folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_vit(folder)
    assert str(caught.value).startswith(f"ViT: {folder}")
    assert not (tmp_path / "ran").exists() and not (folder / "ran").exists()


def test_neither_a_file_nor_nothing_is_a_folder(tmp_path):
    write_dino(tmp_path, **SMALL)
    for path in (tmp_path / "model.safetensors", tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(CheckpointError, match="no config.json is there; give the folder"):
            load_vit(path)


def test_options_are_checked_as_ever(tmp_path):
    with pytest.raises(ValueError, match="kind: got 'vv'"):
        load_vit(write_dino(tmp_path, **SMALL), kind="vv")


# the published size


MEASURE = """
import re, sys, time
from pathlib import Path
import torch
from dotseg.models.vit import load_vit
# not getrusage, whose peak a process takes over from the one that started it
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**20
start, light = time.time(), peak()
source = load_vit(sys.argv[1])
loaded, before = time.time(), peak()
cpu = time.process_time()
attention = source(torch.rand(1, 3, 512, 512), (32, 32))
print(f"load {loaded - start:.1f} s, attention {time.time() - loaded:.1f} s ({time.process_time() - cpu:.1f} s of processor);"
      f" peak {light:.2f} GiB imported, {before:.2f} GiB loaded, {peak():.2f} GiB after")
"""


@pytest.mark.slow
@pytest.mark.parametrize("registers", [False, True])
def test_the_published_size(tmp_path, registers):
    from torch.utils.flop_counter import FlopCounterMode

    source = load_vit(write_dino(tmp_path, registers))
    parameters = sum(p.numel() for p in source.model.parameters())
    assert parameters == 86_580_480 + registers * 4 * 768 and source.image_size == 518
    assert abs((tmp_path / "model.safetensors").stat().st_size / 1e9 - DINOV2_B14.gigabytes) < 0.01
    images = torch.nn.functional.interpolate(pictures(1, 3, 16, 16), (512, 512), mode="bilinear")
    n = 37 * 37
    with Largest() as largest, FlopCounterMode(display=False) as counter:
        own = source(images, (37, 37))
    assert largest.size < 3 * n * n  # the hidden layer of the MLP; a matrix for each head would be 12 n x n
    assert_close(own.sum(-1), torch.ones(1, n))
    print(f"\n{parameters / 1e6:.1f} M parameters, {counter.get_total_flops() / 2e9:.1f} G multiply-adds, largest tensor {largest.size / n**2:.1f} n x n")
    from dotseg.models.sources import resize_images

    want = stock(source.model, resize_images(images, 518, 14))
    assert_close(own, want, atol=1e-5, rtol=1e-3)
    print(f"against stock: largest difference {(own - want).abs().max():.0e} of values up to {want.max():.3f}, in a row {(own - want).abs().sum(-1).max():.0e}")
    assert_close(source(images, (32, 32)), resize_attention(own, (37, 37), (32, 32)))
    wide = source(images[..., :384, :], (24, 32))  # a rectangle
    assert_close(wide.sum(-1), torch.ones(1, 24 * 32))
    for kind in ("qq", "kk"):
        got = VitAttention(source.model, kind)(images, (37, 37))
        assert_close(got, by_hand(source.model, resize_images(images, 518, 14), kind, 11), atol=1e-5, rtol=1e-3)
    if sys.platform == "linux":
        print(subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True).stdout)

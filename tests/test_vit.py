"DINOv2's self-attention, on small models with random weights; with --slow on the published size."
import json
import math
import os
import pickle
import socket
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from real_formats import dino_shapes, write_dino
from test_clip import REFUSED_IMAGES, hooks_of, pictures
from torch import nn
from torch.testing import assert_close
from transformers import CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2ForImageClassification, Dinov2Model, Dinov2WithRegistersConfig
from transformers import Dinov2WithRegistersModel, ViTConfig, ViTModel
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from watching import Largest

from dotseg.method.attention import resize_attention
from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.models.vit import DINOV2_B14, DINOV2_B14_REG, MEAN, STD, DinoAttention, head_mean, capture_projections, load_dino, projections

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
KINDS = ("qk", "qq", "kk")
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
        source = DinoAttention(tiny(registers).to(device), layers=layers, image_size=round(math.sqrt(size[0] * size[1])))
        got = source(images, grid)  # images on the CPU, wherever the model is
        assert got.dtype == torch.float32 and got.device.type == device and not got.requires_grad
        assert_close(got.cpu(), stock(model, images, layers), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("registers", [0, 4])
def test_every_kind_by_hand(registers, kind):
    model, images = tiny(registers), pictures(2, 3, 42, 70)
    for number in range(3):
        got = DinoAttention(model, kind, [number], image_size=round(math.sqrt(42 * 70)))(images, (3, 5))
        assert_close(got, by_hand(model, images, kind, number), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", ["qq", "kk"])
def test_likeness_before_the_softmax_is_symmetric(kind):
    heard = []
    model = tiny(4)
    with torch.no_grad(), capture_projections(model.encoder.layer[-1:], kind, lambda a, b: heard.append((a, b))):
        model(pictures(1, 3, 56, 56))
    assert heard[0][0] is heard[0][1] and len(heard) == 1


def test_registers_are_the_tokens_that_leave():
    "Without their share of the softmax it is another attention; with the wrong tokens dropped it would be the wrong patches."
    model = tiny(4)
    images = pictures(1, 3, 56, 56)
    seen = []
    with torch.no_grad(), capture_projections(model.encoder.layer[-1:], "qk", lambda q, k: seen.append((q, k))):
        model(prepared(images))
    q, k = seen[0]
    assert q.shape == (1, 1 + 4 + 16, 48)
    for drop, same in ((5, True), (1, False), (4, False)):
        part = head_mean(q, k, 4, drop)[:, -16:, -16:]
        whole = head_mean(q, k, 4)[:, -16:, -16:]
        assert_close(part, whole, atol=1e-6, rtol=1e-5)
        assert (head_mean(q, k, 4, drop).shape[-1] == 16) == same
    got = DinoAttention(model)(images, (4, 4))
    assert_close(got, whole / whole.sum(-1, keepdim=True), atol=1e-6, rtol=1e-5)
    only = (q[:, 5:].double().unflatten(-1, (4, -1)).transpose(1, 2) @ k[:, 5:].double().unflatten(-1, (4, -1)).transpose(1, 2).mT / 12**0.5).softmax(-1).mean(1)
    assert (got - only).abs().max() > 1e-4  # the softmax runs over all tokens, then the mean is taken, then rows are divided


# queries and keys


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(0, 11), st.integers(1, 60), st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
def test_head_mean(b, t, heads, d, skip, chunk, dtype):
    skip = min(skip, t - 1)
    q, k = (pictures(b, t, heads * d, seed=seed).mul(4).sub(2).to(dtype) for seed in (1, 2))
    a, c = (x.double().unflatten(-1, (heads, d)).transpose(1, 2) for x in (q, k))
    want = (a @ c.mT / math.sqrt(d)).softmax(-1).mean(1)[:, skip:, skip:]
    got = head_mean(q, k, heads, skip, chunk)
    assert got.dtype == torch.float32 and got.shape == (b, t - skip, t - skip)
    assert_close(got, want.float(), atol=1e-6, rtol=1e-5)
    assert (got.sum(-1) <= 1 + 1e-5).all()


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
        assert_close(DinoAttention(old, kind, layers)(images, (4, 4)), DinoAttention(new, kind, layers)(images, (4, 4)), atol=1e-6, rtol=1e-4)


# the pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [[0], [1], [0, 1], [-1]])
def test_nothing_runs_behind_the_last_projection(kind, layers):
    model, ran = tiny(4), []
    watch = [m.register_forward_pre_hook(lambda m, args, name=name: ran.append(name)) for name, m in model.named_modules()]
    DinoAttention(model, kind, layers)(pictures(1, 3, 56, 56), (4, 4))
    for hook in watch:
        hook.remove()
    last = range(3)[layers[-1]]
    asked = list(projections(model.encoder.layer[last]).values())
    assert ran[-1] in [name for name, module in model.named_modules() if module in asked]
    assert f"encoder.layer.{last}.mlp" not in ran and "layernorm" not in ran


@pytest.mark.parametrize("where", ["embeddings", "encoder.layer.0.mlp", "encoder.layer.2.norm1"])
def test_hooks_are_put_back(where):
    model, images = tiny(4), pictures(1, 3, 56, 56)
    source = DinoAttention(model, layers=[0, 1, 2])
    want, implementation = source(images, (4, 4)), model.config._attn_implementation

    def fail(*_):
        raise KeyboardInterrupt  # not even an Exception

    hook = model.get_submodule(where).register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        source(images, (4, 4))
    hook.remove()
    assert hooks_of(model) == 0 and model.config._attn_implementation == implementation
    assert torch.equal(source(images, (4, 4)), want)
    assert hooks_of(model) == 0


def test_the_model_says_afterwards_what_it_said_before():
    model, images = tiny(4), pictures(1, 3, 56, 56)
    with torch.no_grad():
        before = model(images).last_hidden_state
        DinoAttention(model, "kk", [0, 1])(images, (4, 4))
        assert torch.equal(model(images).last_hidden_state, before)


def test_a_model_that_hands_out_its_states_all_the_same():
    model, images = tiny(4), pictures(1, 3, 56, 56)
    want = DinoAttention(model)(images, (4, 4))
    model.config.output_hidden_states = True
    assert torch.equal(DinoAttention(model)(images, (4, 4)), want)
    assert len(model(images).hidden_states) == 4


def test_the_model_is_put_into_evaluation_mode():
    model = tiny(0, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5, drop_path_rate=0.5).train()
    source, images = DinoAttention(model), pictures(1, 3, 56, 56)
    assert not model.training and torch.equal(source(images, (4, 4)), source(images, (4, 4)))


def test_no_matrix_for_each_head():
    model, images = tiny(4, hidden_size=32, num_attention_heads=16, num_hidden_layers=4, mlp_ratio=1), pictures(1, 3, 448, 448)
    n = 32 * 32
    with Largest() as largest:
        DinoAttention(model, layers=range(4), image_size=448)(images, (32, 32))
    assert n * n <= largest.size < 2 * n * n


# images and grids


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 80), st.sampled_from(KINDS), st.sampled_from([0, 4]), st.integers(1, 9), st.integers(1, 9))
def test_any_image_and_any_grid(height, width, image_size, kind, registers, h, w):
    attention = DinoAttention(tiny(registers), kind, image_size=image_size)(pictures(1, 3, height, width), (h, w))
    assert attention.shape == (1, h * w, h * w) and attention.amin() >= 0
    assert_close(attention.sum(-1), torch.ones(1, h * w))


def test_other_grids_are_resized():
    source, images = DinoAttention(tiny(4)), pictures(2, 3, 56, 56)
    own = source(images, (4, 4))
    for grid in ((2, 2), (3, 5), (8, 8)):
        assert_close(source(images, grid), resize_attention(own, (4, 4), grid))


def test_side_is_the_models_own():
    assert DinoAttention(tiny()).image_size == 56
    assert DinoAttention(tiny(4, image_size=98)).image_size == 98
    other = DinoAttention(tiny(4, patch_size=8, image_size=64))
    assert (other.image_size, other.patch) == (64, 8)
    assert other(pictures(1, 3, 64, 64), (8, 8)).shape == (1, 64, 64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("registers", [0, 4])
def test_other_precisions(dtype, registers):
    images = pictures(2, 3, 56, 56)
    want = DinoAttention(tiny(registers))(images, (4, 4))
    got = DinoAttention(tiny(registers).to(dtype))(images, (4, 4))
    assert got.dtype == torch.float32
    assert_close(got, want, atol=1e-6 if dtype == torch.float64 else 0.05, rtol=1e-4)
    assert_close(DinoAttention(tiny(registers))(images.to(dtype), (4, 4)), want, atol=1e-2, rtol=0)


def test_images_are_independent():
    source, images = DinoAttention(tiny(4), layers=[0, 1, 2]), pictures(3, 3, 56, 56)
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
    got = DinoAttention(model)(pictures(1, 3, 56, 56), (4, 4))
    hook.remove()
    assert_close(got, torch.full((1, 16, 16), 1 / 16))


def test_nan_weights_are_refused_by_name():
    model = tiny()
    projections(model.encoder.layer[-1])["q"].bias[3] = math.nan
    with pytest.raises(ValueError, match="attention: .* values are NaN"):
        DinoAttention(model)(pictures(1, 3, 56, 56), (4, 4))
    assert hooks_of(model) == 0


def test_colours_are_imagenets():
    assert (list(MEAN), list(STD)) == (list(IMAGENET_DEFAULT_MEAN), list(IMAGENET_DEFAULT_STD))


# errors


@pytest.mark.parametrize("images, message", REFUSED_IMAGES)
def test_refused_images(images, message):
    model = tiny()
    with pytest.raises(ValueError, match=message):
        DinoAttention(model)(images, (4, 4))
    assert hooks_of(model) == 0


@pytest.mark.parametrize("grid", [(0, 4), (4,), (4, -1)])
def test_refused_grid(grid):
    with pytest.raises(ValueError, match="to_grid"):
        DinoAttention(tiny())(pictures(1, 3, 56, 56), grid)


@pytest.mark.parametrize("layers", [[3], [-4], [], -1, 2, None, [0.5], ["last"], "last", [None]])
def test_refused_layers(layers):
    with pytest.raises(ValueError, match=r"layers: got .* expected a list of whole numbers from -3 to 2"):
        DinoAttention(tiny(), layers=layers)


def test_layers_count_once_in_any_order():
    model, images = tiny(), pictures(1, 3, 56, 56)
    assert torch.equal(DinoAttention(model, layers=[2, 0, -1])(images, (4, 4)), DinoAttention(model, layers=(0, 2))(images, (4, 4)))


@pytest.mark.parametrize("kind", ["vv", "kk_mean", "", None, "q", ("q", "k")])
def test_refused_kind(kind):
    with pytest.raises(ValueError, match="kind: got .* expected qk, qq or kk"):
        DinoAttention(tiny(), kind)


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: ViTModel(ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16))])
def test_refused_models(make):
    with pytest.raises(ValueError, match="model: got .*, expected transformers' Dinov2Model or"):
        DinoAttention(make())


@pytest.mark.parametrize("image_size", [0, -5, math.nan])
def test_refused_image_size(image_size):
    with pytest.raises(ValueError, match="image_size: got"):
        DinoAttention(tiny(), image_size=image_size)(pictures(1, 3, 8, 8), (4, 4))


# folders


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_a_folder_of_the_real_format(tmp_path, monkeypatch, registers, binary):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    source = load_dino(write_dino(tmp_path, registers, binary=binary, **SMALL), kind="kk", layers=[0, 1], image_size=70)
    assert isinstance(source.model, Dinov2WithRegistersModel if registers else Dinov2Model)
    assert (source.kind, source.layers, source.image_size, source.patch) == ("kk", [0, 1], 70, 14)
    assert not any(p.requires_grad for p in source.model.parameters()) and not source.model.training
    written = dict(dino_shapes(48, 3, 16, registers))
    assert sum(math.prod(shape) for shape in written.values()) == sum(p.numel() for p in source.model.parameters())
    images = pictures(1, 3, 70, 70)
    for number in range(3):
        got = DinoAttention(source.model, "kk", [number], image_size=70)(images, (5, 5))
        assert_close(got, by_hand(source.model, images, "kk", number), atol=1e-5, rtol=1e-3)


def test_every_weight_of_a_folder_comes_in(tmp_path):
    from safetensors.torch import load_file

    model = load_dino(write_dino(tmp_path, True, **SMALL)).model
    given = sorted(load_file(tmp_path / "model.safetensors").values(), key=lambda x: (x.shape, x.flatten()[0].item()))
    loaded = sorted(model.parameters(), key=lambda x: (x.shape, x.flatten()[0].item()))
    assert len(given) == len(loaded) and all(torch.equal(a, b) for a, b in zip(given, loaded))
    first = load_file(tmp_path / "model.safetensors")["encoder.layer.1.attention.attention.key.weight"]
    assert torch.equal(projections(model.encoder.layer[1])["k"].weight, first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_folder_in_half_precision(tmp_path, dtype):
    write_dino(tmp_path, True, **SMALL)
    assert next(load_dino(tmp_path).model.parameters()).dtype == torch.float32
    source = load_dino(str(tmp_path), dtype=dtype)
    assert {p.dtype for p in source.model.parameters()} == {dtype}
    assert_close(source(pictures(1, 3, 56, 56), (4, 4)), load_dino(tmp_path)(pictures(1, 3, 56, 56), (4, 4)), atol=0.05, rtol=0)


def test_a_fine_tuned_classifier_is_read_without_its_head(tmp_path):
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=56, initializer_range=0.2)
    tuned = Dinov2ForImageClassification(config).eval()
    tuned.save_pretrained(tmp_path)
    images = pictures(1, 3, 56, 56)
    assert_close(load_dino(tmp_path)(images, (4, 4)), DinoAttention(tuned.dinov2)(images, (4, 4)))


def test_checkpoints_are_found_by_their_variables(tmp_path, monkeypatch):
    for checkpoint, registers in ((DINOV2_B14, False), (DINOV2_B14_REG, True)):
        folder = write_dino(tmp_path / checkpoint.variable, registers, **SMALL)
        monkeypatch.setenv(checkpoint.variable, str(folder))
        found = find_checkpoint(checkpoint, download=False)
        assert all(any(found.path.glob(pattern)) for pattern in checkpoint.files)
        assert load_dino(found.path)(pictures(1, 3, 28, 28), (2, 2)).shape == (1, 4, 4)
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


def clip(folder):
    another_model(folder, CLIPVisionConfig(hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, image_size=56, patch_size=14), CLIPVisionModel)


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
    "ViT": (vit, "model_type 'vit', expected dinov2 or dinov2_with_registers; it is of another model"),
    "CLIP": (clip, "model_type 'clip_vision_model', expected"),
    "no type": (lambda f: (f / "config.json").write_text("{}"), "model_type None, expected"),
    "ViT in disguise": (vit_in_disguise, "of another model or incomplete"),
    "wider": (lambda f: change(f, hidden_size=96), "of another model or incomplete"),
    "deeper": (lambda f: change(f, num_hidden_layers=4), "of another model or incomplete"),
    "larger": (lambda f: change(f, image_size=70), "of another model or incomplete"),
    "registers untold": (registers_untold, "its weights have registers and its config.json, model_type 'dinov2', has none"),
    "registers missing": (registers_missing, "of another model or incomplete; 1 of its weights are missing .* embeddings.register_tokens"),
    "cut header": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:100]), "damaged, cut short"),
    "cut": (lambda f: cut(f / "model.safetensors", 100), "damaged, cut short"),
    "a letter": (lambda f: (f / "model.safetensors").write_text("Dear Sir or Madam"), "damaged, cut short"),
    "config cut": (lambda f: cut(f / "config.json", 20), "damaged, cut short"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "damaged, cut short"),
    "cut pickle": (short_pickle, "damaged, cut short"),
    "code": (pickled, "holds code besides tensors, and none is ever run"),
    "code, protocol 4": (lambda f: pickled(f, 4), "holds code besides tensors, and none is ever run"),
    "code, as torch saves it": (lambda f: pickled(f, torch_format=True), "holds code besides tensors, and none is ever run"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_folder(name, tmp_path, monkeypatch):
    folder = write_dino(tmp_path / "folder", **SMALL)
    spoil, message = WRONG[name]
    spoil(folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_dino(folder)
    assert str(caught.value).startswith(f"DINOv2: {folder}: ")
    assert not (tmp_path / "ran").exists() and not (folder / "ran").exists()


def test_neither_a_file_nor_nothing_is_a_folder(tmp_path):
    write_dino(tmp_path, **SMALL)
    for path in (tmp_path / "model.safetensors", tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(CheckpointError, match="no config.json is there; give the folder"):
            load_dino(path)


def test_options_are_checked_as_ever(tmp_path):
    with pytest.raises(ValueError, match="kind: got 'vv'"):
        load_dino(write_dino(tmp_path, **SMALL), kind="vv")


# the published size


MEASURE = """
import re, sys, time
from pathlib import Path
import torch
from dotseg.models.vit import load_dino
# not getrusage, whose peak a process takes over from the one that started it
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**20
start, light = time.time(), peak()
source = load_dino(sys.argv[1])
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

    source = load_dino(write_dino(tmp_path, registers))
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
        got = DinoAttention(source.model, kind)(images, (37, 37))
        assert_close(got, by_hand(source.model, resize_images(images, 518, 14), kind, 11), atol=1e-5, rtol=1e-3)
    if sys.platform == "linux":
        print(subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True).stdout)

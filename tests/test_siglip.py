"SigLIP and SigLIP 2 as sources of logits, on small models with random weights."
import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from real_formats import write_dino, write_siglip
from test_clip import REFUSED_IMAGES, pictures
from torch import nn
from torch.testing import assert_close

from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.models.siglip import SIGLIP2_B16, SiglipLogits, SiglipTokens, load_siglip
from dotseg.models.vit import load_vit

CLASSES = ["sky", "a house", "tree"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("siglip")
    return {name: write_siglip(place / name, True, name == "flexible") for name in ("fixed", "flexible")}


@pytest.fixture(params=["fixed", "flexible"])
def source(request, folders):
    return load_siglip(folders[request.param])


def by_hand(source, images):
    "(b, n, width): the head written out for one patch at a time, its attention over that patch alone, in double precision."
    given, _ = source.tower.prepare(images)
    with torch.no_grad():
        x = source.model.vision_model(**given).last_hidden_state.double()
    head, rows = source.head, []
    heads, width = head.attention.num_heads, x.shape[-1]
    q_w, k_w, v_w = (part.double() for part in head.attention.in_proj_weight.chunk(3))
    q_b, k_b, v_b = (part.double() for part in head.attention.in_proj_bias.chunk(3))
    for patch in x.flatten(0, 1):
        q, k, v = ((w @ y + b).reshape(heads, -1) for w, b, y in ((q_w, q_b, head.probe[0, 0].double()), (k_w, k_b, patch), (v_w, v_b, patch)))
        weights = torch.softmax((q * k).sum(1, keepdim=True) / math.sqrt(width // heads), 1)  # over a single patch
        y = head.attention.out_proj.weight.double() @ (weights * v).flatten() + head.attention.out_proj.bias.double()
        normed = (y - y.mean()) / (y.var(unbiased=False) + head.layernorm.eps).sqrt() * head.layernorm.weight + head.layernorm.bias
        hidden = F.gelu(head.mlp.fc1.weight.double() @ normed.double() + head.mlp.fc1.bias, approximate="tanh")
        rows.append(y + head.mlp.fc2.weight.double() @ hidden + head.mlp.fc2.bias)
    return torch.stack(rows).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("size", [(128, 128), (64, 64), (56, 96)])
def test_logits_by_hand(source, size):
    images = pictures(2, 3, *size)
    source.image_size = round(math.sqrt(size[0] * size[1]))
    got = source(images, CLASSES)
    patches = by_hand(source, images)
    texts = source.prompts(CLASSES).double()
    want = torch.einsum("kd,bnd->bkn", texts, F.normalize(patches, dim=-1)).unflatten(-1, (size[0] // 8, size[1] // 8))
    assert got.dtype == torch.float32 and not got.requires_grad
    assert_close(got, want.float(), atol=1e-5, rtol=0)


def test_texts_are_those_of_the_stock_model(source):
    "Filled up to 64 on the right, without a mask; the mean over the templates."
    tokenizer = source.prompts.tokenize.tokenizer
    prompts = [template("cat") for template in source.prompts.templates]
    stock = tokenizer([p.lower() for p in prompts], padding="max_length", max_length=64, padding_side="right", return_tensors="pt").input_ids
    assert torch.equal(source.prompts.tokenize(prompts), stock) and (stock[:, -1] == 0).all()
    with torch.no_grad():
        each = source.model.get_text_features(stock)
    each = F.normalize(getattr(each, "pooler_output", each), dim=-1)
    assert_close(source.prompts(["cat"])[0], F.normalize(each.mean(0), dim=0), atol=1e-5, rtol=0)


def test_scale_and_bias_make_the_stock_score(source):
    "On an image of one patch the picture's vector is the patch's."
    source.image_size = 8
    source.prompts.templates = [lambda c: c]
    images = pictures(1, 3, 8, 8)
    given, _ = source.tower.prepare(images)
    with torch.no_grad():
        want = source.model(input_ids=source.prompts.tokenize(CLASSES), **given).logits_per_image[0]
    assert abs(source.scale - math.exp(4.72)) < 1e-3 and source.bias == -16.5
    assert_close(source.scale * source(images, CLASSES)[0, :, 0, 0] + source.bias, want, atol=2e-3, rtol=0)


def test_a_class_is_the_best_of_its_names(source):
    images = pictures(2, 3, 64, 128)
    sky, house, tree = source(images, CLASSES).unbind(1)
    assert_close(source(images, ["tree | sky", "a house"]), torch.stack([torch.maximum(tree, sky), house], 1), atol=1e-6, rtol=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(4, 150))
def test_any_image(folders, height, width, image_size):
    for folder in folders.values():
        logits = load_siglip(folder, image_size=image_size)(pictures(1, 3, height, width), ["sky"])
        assert logits.isfinite().all() and logits.abs().max() <= 1 + 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(folders, dtype):
    for folder in folders.values():
        got = load_siglip(folder, dtype=dtype)(pictures(2, 3, 64, 96), CLASSES)
        assert got.dtype == torch.float32
        assert_close(got, load_siglip(folder)(pictures(2, 3, 64, 96), CLASSES), atol=0.05, rtol=0)


def test_long_names_are_refused(source):
    for name in ("a" * 60, "a" * 400):
        with pytest.raises(ValueError, match="is longer than the 64 tokens that the model reads; use a shorter name"):
            source(pictures(1, 3, 16, 16), [name])


def test_the_end_mark_of_a_tokenizer_is_kept():
    class Tokenizer:
        pad_token_id = 1

        def __call__(self, texts):
            return {"input_ids": [[*map(ord, text), 1] for text in texts]}

    rows = SiglipTokens(Tokenizer(), 6)(["AB", "abcde"])
    assert rows.tolist() == [[97, 98, 1, 1, 1, 1], [97, 98, 99, 100, 101, 1]]
    with pytest.raises(ValueError, match="longer than the 6 tokens"):
        SiglipTokens(Tokenizer(), 6)(["abcdef"])


@pytest.mark.parametrize("images, message", REFUSED_IMAGES)
def test_refused_images(source, images, message):
    with pytest.raises(ValueError, match=message):
        source(images, ["sky"])


def test_refused_models(folders):
    from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

    part = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    clip = CLIPModel(CLIPConfig(text_config=part, vision_config=part | dict(image_size=32, patch_size=8)))
    headless = SiglipModel(SiglipConfig(text_config=part | dict(vocab_size=9), vision_config=part | dict(image_size=32, patch_size=8, vision_use_head=False)))
    for model in (nn.Linear(2, 2), clip, headless, load_siglip(folders["fixed"]).model.vision_model):
        with pytest.raises(ValueError, match="model: got .*, expected transformers' SiglipModel or Siglip2Model with a pooling head"):
            SiglipLogits(model, str)


# folders


def test_a_folder(folders, monkeypatch):
    monkeypatch.setenv("DOTSEG_SIGLIP2", str(folders["fixed"]))
    found = find_checkpoint(SIGLIP2_B16, download=False)
    assert all(any(found.path.glob(pattern)) for pattern in SIGLIP2_B16.files)
    source = load_siglip(found.path)
    assert source.image_size == 128 and source.tower.colours == ([0.5] * 3, [0.5] * 3)
    assert not source.model.training and not any(p.requires_grad for p in source.model.parameters())
    assert load_vit(found.path)(pictures(1, 3, 128, 128), (16, 16)).shape == (1, 256, 256)  # its own attention


def test_what_is_wrong_with_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="SigLIP: .*nowhere: no config.json is there"):
        load_siglip(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="model_type 'dinov2', expected 'siglip' or 'siglip2'"):
        load_siglip(write_dino(tmp_path / "dino", width=48, layers=1, heads=4, image_size=56))
    folder = write_siglip(tmp_path / "siglip", True)
    (folder / "tokenizer.json").rename(folder / "elsewhere")
    with pytest.raises(CheckpointError, match="no tokenizer is there; get the whole folder"):
        load_siglip(folder)
    (folder / "elsewhere").rename(folder / "tokenizer.json")
    weights, config = (folder / "model.safetensors").read_bytes(), json.loads((folder / "config.json").read_text())
    (folder / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CheckpointError, match="damaged, cut short"):
        load_siglip(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(json.dumps(config | {"text_config": config["text_config"] | {"num_hidden_layers": 3}}))
    with pytest.raises(CheckpointError, match="another model or is incomplete"):
        load_siglip(folder)

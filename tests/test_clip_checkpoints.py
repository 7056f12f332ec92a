"CLIPs from files: the formats that people have, what is wrong with others, and the full-size ViT-B/16 against the stock model."
import json
import logging
import os
import pickle
import subprocess
import sys
import warnings

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from real_formats import write_clip, write_transformers_clip
from safetensors.torch import load_file, save_file
from test_clip import pictures, published
from torch.testing import assert_close

from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.models.clip import ClipAttention, ClipLogits, VisionTower, last_block
from dotseg.models.clip_files import CLIP_B16, CLIP_L14, load_clip, named_description
from dotseg.models.opening import read_tensors
from dotseg.models.sources import resize_images

SMALL = dict(embed_dim=16, vision_cfg=dict(image_size=32, layers=2, width=32, head_width=16, patch_size=8), text_cfg=dict(width=16, heads=2, layers=1))


def activation(model):
    return type(model.visual.transformer.resblocks[-1].mlp.gelu), type(model.transformer.resblocks[-1].mlp.gelu)


QUICK, PLAIN = (QuickGELU, QuickGELU), (torch.nn.GELU, torch.nn.GELU)


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "clip", "ViT-B-16", **SMALL)


def describe(folder, **changes):  # edits the folder's description
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        config["model_cfg"][key] = config["model_cfg"][key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(config))


# what is read


def test_a_folder_is_read_as_open_clip_reads_it(folder):
    stock = open_clip.create_model(f"local-dir:{folder}").eval().requires_grad_(False)
    model, tokenize = load_clip(folder)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    tokens = tokenize(["a house", "a tree by the sea"])
    assert torch.equal(tokens, open_clip.get_tokenizer("ViT-B-16")(["a house", "a tree by the sea"]))
    images = pictures(2, 3, 32, 32)
    assert torch.equal(model.encode_text(tokens), stock.encode_text(tokens))
    assert torch.equal(model.encode_image(images), stock.encode_image(images))
    assert torch.equal(model.attn_mask, stock.attn_mask)
    assert ClipLogits(model, tokenize)(images, ["sky", "tree|bush"]).shape == (2, 2, 4, 4)


def test_a_folder_that_says_all_takes_no_architecture(folder):
    with pytest.raises(CheckpointError, match="it says itself which model it holds; leave out the architecture, ViT-B-16"):
        load_clip(folder, "ViT-B-16")


def test_normalisation_of_the_folder(folder):
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7]}}))
    tower = VisionTower(load_clip(folder)[0])
    assert_close(tower.mean.flatten(), torch.tensor([0.5, 0.4, 0.3]))
    assert_close(tower.std.flatten(), torch.tensor([0.5, 0.6, 0.7]))
    path.write_text(json.dumps({"model_cfg": config["model_cfg"]}))
    assert_close(VisionTower(load_clip(folder)[0]).mean.flatten(), torch.tensor(open_clip.OPENAI_DATASET_MEAN))


def test_the_activation_is_that_of_the_folder_or_of_openai(folder, tmp_path):
    assert activation(load_clip(folder)[0]) == PLAIN
    assert activation(load_clip(folder, guess="ViT-B-16-quickgelu")[0]) == PLAIN  # the folder knows better
    describe(folder, quick_gelu=True)
    assert activation(load_clip(folder)[0]) == QUICK
    describe(folder, quick_gelu=False)
    write_clip(tmp_path / "openai.pt", "ViT-B-16", **SMALL)
    openai = torch.load(tmp_path / "openai.pt", weights_only=True)
    assert "input_resolution" in openai and openai["visual.proj"].dtype == torch.float16
    save_file(openai, folder / "open_clip_model.safetensors")
    assert activation(load_clip(folder)[0]) == QUICK


@pytest.mark.parametrize("nested", [False, True])
def test_state_dicts_of_trainers(folder, nested, tmp_path):
    state = load_file(folder / "open_clip_model.safetensors")
    want = load_clip(folder)[0].state_dict()
    (folder / "open_clip_model.safetensors").unlink()
    saved = {f"module.{key}": x for key, x in state.items()}
    torch.save({"epoch": 3, "name": "mine", "state_dict": saved} if nested else saved, tmp_path / "epoch.pt")
    got = read_tensors("CLIP", tmp_path / "epoch.pt")
    assert got.keys() == want.keys() and all(torch.equal(got[key], want[key]) for key in want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_precision(folder, dtype):
    model, tokenize = load_clip(folder, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    logits = ClipLogits(model, tokenize)(pictures(1, 3, 32, 40), ["sky", "tree"])
    assert_close(logits, ClipLogits(*load_clip(folder))(pictures(1, 3, 32, 40), ["sky", "tree"]), atol=0.05, rtol=0)


def test_checkpoints_are_found_as_folders_and_by_their_variables(folder, monkeypatch, tmp_path):
    for checkpoint, variable in ((CLIP_B16, "DOTSEG_CLIP_B16"), (CLIP_L14, "DOTSEG_CLIP_L14")):
        assert "openai" in checkpoint.ids[0] and checkpoint.variable == variable
        monkeypatch.setenv(variable, str(folder))
        load_clip(find_checkpoint(checkpoint, download=False).path)
        monkeypatch.delenv(variable)
        with pytest.raises(CheckpointError, match=rf"(?s){checkpoint.model} is not available.*open_clip_model\.safetensors.*{variable}"):
            find_checkpoint(checkpoint, download=False, cache=tmp_path / "cache")


def test_the_ids_are_those_of_open_clip():
    for checkpoint, name in ((CLIP_B16, "ViT-B-16"), (CLIP_L14, "ViT-L-14")):
        tag = open_clip.get_pretrained_cfg(name, "openai")
        assert tag["quick_gelu"] and tag["hf_hub"].rstrip("/") == checkpoint.ids[0].partition("@")[0]


# CLIPs of others, as their files describe them


OTHERS = {  # what preprocess_cfg and model_cfg of the published folders have beside the shape
    "LAION": ({}, {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}),
    "LAION, inception": ({}, {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}),
    "MetaCLIP": ({"quick_gelu": True}, {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711], "resize_mode": "shortest"}),
    "no description of images": ({}, {}),
}


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_class_token_clips_of_open_clip(name, binary, folder):
    model_cfg, preprocess = OTHERS[name]
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({"model_cfg": config["model_cfg"] | model_cfg, "preprocess_cfg": preprocess}))
    if binary:  # the older file of LAION's folders
        torch.save(load_file(folder / "open_clip_model.safetensors"), folder / "open_clip_pytorch_model.bin")
        (folder / "open_clip_model.safetensors").unlink()
    model, tokenize = load_clip(folder)
    assert activation(model) == (QUICK if model_cfg.get("quick_gelu") else PLAIN)
    tower = VisionTower(model)
    assert_close(tower.mean.flatten(), torch.tensor(preprocess.get("mean", open_clip.OPENAI_DATASET_MEAN)))
    assert_close(tower.std.flatten(), torch.tensor(preprocess.get("std", open_clip.OPENAI_DATASET_STD)))
    if not binary:
        stock = open_clip.create_model(f"local-dir:{folder}").eval().requires_grad_(False)
        images = pictures(2, 3, 32, 32)
        assert torch.equal(model.encode_image(images), stock.encode_image(images))


# what nobody told


def test_a_bare_file_of_unknown_origin_is_said_to_be(tmp_path, folder, caplog):
    "The same weights under both activations: the guess is said, and no longer once an architecture is given."
    path = tmp_path / "b16.safetensors"
    with torch.device("meta"):
        shapes = {name: x.shape for name, x in open_clip.CLIP(**open_clip.get_model_config("ViT-S-16")).state_dict().items()}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with caplog.at_level(logging.WARNING, "dotseg"):
        assert activation(load_clip(path, guess="ViT-S-16")[0]) == PLAIN
        (note,) = caplog.messages
        assert str(path) in note and "taken for open_clip's ViT-S-16, whose activation is GELU" in note and "give ViT-S-16 as the architecture" in note
        caplog.clear()
        load_clip(path, "ViT-S-16")
        load_clip(folder)
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()} | {"input_resolution": torch.tensor(224)}, path)
        assert activation(load_clip(path, guess="ViT-S-16")[0]) == QUICK  # OpenAI's says so itself
        assert not caplog.messages


@pytest.mark.parametrize("wrap", ["state_dict", "model", "model and module", "compiled"])
def test_wrapped_checkpoints(wrap, folder):
    state = load_file(folder / "open_clip_model.safetensors")
    want = load_clip(folder)[0].state_dict()
    (folder / "open_clip_model.safetensors").unlink()
    wrapped = {"state_dict": lambda: {"state_dict": state, "epoch": 1}, "model": lambda: {"model": state, "optimizer": {"a": 1}},
               "model and module": lambda: {"model": {f"module.{key}": x for key, x in state.items()}}, "compiled": lambda: {f"_orig_mod.{key}": x for key, x in state.items()}}[wrap]()
    torch.save(wrapped, folder / "open_clip_pytorch_model.bin")
    got = load_clip(folder)[0].state_dict()
    assert all(torch.equal(got[key], want[key]) for key in want)


# transformers' folders


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
def test_a_folder_of_transformers(act, binary, tmp_path):
    stock = write_transformers_clip(tmp_path, act, binary)
    model, tokenize = load_clip(tmp_path)
    assert activation(model) == (QUICK if act == "quick_gelu" else PLAIN)
    assert model.visual.image_mean == [0.5, 0.4, 0.3] and model.visual.image_std == [0.2, 0.3, 0.4]
    images, tokens = pictures(2, 3, 32, 32), tokenize(["a house", "a tree by the sea", "x"])
    with torch.no_grad():
        out = stock(input_ids=tokens, pixel_values=images)
    assert_close(model.encode_image(images, normalize=True), out.image_embeds, atol=1e-5, rtol=0)
    assert_close(model.encode_text(tokens, normalize=True), out.text_embeds, atol=1e-5, rtol=0)
    assert_close(model.logit_scale, stock.logit_scale)
    source = ClipLogits(model, tokenize, "origin", image_size=32)
    inputs, _ = source.tower(images, 32)
    with torch.no_grad():
        hidden = stock.vision_model(pixel_values=(images - source.tower.mean) / source.tower.std, output_hidden_states=True).hidden_states
    for ours, theirs in zip(inputs, hidden):
        assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_bare_file_of_transformers(tmp_path, monkeypatch):
    "Its names give it away; only its architecture must be told."
    write_transformers_clip(tmp_path, "gelu")
    want = load_clip(tmp_path)[0].state_dict()
    monkeypatch.setattr("dotseg.models.clip_files.named_description", lambda name: {"small": json.loads(json.dumps(open_clip.get_model_config("ViT-B-16") | SMALL | {"text_cfg": dict(width=32, heads=2, layers=2)}))}[name])
    got = load_clip(tmp_path / "model.safetensors", "small")[0].state_dict()
    assert got.keys() == want.keys() and all(torch.equal(got[key], want[key]) for key in want)


def test_other_folders_of_transformers_are_refused(tmp_path):
    write_transformers_clip(tmp_path, "gelu")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for change, message in (({"model_type": "siglip"}, "config.json says model_type 'siglip', expected 'clip'; SigLIP has a preset of its own"),
                            ({"vision_config": config["vision_config"] | {"hidden_act": "relu"}}, "its activations are 'relu' and 'gelu'"),
                            ({"text_config": config["text_config"] | {"vocab_size": 21128}}, "its text tower or tokenizer is not CLIP's own"),
                            ({"vision_config": config["vision_config"] | {"num_hidden_layers": 3}}, "another model.*Missing key")):
        path.write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match=message):
            load_clip(tmp_path)


# what is refused


@pytest.mark.parametrize(
    "name, message",
    [
        ("ViT-B/16", "architecture: got 'ViT-B/16', expected a model of open_clip, such as ViT-B-16"),
        ("", "architecture: got ''"),
        ("hf-hub:timm/ViT-B-16-SigLIP", "architecture: got 'hf-hub"),  # no look at the network
        ("local-dir:/tmp", "architecture: got 'local-dir"),
        ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP: its vision tower is timm's; use a CLIP with a plain ViT"),
        ("ViT-SO400M-14-SigLIP-384", "its vision tower is timm's"),
        ("EVA02-B-16", "its vision tower is timm's"),
        ("convnext_base", "its vision tower is timm's"),
        ("RN50", "its vision tower is not a plain ViT"),
        ("coca_ViT-B-32", "its vision tower is not a plain ViT"),
        ("xlm-roberta-base-ViT-B-32", "its text tower or tokenizer is not CLIP's own"),
        ("ViT-L-14-CLIPA", "its text tower or tokenizer is not CLIP's own"),
    ],
)
def test_other_models_are_refused_before_anything_is_read(name, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load_clip(tmp_path / "not looked at.safetensors", name)


def test_a_folder_of_another_model_is_refused(folder):
    describe(folder, vision_cfg={"timm_model_name": "vit_base_patch16_siglip_224"})
    with pytest.raises(CheckpointError, match=r"open_clip_config\.json: its vision tower is timm's"):
        load_clip(folder)


def test_every_other_name_of_open_clip_makes_a_model_that_is_taken():
    taken = []
    for name in open_clip.list_models():
        try:
            config = named_description(name)
        except CheckpointError:
            continue
        with torch.device("meta"):
            VisionTower(open_clip.CLIP(**config))
        taken.append(name)
    assert {"ViT-B-16", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-L-14-336-quickgelu", "ViT-H-14", "ViT-bigG-14"} <= set(taken)
    assert not [name for name in taken if not name.startswith("ViT-")]


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def damaged(folder, how):  # -> the path to give
    file = folder / "open_clip_model.safetensors"
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:-5000])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("<html>not found</html>")
    elif how == "no weights":
        file.unlink()
    elif how == "description cut":
        (folder / "open_clip_config.json").write_text('{"model_cfg": {"embed')
    elif how == "description of nothing":
        (folder / "open_clip_config.json").write_text('{"model_cfg": {}}')
    elif how == "another size":
        write_clip(file, "ViT-B-16", **SMALL | {"embed_dim": 24})
    elif how == "fewer blocks":
        describe(folder, vision_cfg={"layers": 3})
    elif how == "more blocks":
        describe(folder, vision_cfg={"layers": 1})
    else:
        state, file = load_clip(folder)[0].state_dict(), folder / "model.pt"
        if how == "no path":
            return folder / "nowhere"
        if how == "pickle":
            file.write_bytes(pickle.dumps({"weight": Code()}, protocol=2))
        if how == "pickle in a zip":
            torch.save({"state_dict": state, "args": Code()}, file)
        if how == "truncated zip":
            torch.save(state, file)
            file.write_bytes(file.read_bytes()[:-5000])
        if how == "a list":
            torch.save([1, 2], file)
        if how == "another model":
            torch.save({"weight": torch.zeros(3)}, file)
        return file
    return folder


@pytest.mark.parametrize(
    "how, message",
    [
        ("truncated", "damaged"),
        ("empty", "damaged"),
        ("text", "damaged"),
        ("no weights", "missing or incomplete"),
        ("no path", "missing or incomplete"),
        ("description cut", "damaged"),
        ("description of nothing", "damaged"),
        ("another size", "another model.*size mismatch"),
        ("fewer blocks", "another model.*Missing key"),
        ("more blocks", "another model.*Unexpected key"),
        ("pickle", "holds code besides tensors"),
        ("pickle in a zip", "holds code besides tensors"),
        ("truncated zip", "damaged"),
        ("a list", "not a checkpoint"),
        ("another model", "another model"),
    ],
)
def test_what_is_wrong_is_said(folder, how, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = damaged(folder, how)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_clip(path, guess="ViT-B-32")
    assert str(path) in str(caught.value) and not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_refused_with_the_line_that_converts_it(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model, _ = load_clip(folder)
    weights = {key: x.clone() for key, x in model.state_dict().items()}
    model.register_buffer("input_resolution", torch.tensor(32))  # OpenAI's archives have this, and no mask
    del model.attn_mask
    traced = torch.jit.trace_module(model, {"encode_image": torch.zeros(1, 3, 32, 32)}, check_trace=False)
    traced.save("ViT-B-16.pt")
    with pytest.raises(CheckpointError, match="it is a TorchScript archive, which is a program, and programs are never run") as caught:
        load_clip(tmp_path / "ViT-B-16.pt")
    line = next(line for line in str(caught.value).splitlines() if "python -c" in line)
    code = line.partition('"')[2].rpartition('"')[0]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=tmp_path)
    save_file({key: x.contiguous() for key, x in torch.load("weights.pt", weights_only=True).items()}, folder / "open_clip_model.safetensors")
    again, _ = load_clip(folder)
    assert activation(again) == QUICK
    assert all(torch.equal(x, again.state_dict()[key]) for key, x in weights.items())


# the real size


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    path = write_clip(tmp_path_factory.mktemp("real") / "b16.safetensors", "ViT-B-16-quickgelu")
    yield path, load_clip(path, "ViT-B-16-quickgelu")
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(224, 224), (384, 672)])
def test_b16_as_trained_is_the_stock_model(real, size, caplog):
    path, (model, tokenize) = real
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        load_clip(path, "ViT-B-16-quickgelu")
    assert not caplog.records  # open_clip has nothing to complain of
    stock = open_clip.create_model("ViT-B-16-quickgelu", pretrained=str(path), force_image_size=size).eval().requires_grad_(False)  # its own interpolation of positions
    assert activation(model) == activation(stock) == QUICK
    images = pictures(1, 3, *size)
    source = ClipLogits(model, tokenize, "origin", image_size=round((size[0] * size[1]) ** 0.5))
    assert resize_images(images, source.image_size, 16) is images
    inputs, grid = source.tower(images, source.image_size)
    assert grid == (size[0] // 16, size[1] // 16) == stock.visual.grid_size
    ours = last_block(source.tower.blocks[-1], inputs[-1], source.last_attention(inputs, grid))
    prepared = (images - source.tower.mean) / source.tower.std
    with torch.no_grad():
        want = stock.visual.forward_intermediates(prepared, output_fmt="NLC")["image_intermediates"]
        pooled = stock.encode_image(prepared, normalize=True)
    for got, theirs in zip(inputs[1:], want[:-1], strict=True):
        assert_close(got[:, 1:], theirs, atol=1e-5, rtol=1e-5)
    assert_close(ours[:, 1:], want[-1], atol=1e-5, rtol=1e-5)
    assert_close(source.tower.project(ours)[:, 0], pooled, atol=1e-5, rtol=0)
    text = F.normalize(F.normalize(stock.encode_text(tokenize([t("cat") for t in open_clip.OPENAI_IMAGENET_TEMPLATES])), dim=-1).mean(0), dim=0)
    assert_close(source.prompts(["cat"])[0], text, atol=1e-5, rtol=0)
    patches = F.normalize(stock.visual.ln_post(want[-1]) @ stock.visual.proj, dim=-1)
    assert_close(source(images, ["cat"])[0, 0].flatten(), (patches @ text).flatten(), atol=1e-5, rtol=0)


def by_hand(block, x):
    "Queries, keys and values of one image, each (heads, t, d), in double precision, head by head from the slices of the projection."
    attn, x = block.attn, F.layer_norm(x[0].double(), x.shape[-1:], block.ln_1.weight.double(), block.ln_1.bias.double(), block.ln_1.eps)
    width, d = attn.embed_dim, attn.embed_dim // attn.num_heads
    rows = [[slice(part * width + h * d, part * width + (h + 1) * d) for h in range(attn.num_heads)] for part in range(3)]
    return [torch.stack([x @ attn.in_proj_weight[r].double().T + attn.in_proj_bias[r].double() for r in part]) for part in rows]


def weigh(a, b):  # attention of (heads, t, d) with (heads, t, d), one head at a time, its softmax written out
    weights = [(q @ k.T / q.shape[1] ** 0.5).exp() for q, k in zip(a, b)]
    return torch.stack([w / w.sum(1, keepdim=True) for w in weights])


@pytest.mark.slow
def test_b16_attention_by_hand(real):
    model, tokenize = real[1]
    images = pictures(1, 3, 384, 672)
    tower = VisionTower(model)
    inputs, grid = tower(images)
    assert grid == (24, 42)  # 512 x 512 pixels, in another shape
    parts = [by_hand(block, x) for block, x in zip(tower.blocks, inputs)]
    mean = sum(weigh(k, k).mean(0) for _, k, _ in parts) / 12
    (q, k, v), block = parts[-1], tower.blocks[-1]
    for kind, want in {"origin": weigh(q, k), "qq": weigh(q, q), "kk": weigh(k, k), "kk_mean": mean[None]}.items():
        source = ClipLogits(model, tokenize, kind, residual=False)
        assert source.image_size == 512
        got = source.last_attention(inputs, grid)
        assert_close(got[0], want.float(), atol=1e-5, rtol=1e-5)
        mixed = (want @ v).transpose(0, 1).flatten(1) @ block.attn.out_proj.weight.double().T + block.attn.out_proj.bias.double()
        assert_close(last_block(block, inputs[-1], got, residual=False)[0], mixed.float(), atol=1e-5, rtol=1e-5)
        print(f"{kind}: attention off by at most {(got[0] - want).abs().max():.0e}")
    want = mean[1:, 1:] / mean[1:, 1:].sum(1, keepdim=True)
    assert_close(ClipAttention(model, "kk")(images, grid)[0], want.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(224, 224), (336, 336), (512, 512), (336, 512), (448, 224)])
def test_b16_as_published_methods_have_it(real, size):
    model, tokenize = real[1]
    images = pictures(1, 3, *size)
    source = ClipLogits(model, tokenize, "kk_heads", residual=False, image_size=round((size[0] * size[1]) ** 0.5), interpolation="dino")
    assert resize_images(images, source.image_size, 16) is images
    text = source.prompts(["cat", "dog"])
    want = torch.einsum("hwd,kd->khw", published(model, ((images - source.tower.mean) / source.tower.std)[0], "kk_heads"), text)
    got = source(images, ["cat", "dog"])[0]
    assert_close(got, want, atol=1e-5, rtol=0)
    source.tower.interpolation = "open_clip"
    print(f"{size}: off by {(got - want).abs().max():.0e}, with open_clip's positions by {(source(images, ['cat', 'dog'])[0] - want).abs().max():.1e}")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_b16_in_half_precision(real, dtype):
    path, whole = real
    images, classes = pictures(1, 3, 512, 512), ["cat", "dog|wolf"]
    want = ClipLogits(*whole)(images, classes)
    got = ClipLogits(*load_clip(path, "ViT-B-16-quickgelu", dtype=dtype))(images, classes)
    assert got.dtype == torch.float32 and got.shape == (1, 2, 32, 32)
    print(f"{dtype}: logits off by at most {(got - want).abs().max():.4f}")
    assert_close(got, want, atol=0.02, rtol=0)


@pytest.mark.slow
def test_openai_b16(tmp_path):
    model, tokenize = load_clip(write_clip(tmp_path / "ViT-B-16-sd.pt", "ViT-B-16"), "ViT-B-16")  # told of GELU, but its numbers say OpenAI's
    assert activation(model) == QUICK
    stock = open_clip.model.build_model_from_openai_state_dict(torch.load(tmp_path / "ViT-B-16-sd.pt", weights_only=True), cast_dtype=None).float().eval().requires_grad_(False)
    tokens, images = tokenize(["a cat"]), pictures(1, 3, 224, 224)
    with torch.no_grad():
        assert_close(model.encode_text(tokens), stock.encode_text(tokens), atol=1e-5, rtol=1e-5)
        assert_close(model.encode_image(images), stock.encode_image(images), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_l14_from_a_folder(tmp_path):
    write_clip(tmp_path / "l14", "ViT-L-14-quickgelu")
    model, tokenize = load_clip(tmp_path / "l14")
    assert activation(model) == QUICK
    logits = ClipLogits(model, tokenize)(pictures(1, 3, 300, 300), ["cat"])
    assert logits.shape == (1, 1, 37, 37)  # 518 pixels: 512 is no multiple of 14
    with pytest.raises(CheckpointError, match="another model"):
        load_clip(tmp_path / "l14" / "open_clip_model.safetensors", "ViT-B-16")


@pytest.mark.slow
def test_b16_of_another_architecture(real):
    with pytest.raises(CheckpointError, match="another model"):
        load_clip(real[0], "ViT-L-14")

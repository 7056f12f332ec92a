"Stable Diffusion 2 from the files that people have: what is read, what is refused, and one pass at full size."
import gc
import json
import math
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from open_clip.tokenizer import SimpleTokenizer
from real_formats import write_sd2, write_taesd
from safetensors.torch import load_file, save_file
from test_diffusion import rand
from torch.testing import assert_close
from transformers import CLIPTextModel, CLIPTokenizer

from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.models.diffusion import SD2, TAESD, DiffusionAttention, load_diffusion


@pytest.fixture(scope="module")
def written(tmp_path_factory):  # not to be changed
    return write_sd2(tmp_path_factory.mktemp("sd2"), small=True)


@pytest.fixture(scope="module")
def image():
    return rand(1, 3, 128, 128)


@pytest.fixture(scope="module")
def attention(written, image):
    return load_diffusion(written, image_size=128)(image, (8, 8))


@pytest.fixture
def folder(written, tmp_path):  # may be spoilt
    return Path(shutil.copytree(written, tmp_path / "sd2"))


# what is read


def test_networks_and_prompt_are_those_in_the_files(written, image, attention):
    stock = {kind: kind.from_pretrained(written, subfolder=name, variant="fp16") for kind, name in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"))}
    text = CLIPTextModel.from_pretrained(written / "text_encoder", variant="fp16").float()
    with torch.no_grad():
        prompt = text(torch.tensor([[49406, 49407] + [0] * 75]))[0]
    source = load_diffusion(written, image_size=128)
    assert_close(source.prompt, prompt, atol=0, rtol=0)
    assert source.prompt.shape == (1, 77, 12)
    for network in (source.unet, source.vae):
        for x, y in zip(network.parameters(), stock[type(network)].parameters()):
            assert torch.equal(x, y) and x.dtype == torch.float32 and not x.requires_grad
        assert not network.training
    want = DiffusionAttention(stock[UNet2DConditionModel], stock[AutoencoderKL], prompt, image_size=128)(image, (8, 8))
    assert_close(attention, want, atol=1e-6, rtol=1e-5)


def test_the_tokenizer_is_that_of_stable_diffusion_2(written):
    tokenizer, reference = CLIPTokenizer.from_pretrained(written / "tokenizer"), SimpleTokenizer()
    assert (len(tokenizer), tokenizer.pad_token, tokenizer.pad_token_id, tokenizer.model_max_length) == (49408, "!", 0, 77)
    for text in ("", "a photo of a cat", "Über-naïve café, 123's", "  two   spaces\nand lines"):
        got = tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids
        assert torch.equal(got, reference([text]))  # which pads with 0 as well


@pytest.mark.parametrize("options", [dict(variant="fp16", binary=True), dict(variant="fp16", old_names=False)])
def test_other_formats_of_the_same_numbers(options, tmp_path, image, attention):
    source = load_diffusion(write_sd2(tmp_path, small=True, **options), image_size=128)
    assert_close(source(image, (8, 8)), attention, atol=0, rtol=0)


@pytest.mark.parametrize("binary", [False, True])
def test_whole_precision(binary, tmp_path, image, attention):
    source = load_diffusion(write_sd2(tmp_path, small=True, variant=None, binary=binary), image_size=128)
    assert_close(source(image, (8, 8)), attention, atol=0.01, rtol=0)


def test_which_of_several_files_is_read(folder, image, attention):
    part = folder / "unet"
    (part / "diffusion_pytorch_model.bin").write_bytes(b"neither this")
    (part / "diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"nor this")
    assert_close(load_diffusion(folder, image_size=128)(image, (8, 8)), attention, atol=0, rtol=0)
    (part / "diffusion_pytorch_model.safetensors").write_bytes(b"but this, which is of whole precision")
    with pytest.raises(CheckpointError, match="unet.*: it is damaged, cut short"):
        load_diffusion(folder)


def test_the_tiny_autoencoder(written, tmp_path, image):
    source = load_diffusion(written, write_taesd(tmp_path, small=True), image_size=128, weights={"up2": 1.0}, timestep=3, chunk=7)
    weights = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    assert torch.equal(source.vae.encoder.layers[0].weight, weights["encoder.layers.0.weight"])
    assert (source.weights, source.timestep, source.image_size, source.chunk) == ({"up2": 1.0}, 3, 128, 7)
    assert_close(source(image, (8, 8)).sum(-1), torch.ones(1, 64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, written, image, attention):
    source = load_diffusion(written, dtype=dtype, image_size=128)
    assert {x.dtype for network in (source.unet, source.vae) for x in network.parameters()} == {dtype}
    assert source.prompt.dtype == torch.float32
    assert_close(source(image, (8, 8)), attention, atol=0.02, rtol=0)


def test_neither_the_network_nor_the_text_encoder_is_used_afterwards(written, image, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    source = load_diffusion(written, image_size=128)
    source(image, (8, 8))
    gc.collect()
    assert not any(type(x) is CLIPTextModel for x in gc.get_objects())


def test_the_schedulers_number_of_steps_counts(folder):
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_train_timesteps": 50}))
    load_diffusion(folder, timestep=49)
    with pytest.raises(ValueError, match="timestep: got 50, expected an integer from 0 to 49"):
        load_diffusion(folder, timestep=50)


def test_a_snapshot_in_the_hubs_cache_is_found_and_read(written, tmp_path):
    for checkpoint, files in ((SD2, written), (TAESD, write_taesd(tmp_path / "taesd", small=True))):
        name, _, revision = checkpoint.ids[-1].partition("@")
        repository = tmp_path / f"models--{name.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        shutil.copytree(files, repository / "snapshots" / (revision or "0" * 40))
    places = [find_checkpoint(checkpoint, download=False, cache=tmp_path).path for checkpoint in (SD2, TAESD)]
    assert isinstance(load_diffusion(places[0], places[1], image_size=128), DiffusionAttention)


# what is refused

WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def weights_of(folder, part):
    return folder / part / f"{WEIGHTS[part]}.fp16.safetensors"


@pytest.mark.parametrize("part", [*WEIGHTS, "tokenizer", "scheduler"])
def test_a_part_that_is_missing(part, folder):
    shutil.rmtree(folder / part)
    with pytest.raises(CheckpointError, match=f"Stable Diffusion: .*{part}: it is missing or incomplete"):
        load_diffusion(folder)


@pytest.mark.parametrize("part, file", [*((part, "config.json") for part in WEIGHTS), ("tokenizer", "vocab.json"), ("tokenizer", "merges.txt")])
def test_a_file_that_is_missing(part, file, folder):
    (folder / part / file).unlink()
    with pytest.raises(CheckpointError, match=f"{part}: it is missing or incomplete; .*no {file}"):
        load_diffusion(folder)


@pytest.mark.parametrize("part, file", [*((part, "config.json") for part in WEIGHTS), ("tokenizer", "vocab.json"), ("scheduler", "scheduler_config.json")])
def test_a_description_that_is_broken(part, file, folder):
    (folder / part / file).write_text('{"down_block')
    with pytest.raises(CheckpointError, match=f"{part}: it is damaged, cut short"):
        load_diffusion(folder)


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_weights_that_are_cut_short(part, kept, folder):
    path = weights_of(folder, part)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=f"{part}.*: it is damaged, cut short or not a checkpoint"):
        load_diffusion(folder)


@pytest.mark.parametrize("part", WEIGHTS)
def test_an_archive_that_is_cut_short(part, folder):
    path = weights_of(folder, part)
    archive = path.parent / ("pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin")
    torch.save(load_file(path), archive)
    archive.write_bytes(archive.read_bytes()[:-200])
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{part}: it is damaged, cut short"):
        load_diffusion(folder)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("plain", [True, False])
def test_code_is_not_run(part, plain, folder, tmp_path):
    path, harm = weights_of(folder, part), tmp_path / "harm"
    path.unlink()
    archive = path.parent / ("pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin")
    if plain:
        archive.write_bytes(pickle.dumps({"weight": Code(harm)}, protocol=2))
    else:
        torch.save({"weight": Code(harm)}, archive)
    with pytest.raises(CheckpointError, match=f"{part}: it holds code besides tensors, and code is never run"):
        load_diffusion(folder)
    assert not harm.exists()


@pytest.mark.parametrize("part", WEIGHTS)
def test_weights_of_another_shape(part, folder):
    path = weights_of(folder, part)
    tensors = load_file(path)
    name = next(name for name in tensors if "norm" in name)
    save_file(tensors | {name: torch.ones(3)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{part}: it belongs to another model"):
        load_diffusion(folder)


@pytest.mark.parametrize("part", WEIGHTS)
def test_weights_that_are_not_all_there(part, folder):
    path = weights_of(folder, part)
    tensors = load_file(path)
    name = next(name for name in tensors if "norm" in name)
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{part}: it belongs to another model or is incomplete; 1 of its weights are missing"):
        load_diffusion(folder)


def test_parts_of_different_models(folder):
    shutil.rmtree(folder / "unet")
    shutil.copytree(folder / "vae", folder / "unet")
    with pytest.raises(CheckpointError, match="unet: it (belongs to another model|is damaged)"):
        load_diffusion(folder)


def test_another_text_encoder(folder):
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 16}))
    with pytest.raises(CheckpointError, match="text_encoder: it belongs to another model or is incomplete"):
        load_diffusion(folder)


def test_the_xl_model_is_refused_by_name(folder):
    (folder / "text_encoder_2").mkdir()
    with pytest.raises(CheckpointError, match="it is a Stable Diffusion XL with two text encoders"):
        load_diffusion(folder)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(CheckpointError, match="it is missing or incomplete"):
        load_diffusion(tmp_path / "none")
    (tmp_path / "v2-1_512-ema-pruned.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pruned.safetensors: it is a file; give the folder"):
        load_diffusion(tmp_path / "v2-1_512-ema-pruned.safetensors")


def test_a_tiny_autoencoder_that_is_none(written, tmp_path):
    with pytest.raises(CheckpointError, match="TAESD: .*none: it is missing or incomplete"):
        load_diffusion(written, tmp_path / "none")
    with pytest.raises(CheckpointError, match="TAESD: .*vae: it belongs to another model; its config.json says 'AutoencoderKL', expected AutoencoderTiny"):
        load_diffusion(written, written / "vae")


# at full size

FULL = """
import json, re, sys, time, torch
from dotseg.models.diffusion import load_diffusion
torch.manual_seed(0)
start = time.time()
source = load_diffusion(sys.argv[1])
clock = {"load": time.time() - start}
image = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 32), (480, 640), mode="bicubic").clamp(0, 1)
start = time.time()
latents = source.encode(image)
clock["autoencoder"] = time.time() - start
entered = {}
for layers in source.choose(source.weights).values():
    for layer in layers:
        layer.register_forward_pre_hook(lambda m, args: entered.update({m: args[0]}))
start = time.time()
found = source.attend(latents)
clock["unet"] = time.time() - start
peak = int(re.search("VmHWM:\\\\s*([0-9]+)", open("/proc/self/status").read())[1]) / 2**20
worst = 0.0
for name, (got, grid) in found.items():
    wanted = torch.zeros(got.shape, dtype=torch.float64)
    for layer in source.blocks[name][1]:
        q, k = ((p(entered[layer]).double()).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for p in (layer.to_q, layer.to_k))
        wanted += (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1).mean(1) / len(source.blocks[name][1])
    worst = max(worst, (got - wanted).abs().max().item())
grids = {name: grid for name, (_, grid) in found.items()}
print(json.dumps({"seconds": clock, "GiB": peak, "latent": latents.shape, "grids": grids, "worst": worst, "prompt": source.prompt.shape}))
"""


@pytest.mark.slow
def test_stable_diffusion_2_at_full_size(tmp_path, capsys):
    write_sd2(tmp_path)
    assert all(any(tmp_path.glob(pattern)) for pattern in SD2.files)
    size = sum(path.stat().st_size for pattern in SD2.files for path in tmp_path.glob(pattern)) / 1e9
    assert abs(size - SD2.gigabytes) < 0.05
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\nStable Diffusion 2.1 base, float32, 480 x 640 pixels, {torch.get_num_threads()} threads: {result}")
    shutil.rmtree(tmp_path)
    assert result["worst"] < 1e-5 and result["prompt"] == [1, 77, 1024]
    h, w = result["latent"][2:]
    assert result["grids"] == {"up0": [h // 4, w // 4], "up1": [h // 2, w // 2]}
    assert math.isclose(h * w, 64 * 64, rel_tol=0.2)

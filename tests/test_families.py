"Each family of models through the command line, on a photograph: small models with random weights, in folders of the real formats."
import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from real_formats import write_clip, write_dino, write_dinov3, write_siglip, write_transformers_clip
from safetensors.torch import load_file
from test_vit import FAMILIES

from dotseg.app.command_line import main
from dotseg.models.opening import fingerprint
from dotseg.segmentation.presets import PRESETS

SMALL = dict(embed_dim=16, vision_cfg=dict(image_size=128, layers=2, width=32, head_width=16, patch_size=32), text_cfg=dict(width=16, heads=2, layers=1))
SMALL_DINO = dict(registers=True, width=48, layers=2, heads=4, image_size=56)


def saved(name, folder):
    FAMILIES[name][0]().save_pretrained(folder)


def wrapped(folder):  # as a trainer saves it, in the older file of LAION's folders
    write_clip(folder, "ViT-B-16", **SMALL)
    state = load_file(folder / "open_clip_model.safetensors")
    torch.save({"epoch": 1, "state_dict": {f"module.{name}": x for name, x in state.items()}}, folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_model.safetensors").unlink()


CLIP, DINO = partial(write_clip, name="ViT-B-16-quickgelu", **SMALL), partial(write_dino, **SMALL_DINO)
RUNS = {  # preset, and what is written for its parts
    "CLIP and DINOv3": ("clip-b16-dinov3", {"clip": CLIP, "dino": partial(write_dinov3, width=48, layers=2, heads=4)}),
    "SigLIP 2 and DINOv2": ("siglip2-b16-dinov2-reg", {"siglip": partial(write_siglip, small=True), "dino": DINO}),
    "flexible SigLIP 2": ("siglip2-b16-dinov2-reg", {"siglip": partial(write_siglip, small=True, flexible=True), "dino": DINO}),
    "a CLIP of transformers": ("clip-b16", {"clip": partial(write_transformers_clip, image_size=128, patch=32)}),
    "a wrapped CLIP": ("clip-b16", {"clip": wrapped}),
} | {f"CLIP and {name}": ("clip-b16-dinov2-reg", {"clip": CLIP, "dino": partial(saved, name)}) for name in ("MAE", "I-JEPA", "SAM", "SigLIP", "SigLIP 2", "ViT")}


@pytest.mark.parametrize("name", RUNS)
def test_a_photograph_through_the_command_line(name, tmp_path, monkeypatch, capsys):
    data = pytest.importorskip("skimage.data")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(data.chelsea()).save("cat.jpg")
    preset, parts = RUNS[name]
    words = ["segment", "cat.jpg", "--classes", "cat, sofa, wall", "--preset", preset, "--device", "cpu", "--out", "masks"]
    for part, write in parts.items():
        write(tmp_path / part)
        words += ["--checkpoint", f"{part}={part}"]
    assert main(words) == 0, capsys.readouterr().err
    mask, report = np.asarray(Image.open("masks/cat.png")), json.loads((tmp_path / "masks/cat.json").read_text())
    assert mask.shape == data.chelsea().shape[:2]
    marks = {part: report["settings"]["models"].pop(f"{part} fingerprint") for part in parts}
    assert report["settings"]["models"] == {"preset": preset, "dtype": "float32"} | {part: part for part in parts}
    assert len(set(marks.values())) == len(parts)
    assert report["settings"]["config"]["scale"] == PRESETS[preset].config.scale


def test_presets_that_are_not_in_the_paper_say_so():
    for name in ("clip-b16-dinov3", "siglip2-b16-dinov2-reg"):
        assert PRESETS[name].about.endswith("; not in the paper")


def test_the_papers_presets_take_what_its_authors_had(tmp_path):
    write_clip(tmp_path / "clip", "ViT-B-16-quickgelu", **SMALL)
    logits, attention, _ = PRESETS["clip-b16"].build(given={"clip": tmp_path / "clip"})
    assert (logits.attention, logits.residual, logits.tower.interpolation, logits.image_size) == ("kk_heads", False, "dino", 512)
    assert attention.tower.interpolation == "dino"


def test_an_architecture_reaches_the_clip(tmp_path, caplog):
    "A bare file is guessed at with a note, or told; nothing else is."
    state = load_file(write_clip(tmp_path / "clip.safetensors", "ViT-S-32"))
    assert state["visual.proj"].shape == (384, 384)
    logits, _, made_of = PRESETS["clip-b16"].build(given={"clip": tmp_path / "clip.safetensors"}, architecture="ViT-S-32")
    assert logits.tower.patch == 32 and made_of == {"clip": str(tmp_path / "clip.safetensors"), "clip fingerprint": fingerprint([tmp_path / "clip.safetensors"])} and not caplog.messages
    with pytest.raises(ValueError, match="it belongs to another model"):
        PRESETS["clip-b16"].build(given={"clip": tmp_path / "clip.safetensors"})
    assert "taken for open_clip's ViT-B-16-quickgelu, whose activation is QuickGELU" in caplog.text
    with pytest.raises(ValueError, match="architecture: got 'ViT-S-32', but no part of this preset takes one"):
        PRESETS["siglip2-b16-dinov2-reg"].build(architecture="ViT-S-32")


def test_another_logit_scale_than_the_presets_is_said(tmp_path, caplog):
    from safetensors.torch import save_file

    folder = write_siglip(tmp_path / "siglip", True)
    given = {"siglip": folder, "dino": write_dino(tmp_path / "dino", **SMALL_DINO)}
    PRESETS["siglip2-b16-dinov2-reg"].build(given=given)
    assert not caplog.messages  # e^4.72 is 112
    save_file(load_file(folder / "model.safetensors") | {"logit_scale": torch.tensor([3.0])}, folder / "model.safetensors", metadata={"format": "pt"})
    PRESETS["siglip2-b16-dinov2-reg"].build(given=given)
    assert "the model was trained with a logit scale of 20, and the preset has scale=112; set scale=20" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if name != "picturebook"])
def test_presets_with_random_weights_can_be_profiled(name):
    from dotseg.evaluation.profile import profile_preset

    stages = profile_preset(name, size=64, k=2, device="cpu")
    assert {"logits", "text, for each name, once"} <= {stage.name for stage in stages}

"Weights that were exchanged under the same name make new results."
import json
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image
from real_formats import write_clip, write_dino, write_dinov3, write_sd2, write_siglip
from safetensors.torch import load_file, save_file

from dotseg.app.command_line import main
from dotseg.miniature import embedded
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.presets import PRESETS
from dotseg.segmentation.segmenter import Segmenter

CLIP = dict(embed_dim=16, vision_cfg=dict(image_size=128, layers=1, width=32, head_width=16, patch_size=32), text_cfg=dict(width=16, heads=2, layers=1))
WRITE = {
    "clip": lambda folder, seed=0: write_clip(folder, "ViT-B-16-quickgelu", seed, **CLIP), "diffusion": lambda folder, seed=0: write_sd2(folder, small=True, seed=seed),
    "dino": lambda folder: write_dino(folder, registers=True, width=48, layers=1, heads=4, image_size=56), "siglip": lambda folder: write_siglip(folder, small=True)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):  # not to be changed
    place = tmp_path_factory.mktemp("parts")
    for part, write in WRITE.items():
        write(place / part)
    write_dinov3(place / "dinov3", width=48, layers=1, heads=4)
    return place


@pytest.fixture
def page(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    scene = draw_scene(1_500_000)
    Image.fromarray(scene.image).save(tmp_path / "images/p.png")
    Image.fromarray((scene.labels > 8).astype("uint8")).save(tmp_path / "masks/p.png")
    return tmp_path / "images"


def test_segment_makes_the_masks_again(page, tmp_path, capsys):
    write_clip(tmp_path / "clip", "ViT-B-16-quickgelu", **CLIP)
    words = ["segment", str(page), "--classes", "sky, kite", "--preset", "clip-b16", "--checkpoint", f"clip={tmp_path / 'clip'}", "--background", "off", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    first = json.loads((tmp_path / "out/p.json").read_text())
    before = (tmp_path / "out/p.json").stat().st_mtime_ns
    assert main(words) == 0 and (tmp_path / "out/p.json").stat().st_mtime_ns == before  # nothing has changed
    write_clip(tmp_path / "clip", "ViT-B-16-quickgelu", 1, **CLIP)
    assert main(words) == 0
    second = json.loads((tmp_path / "out/p.json").read_text())
    assert second["settings"]["models"].pop("clip fingerprint") != first["settings"]["models"].pop("clip fingerprint")
    assert second["settings"] == first["settings"] and second["confidence"] != first["confidence"]


def test_evaluate_refuses_to_go_on(page, tmp_path, capsys):
    write_clip(tmp_path / "clip", "ViT-B-16-quickgelu", **CLIP)
    words = ["evaluate", "--images", str(page), "--masks", str(page.parent / "masks"), "--classes", "sky, kite", "--preset", "clip-b16", "--checkpoint", f"clip={tmp_path / 'clip'}", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main(words) == 0 and main(words) == 0
    write_clip(tmp_path / "clip", "ViT-B-16-quickgelu", 1, **CLIP)
    capsys.readouterr()
    assert main(words) != 0
    assert "models.clip fingerprint was" in capsys.readouterr().err


@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in ("picturebook", "clip-l14-sd2")])
def test_every_part_of_every_preset(preset, folders, tmp_path):
    given = {part: folders / ("dinov3" if preset.endswith("dinov3") and part == "dino" else part) for part in PRESETS[preset].parts}
    build = lambda: {key: mark for key, mark in PRESETS[preset].build(given=given)[2].items() if key.endswith("fingerprint")}
    first = build()
    assert set(first) == {f"{part} fingerprint" for part in given} and len(set(first.values())) == len(given)
    for part, folder in given.items():
        given[part] = shutil.copytree(folder, tmp_path / part)
    assert build() == first  # the place does not count
    for part, folder in given.items():
        for file in sorted(path for path in folder.rglob("*") if path.suffix == ".safetensors"):
            tensors = load_file(file)
            name = max(name for name, x in tensors.items() if x.is_floating_point())
            tensors[name].view(-1)[0] += 1
            save_file(tensors, file, metadata={"format": "pt"})
            second = build()
            assert {key for key in first if first[key] != second[key]} == {f"{part} fingerprint"}, file
            first = second


def test_the_embedded_models(tmp_path, monkeypatch):
    first = Segmenter.from_preset("picturebook", device="cpu").models
    monkeypatch.setattr(embedded, "WEIGHTS", shutil.copytree(embedded.WEIGHTS, tmp_path / "weights"))
    assert Segmenter.from_preset("picturebook", device="cpu").models == first
    card = tmp_path / "weights/card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"scaling_factor": 1.0}))
    second = Segmenter.from_preset("picturebook", device="cpu").models
    assert {key for key in first if first[key] != second[key]} == {"miniature fingerprint"}


LISTEN = """
import os, sys
from pathlib import Path
from dotseg.models.opening import files_read
from dotseg.segmentation.presets import PRESETS
folders, opened = Path(sys.argv[1]), set()
sys.addaudithook(lambda event, args: event == "open" and isinstance(args[0], (str, Path)) and str(args[0]).startswith(str(folders)) and opened.add(str(args[0])))
for preset in ("clip-b16-sd2", "siglip2-b16-dinov2-reg"):
    for name, part in PRESETS[preset].parts.items():
        opened.clear()
        with files_read() as files:
            part.load(folders / name, "cpu", __import__("torch").float32)
        missed = opened - {str(file) for file in files} - {str(file.resolve()) for file in files}
        assert not missed, missed
        assert len(files) >= {"clip": 2, "diffusion": 10, "siglip": 5, "dino": 2}[name], files
"""


def test_no_file_is_opened_that_is_not_hashed(folders):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LISTEN, str(folders)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]


def test_sources_of_ones_own_are_told_apart_by_their_names():
    own = [Segmenter(torch.nn.Identity(), torch.nn.Identity(), models=names).settings(["sky"]) for names in (None, {"clip": "mine"}, {"clip": "yours"})]
    assert own[0] != own[1] != own[2]

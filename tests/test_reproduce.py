"""The commands of the how-to on reproducing the published table, as they are printed there, on small trees of the released formats and small checkpoints with random weights."""

import json
import re
import shlex
from pathlib import Path

import nbformat
import numpy as np
import pytest
from real_formats import write_clip, write_dino, write_sd2
from test_datasets import MEANING, put, tree

from dotseg.app.command_line import main
from dotseg.evaluation.datasets import DATASETS
from dotseg.evaluation.preparation import COCO_STUFF, CONTEXT

PAGE = Path(__file__).parent.parent / "nbs/howto/reproduce.ipynb"
SMALL = dict(embed_dim=16, vision_cfg=dict(image_size=128, layers=2, width=32, head_width=16, patch_size=32), text_cfg=dict(width=16, heads=2, layers=1, context_length=20))
PARTS = {"clip-b16-sd2": ("clip", "diffusion"), "clip-l14-sd2": ("clip", "diffusion"), "clip-b16-dinov2-reg": ("clip", "dino"), "clip-b16": ("clip",)}


def commands():
    outputs = [output["text"] for cell in nbformat.read(PAGE, 4).cells for output in cell.get("outputs", []) if "text" in output]
    return re.findall(r"^dotseg .*$", "".join(outputs), re.M)


MEASURED = [line for line in commands() if line.startswith("dotseg evaluate")]


def released(root):
    "Two images of every set, as they come; data/coco has pixel maps, from which both of its sets are made."
    rng, size = np.random.default_rng(0), (12, 16)
    tree(root / "VOC2012", "voc21", 2, size)
    tree(root / "ade20k", "ade20k", 2, size)
    stuff = np.array([v for v in COCO_STUFF if v != 255] + [255] * 21, np.uint8).reshape(size)
    for i in range(2):
        put(root / f"coco/images/val2017/{i:012}.jpg", rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        put(root / f"coco/annotations/val2017/{i:012}.png", stuff)
        put(root / f"cityscapes/leftImg8bit/val/ulm/ulm_{i}_leftImg8bit.png", rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        put(root / f"cityscapes/gtFine/val/ulm/ulm_{i}_gtFine_labelIds.png", rng.integers(0, 34, size).astype(np.uint8))
        put(root / f"VOC2010/JPEGImages/2008_00000{i}.jpg", rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    images = [{"image_id": i, "file_name": f"2008_00000{i}.jpg", "phase": "val", "height": size[0], "width": size[1]} for i in range(2)]
    squares = [{"id": i, "image_id": i % 2, "category_id": c, "segmentation": [[j, 0, j + 1, 0, j + 1, 9, j, 9]]} for i, c in enumerate(sorted(CONTEXT)[1:]) for j in [i % 16]]
    (root / "VOC2010/trainval_merged.json").write_text(json.dumps({"images": images, "annos_segmentation": squares}))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "Where the commands are given: the releases, prepared as the page says, and the checkpoints."
    pytest.importorskip("pycocotools")
    home = tmp_path_factory.mktemp("home")
    released(home / "data")
    write_clip(home / "clip", "ViT-B-16-quickgelu", **SMALL)
    write_dino(home / "dino", True, width=48, layers=2, heads=4, image_size=56)
    write_sd2(home / "diffusion", small=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for line in commands():
            if line.startswith("dotseg prepare"):
                assert main(shlex.split(line)[1:]) == 0, line
    return home


def test_the_page_has_all_rows():
    rows = {(preset, mode) for line in MEASURED for preset, mode in re.findall(r"--preset (\S+) --mode (\S+)", line)}
    assert rows == {(preset, mode) for mode, presets in {"velocity": PARTS, "path": ["clip-b16-sd2"], "kl": ["clip-b16-sd2"], "fused": ["clip-b16-sd2"]}.items() for preset in presets}
    for preset, mode in rows:
        assert {line.split()[2] for line in MEASURED if f"{preset} --mode {mode} --image-size 512" in line} == set(MEANING)


def test_what_is_prepared_is_found(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(["datasets", "--root", "data"]) == 0
    found = capsys.readouterr().out
    for name, spec in DATASETS.items():
        assert not spec.masks or f" 2 {spec.masks}" in found, name


# every set with the first row, every row with the smallest set, and the windows; the rest with --slow
QUICK = [line for line in MEASURED if "clip-b16-sd2 --mode path" in line or " voc20 " in line or "--crop" in line]


@pytest.mark.parametrize("line", [pytest.param(line, id=line.rsplit("results/")[1].split()[0], marks=[] if line in QUICK else pytest.mark.slow) for line in MEASURED])
def test_a_command(place, monkeypatch, capsys, line):
    monkeypatch.chdir(place)
    words = shlex.split(line, comments=True)[1:]
    name, preset = words[1], words[words.index("--preset") + 1]
    extra = [word for part in PARTS[preset] for word in ("--checkpoint", f"{part}={place / part}")]
    assert main([*words, *extra, "--device", "cpu"]) == 0
    out = Path(words[words.index("--out") + 1])
    result = json.loads((out / "result.json").read_text())
    k = len(DATASETS[name].classes)
    assert result["images"] == 2 and result["dataset"] == name and np.shape(result["matrix"]) == (k, k)
    assert result["settings"]["config"]["mode"]["name"] == words[words.index("--mode") + 1] and result["settings"]["models"]["preset"] == preset
    protocol = result["settings"]["protocol"]
    assert protocol["background_threshold"] == DATASETS[name].background_threshold and protocol["image_size"] == (None if "--crop" in words else 512)
    if name in ("voc21", "ade20k"):  # these masks have every value
        assert result["summary"]["pixels"] == sum((MEANING[name](int(v)) >= 0) for mask in masks(place, name) for v in mask.flat)
    assert (out / "result.png").exists() and "mIoU" in capsys.readouterr().out


def masks(place, name):
    from PIL import Image

    folder = place / "data" / {"voc21": "VOC2012/SegmentationClass", "ade20k": "ade20k/annotations/validation"}[name]
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]

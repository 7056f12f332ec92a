"""The large presets on files of the real format and size, with random weights, through the command line, on a photograph. Run with --slow."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_formats import write_clip, write_dino, write_dinov3, write_sd2, write_siglip

from dotseg.segmentation.presets import PRESETS

pytestmark = pytest.mark.slow
WRITERS = {
    "clip": lambda preset, path: write_clip(path / "clip.safetensors", "ViT-L-14" if "l14" in preset else "ViT-B-16"),
    "dino": lambda preset, path: write_dinov3(path / "dino") if "dinov3" in preset else write_dino(path / "dino", registers=True),
    "siglip": lambda preset, path: write_siglip(path / "siglip"),
    "diffusion": lambda preset, path: write_sd2(path / "sd2"),
}
FILES = {"clip": "clip.safetensors", "dino": "dino", "diffusion": "sd2", "siglip": "siglip"}


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "picturebook"])
def test_a_photograph_through_the_command_line(preset, tmp_path, capsys):
    from skimage.data import chelsea

    Image.fromarray(chelsea()).save(tmp_path / "cat.jpg")
    words = [Path(sys.executable).parent / "dotseg", "segment", "cat.jpg", "--classes", "cat, sofa, wall", "--preset", preset, "--device", "cpu", "--out", "masks"]
    for part in PRESETS[preset].parts:
        WRITERS[part](preset, tmp_path)
        words += ["--checkpoint", f"{part}={tmp_path / FILES[part]}"]
    begun = time.perf_counter()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    spent = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr
    mask, report = np.asarray(Image.open(tmp_path / "masks" / "cat.png")), json.loads((tmp_path / "masks" / "cat.json").read_text())
    assert mask.shape == chelsea().shape[:2] and mask.max() < 3
    models = report["settings"]["models"]
    assert [len(models.pop(f"{part} fingerprint")) for part in PRESETS[preset].parts] == [32] * len(PRESETS[preset].parts)
    assert models == {"preset": preset, "dtype": "float32"} | {part: str(tmp_path / FILES[part]) for part in PRESETS[preset].parts}
    with capsys.disabled():
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"\n{preset}: {spent:.0f} s from start to mask, largest process so far {peak:.1f} GB")

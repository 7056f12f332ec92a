"""The benchmarks compare results before they time anything; here at sizes that take no time, and no time is asserted."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
CLIP = dict(embed_dim=16, vision_cfg=dict(image_size=32, layers=2, width=32, head_width=16, patch_size=16), text_cfg=dict(context_length=77, vocab_size=49408, width=16, heads=1, layers=1))
UNET = dict(
    sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32, 32), norm_num_groups=8, cross_attention_dim=8, attention_head_dim=(2, 4, 4),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
VAE = dict(block_out_channels=(8, 16, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, norm_num_groups=4, sample_size=64)
TINY = dict(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
SMALL = {
    "path": dict(k=5, side=8),
    "velocity": dict(k=5, side=8),
    "jbu": dict(k=5, side=8),
    "growth": dict(few=2, many=12, k=5, side=8, offered=30),
    "attention": dict(shapes=dict(unet=UNET, vae=VAE, tiny=TINY), side=128),
    "text": dict(config=CLIP, names=3),
    "memory": dict(shapes=dict(clip=CLIP, unet=UNET, vae=VAE), sizes=(64,), checked=64),
    "startup": dict(commands=("--help",)),
    "gpu": dict(device="cpu", preset="picturebook", dtype=torch.float32, k=5, side=8, size=128, batch=2, times=1),  # the script, not its figures
}


@pytest.fixture
def script(monkeypatch):
    "Import one of the scripts; their plain names are forgotten afterwards."
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in {path.stem for path in FOLDER.glob("*.py")} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.mark.parametrize("name", SMALL)
def test_results_agree(name, script):
    found = list(script(name).rows(1, **SMALL[name]))
    missing = {row["missing"] for row in found if "missing" in row}
    measured = [row for row in found if "missing" not in row]
    if not measured:
        pytest.skip(f"{', '.join(missing)} not installed")
    for row in measured:
        assert row["ours"] and row["other"] and row["range"][0] <= row["ratio"] <= row["range"][1]
        assert (row["met"] is None) == (row["target"] is None)
        assert row["name"] == script("common").cells(row)[0]


def test_every_script_is_run_and_tested(script):
    names = set(script("run").NAMES)
    assert names == set(SMALL) == {path.stem for path in FOLDER.glob("*.py")} - {"common", "run"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_table_says_so(script):
    (row,) = script("gpu").rows(1)
    assert "needs a GPU" in script("common").cells(row)[-1]


def test_a_wrong_result_has_no_speed(script):
    compare, x = script("common").compare, torch.ones(3)
    assert compare("same", "torch", 2, ">= 0", 1e-5, lambda: x, lambda: x + 1e-6)[0]["met"]
    with pytest.raises(AssertionError, match="not close"):
        compare("other", "torch", 2, None, 1e-5, lambda: x, lambda: x + 1e-4)
    assert compare("none", "no_such_module", 2, None, 1e-5, lambda: x, lambda: x) == [{"name": "none", "missing": "no_such_module"}]


@pytest.mark.parametrize("name, change", [("path", "optimal_path"), ("velocity", "maximum_velocity"), ("jbu", "joint_bilateral_upsample")])
def test_our_own_mistakes_are_noticed(name, change, script, monkeypatch):
    module = script(name)
    right = getattr(module, change)
    monkeypatch.setattr(module, change, lambda *args, **kwargs: right(*args, **kwargs) * 1.01)
    with pytest.raises(AssertionError, match="not close"):
        list(module.rows(1, **SMALL[name]))


def test_wrong_attention_is_noticed(script, monkeypatch):
    module = script("attention")
    right = module.ours
    monkeypatch.setattr(module, "ours", lambda *args: right(*args).mT)
    with pytest.raises(AssertionError, match="not close"):
        list(module.rows(1, **SMALL["attention"]))


def test_targets(script):
    row = script("common").row
    assert [row("x", [1], [2], "s", [2, 3, 9], target)["met"] for target in (">= 3", ">= 3.1", "<= 3", "<= 2.9", None)] == [True, False, True, False, None]


def test_results_and_table(script, monkeypatch, tmp_path, capsys):
    common, run = script("common"), script("run")
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["path.py", "--repeats", "2", "--threads", str(torch.get_num_threads())])
    made = [common.row("slow thing | peer", [1, 2], [4, 8], "ms", [4, 4], ">= 5"), {"name": "other | peer", "missing": "peer"}]
    common.main("path", "What it is.\n\nMore.", lambda repeats: made[:repeats])
    assert json.loads((tmp_path / "path.json").read_text())["rows"] == made
    assert "What it is." in capsys.readouterr().out
    text = run.table(["path", "jbu"])
    assert "What it is. 2 repeats" in text and "not run: needs peer" in text
    assert "| slow thing / peer | 1.5 | 6 ms | 4.00 | [4.00, 4.00] | >= 5 | MISSED |" in run.table(["path", "jbu"], markdown=True).replace("\N{NO-BREAK SPACE}", " ")
    assert text.endswith("0 of 1 targets met\n  missed: slow thing | peer")

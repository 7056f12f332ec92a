"What is on the disk, what other threads do, and what is in a file that somebody sent."
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dotseg.app.command_line import main
from dotseg.app.runs import is_done
from dotseg.evaluation.datasets import load_folder
from dotseg.method.contrast_vote import contrast_vote
from dotseg.method.errors import DotsegError
from dotseg.method.logits import normalise, suppress_non_maxima
from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.optimal_path import optimal_path
from dotseg.method.proportional_fitting import doubly_stochastic
from dotseg.method.sinkhorn import sinkhorn
from dotseg.method.upsampling import joint_bilateral_upsample
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.segmentation.images import READ, ImageError, load_image
from dotseg.segmentation.segmenter import Segmenter

WORDS = ["--classes", "sky, kite", "--preset", "picturebook"]


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_preset("picturebook", device="cpu", mode="path")


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "in" / "p00.png"
    path.parent.mkdir()
    Image.fromarray(draw_scene(1_500_000).image).save(path)
    return path


def test_one_segmenter_in_four_threads(segmenter):
    pages = [draw_scene(1_500_000 + i).image for i in range(6)]
    alone = [segmenter(image, CLASSES) for image in pages]
    other = segmenter.with_config(segmenter.config_for("contrast"))  # shares the models
    alone += [other(image, CLASSES) for image in pages]
    start = threading.Barrier(4)

    def work(thread):
        start.wait()
        return [((segmenter, other)[i // 6])(pages[i % 6], CLASSES) for i in np.random.default_rng(thread).permutation(12)]

    with ThreadPoolExecutor(4) as pool:
        for thread, found in enumerate(pool.map(work, range(4))):
            for i, result in zip(np.random.default_rng(thread).permutation(12), found):
                assert torch.equal(result.labels, alone[i].labels)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", b"\xc5\xd0\xd3\xc6" + b"\0" * 40])
def test_an_eps_file_starts_no_program(tmp_path, monkeypatch, content):
    ran = tmp_path / "ran"
    (tmp_path / "bin").mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "holiday.jpg").write_bytes(content)
    with pytest.raises(ImageError, match="of a kind that is not read"):
        load_image(tmp_path / "holiday.jpg")
    assert not ran.exists() and "EPS" not in READ


def test_classes_without_an_order(segmenter):
    with pytest.raises(DotsegError, match="got a set, .* whose order changes"):
        segmenter(np.zeros((8, 8, 3), np.uint8), {"sky", "kite"})


@pytest.mark.parametrize("cut", [0, 100])
def test_a_mask_that_was_cut_short_is_made_again(page, tmp_path, cut):
    assert main(["segment", str(page), *WORDS, "--out", str(tmp_path / "out")]) == 0
    mask, report = tmp_path / "out/p00.png", json.loads((tmp_path / "out/p00.json").read_text())
    whole = mask.read_bytes()
    assert is_done(page, tmp_path / "out", "p00", report["settings"])
    mask.write_bytes(whole[:cut])
    assert not is_done(page, tmp_path / "out", "p00", report["settings"])
    assert main(["segment", str(page), *WORDS, "--out", str(tmp_path / "out")]) == 0
    assert mask.read_bytes() == whole


@pytest.mark.parametrize("name", ["p00.png", "p00.json"])
def test_an_output_in_the_way_as_a_folder_is_one_failure(page, tmp_path, capsys, name):
    Image.fromarray(draw_scene(1_500_001).image).save(page.with_name("p01.png"))
    (tmp_path / "out" / name).mkdir(parents=True)
    assert main(["segment", str(page.parent), *WORDS, "--out", str(tmp_path / "out")]) == 1
    assert "1 of 2 masks are in" in (said := capsys.readouterr()).out and str(Path("out") / name) in said.err
    assert (tmp_path / "out/p01.png").is_file()


def test_links_that_lead_back_count_nothing_twice(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind / "sub").mkdir(parents=True)
        for name in ("a.png", "sub/b.png"):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / kind / name)
        (tmp_path / kind / "loop").symlink_to(".")
        (tmp_path / kind / "sub" / "up").symlink_to("..")
        os.mkfifo(tmp_path / kind / "pipe.png")
        (tmp_path / kind / "gone.png").symlink_to("nowhere.png")
    data = load_folder(tmp_path / "images", tmp_path / "masks", ["sky", "kite"])
    assert [example.name for example in data] == ["a", "sub/b"]


LOGITS, ROWS, LINKS, PIXELS = torch.randn(3, 4, 4), torch.full((3, 16), 1 / 16), torch.full((16, 16), 1 / 16), torch.zeros(3, 8, 8)
NUMBERS = [
    (suppress_non_maxima, (LOGITS,), "threshold"), (suppress_non_maxima, (LOGITS,), "scale"), (normalise, (LOGITS,), "scale"), (sinkhorn, (LINKS, ROWS, ROWS[0]), "eps"),
    (sinkhorn, (LINKS, ROWS, ROWS[0]), "n_iters"), (sinkhorn, (LINKS, ROWS, ROWS[0]), "tol"), (optimal_path, (ROWS, LINKS), "eps"), (maximum_velocity, (ROWS, LINKS), "tau"),
    (maximum_velocity, (ROWS, LINKS), "max_steps"), (doubly_stochastic, (LINKS,), "n_iters"), (joint_bilateral_upsample, (LOGITS, PIXELS), "sigma_s2"), (contrast_vote, (LOGITS, LINKS), "eps"),
]


@pytest.mark.parametrize("value", ["0.1", None, float("nan"), float("inf"), -1, [1], True])
@pytest.mark.parametrize("function, args, name", NUMBERS)
def test_what_is_no_number_is_refused_by_name(function, args, name, value):
    if (name, value) == ("sigma_s2", float("inf")):
        pytest.skip("an infinite reach is one")
    with pytest.raises(DotsegError, match=name):
        function(*args, **{name: value})

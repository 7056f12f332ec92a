import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dotseg.method.background import Background, claim_pixels, mark_background
from dotseg.method.errors import DotsegError
from dotseg.method.measures import MEASURES
from dotseg.method.refine import DiscrepancyConfig, discrepancy, refine
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.segmentation.presets import EVERYDAY, PRESETS
from dotseg.segmentation.segmenter import Segmenter

PAGE = draw_scene(1_500_000)


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_preset("picturebook", device="cpu", background=True)


def draw(k=6, h=5, w=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 0.2 + 0.1 * torch.randn(k, h, w, generator=g), torch.randn(h * w, h * w, generator=g).softmax(1), torch.rand(3, 20, 16, generator=g)


@pytest.mark.parametrize("mode", MEASURES)
@pytest.mark.parametrize("words", [0, 1, 3])
def test_a_background_without_rules_is_the_closed_set_with_its_words_merged(mode, words):
    logits, attention, image = draw()
    base = DiscrepancyConfig(mode, scale=10.0, confidence_threshold=0.0)  # no suppression, in which words are no rivals of each other
    closed = refine(logits, attention, image, base)
    found = refine(logits, attention, image, dataclasses.replace(base, background=Background([f"word {i}" for i in range(words)], ownership=0.0)))
    assert torch.equal(found.labels, (closed.labels - words + 1).clamp_min(0))
    assert found.kept.tolist() == sorted({max(0, i - words + 1) for i in closed.kept.tolist()})
    assert torch.equal(found.scores[-1], closed.scores[-1]) and len(found.scores) == len(found.kept)


@pytest.mark.parametrize("mode", MEASURES)
def test_scores_and_labels_agree_where_nothing_is_disowned(mode):
    logits, attention, image = draw(seed=3)
    found = refine(logits, attention, image, DiscrepancyConfig(mode, scale=10.0, background=Background(["a", "b"], ownership=0.0)))
    assert torch.equal(found.kept[found.scores.argmax(0)], found.labels)


@given(seed=st.integers(0, 10**6), low=st.floats(0, 1), high=st.floats(0, 1), words=st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_more_ownership_means_more_background(seed, low, high, words):
    scores = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(seed))
    few, many = (claim_pixels(scores, torch.arange(5), words, share) > 0 for share in sorted((low, high), reverse=True))
    assert not (few & ~many).any()


def test_words_of_one_meaning_do_not_erase_each_other():
    "Two words with the same logits halve each other's confidence; as one group they keep it."
    logits, attention, image = torch.full((3, 4, 4), 0.1), torch.eye(16), torch.zeros(3, 8, 8)
    logits[:2, :2], logits[2, 2:] = 0.3, 0.3
    logits[0, 0] += 0.001  # so that each of the two is the best somewhere
    logits[1, 1] += 0.001
    alone = DiscrepancyConfig("path", background=Background(["sea", "ocean"]))
    found = refine(logits, attention, image, alone)
    assert found.kept.tolist() == [0, 1] and found.labels[0, 0] == 0 and found.labels[-1, -1] == 1
    rivals = refine(logits, attention, image, DiscrepancyConfig("path"))
    assert rivals.kept.tolist() == [2]  # grass 100 %: what happens to two classes of one meaning


def test_confidence_of_the_surest_class():
    logits, image = torch.tensor([[0.3, 0.2], [0.2, 0.21]])[:, None], torch.zeros(3, 1, 2)
    config = DiscrepancyConfig("logits", scale=100.0, jbu=False, background=Background(ownership=0.0, confidence=0.9))
    assert refine(logits, None, image, config).labels.tolist() == [[1, 0]]


def test_classes_asked_for_are_no_words(segmenter):
    assert segmenter.config.asked_for(["kite", "Stars"]).words == tuple(c for c in CLASSES if c not in ("kite", "star"))
    found = segmenter(PAGE.image, list(CLASSES))  # nothing left to call background
    assert found.classes == ["background", *CLASSES]


def test_what_was_not_asked_for_is_background(segmenter):
    found, truth = segmenter(PAGE.image, ["kite", "boat"]), torch.tensor(PAGE.labels)
    assert found.classes == ["background", "kite", "boat"] and found.labels.dtype == torch.uint8
    kite = truth == CLASSES.index("kite")
    assert ((found.labels == 1) & kite).sum() / ((found.labels == 1) | kite).sum() > 0.7
    assert (found.labels == 2).double().mean() < 0.02  # no boat on this page
    assert [found.classes[i] for i in found.kept] == found.classes and found.dropped == {}  # the contrast vote drops nothing


def test_the_report_says_what_was_dropped_and_is_what_python_says(tmp_path, segmenter):
    path = Segmenter(segmenter.logit_source, segmenter.attention_source, segmenter.config_for("path"), segmenter.models)
    found = path(PAGE.image, ["kite", "boat"])
    report = json.loads(found.save(tmp_path, "page").with_suffix(".json").read_text("utf-8"))
    assert report["dropped"] == found.dropped and report["kept"] == [found.classes[i] for i in found.kept]
    assert report["settings"]["config"]["background"]["words"] == list(CLASSES) and report["settings"] == path.settings(["kite", "boat"])
    assert set(found.dropped) | set(report["kept"]) == {"background", "kite", "boat"}
    assert 0 <= report["diagnostics"]["entropy"] <= 1


@pytest.mark.parametrize("rows, message", [(2, "logits: got 2 rows, expected the 2 words of the background and at least one class after them")])
def test_too_few_rows(rows, message):
    logits, attention, image = draw(k=rows)
    with pytest.raises(DotsegError, match=message):
        discrepancy(logits, attention, DiscrepancyConfig(background=Background(["a", "b"])))


@pytest.mark.parametrize("bad, message", [
    ({"words": "sky"}, "words: got 'sky'"), ({"words": [""]}, "none of them empty"), ({"words": [3]}, "none of them empty"),
    ({"ownership": 2}, "ownership: got 2"), ({"confidence": float("nan")}, "confidence: got nan"),
])
def test_bad_choices(bad, message):
    with pytest.raises(DotsegError, match=message):
        Background(**bad)


def test_a_class_called_background(segmenter):
    with pytest.raises(DotsegError, match="'background' is the name of label 0"):
        segmenter(PAGE.image, ["kite", "Background"])
    with pytest.raises(DotsegError, match="background: got 'sky'"):
        DiscrepancyConfig(background="sky")


def test_presets_have_words_of_their_own():
    assert all(preset.background.words == EVERYDAY for name, preset in PRESETS.items() if name != "picturebook")
    assert len(set(EVERYDAY)) == len(EVERYDAY) and PRESETS["picturebook"].background.words == CLASSES


def test_minus_infinity_beside_a_patch_is_no_nan():
    logits = torch.tensor([[0.3, -torch.inf], [0.2, 0.4]])[:, None]
    assert mark_background(torch.ones(1, 4, dtype=torch.long), logits, 0.5).unique().tolist() == [1]


def test_the_mask_of_a_background_is_black_in_the_palette(tmp_path, segmenter):
    found = segmenter(PAGE.image, ["kite"])
    mask = Image.open(found.save(tmp_path, "page"))
    assert (np.asarray(mask.convert("RGB"))[found.labels.numpy() == 0] == 0).all()
    dimmed = np.asarray(found.overlay(0.5))[found.labels.numpy() == 0]
    assert np.abs(dimmed.astype(int) - found.image[found.labels.numpy() == 0] / 2).max() <= 1


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    "A page with a kite and a ball, one with a ball, one with neither."
    folder = tmp_path_factory.mktemp("photos")
    for i in (17, 57, 4):
        Image.fromarray(draw_scene(1_500_000 + i).image).save(folder / f"{i}.png")
    return folder


def run(*words, **more):
    return subprocess.run([Path(sys.executable).parent / "dotseg", *map(str, words)], capture_output=True, text=True, **more)


def test_a_folder_asked_for_kites_and_balls(photos, tmp_path):
    done = run("segment", photos, "--classes", "kite, ball", "--preset", "picturebook", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    for i, there in ((17, {"kite", "ball"}), (57, {"ball"}), (4, set())):
        truth, mask = draw_scene(1_500_000 + i).labels, np.asarray(Image.open(tmp_path / f"{i}.png"))
        for value, name in enumerate(("kite", "ball"), 1):
            exact = truth == CLASSES.index(name)
            overlap = ((mask == value) & exact).sum() / max(1, ((mask == value) | exact).sum())
            assert overlap > 0.7 if name in there else (mask == value).mean() < 0.01, (i, name)
    assert (tmp_path / "classes.txt").read_text().split() == ["background", "kite", "ball"]


@pytest.mark.parametrize("words, classes, background", [
    (["--background", "off"], ["kite", "ball"], None),
    (["--background", "sky, gravel, kite"], ["background", "kite", "ball"], {"words": ["sky", "gravel", "kite"], "ownership": None, "confidence": 0.0}),
    (["--background", "off", "--background-confidence", "0.3"], ["background", "kite", "ball"], {"words": [], "ownership": None, "confidence": 0.3}),
    (["--background", "default, sky|heaven"], ["background", "kite", "ball"], "error"),
])
def test_backgrounds_of_the_command_line(photos, tmp_path, words, classes, background):
    done = run("segment", photos / "17.png", "--classes", "kite, ball", "--preset", "picturebook", "--out", tmp_path, *words)
    if background == "error":
        assert done.returncode == 2 and "sky given more than once" in done.stderr, done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "classes.txt").read_text().split() == classes
    assert json.loads((tmp_path / "17.json").read_text())["settings"]["config"]["background"] == background


def test_a_page_about_one_image_and_nothing_else(photos, tmp_path):
    done = run("segment", "--inspect", photos / "17.png", "--classes", "kite, <b>ball", "--preset", "picturebook", "--out", tmp_path)
    assert done.returncode == 2 and "the miniature does not know" in done.stderr
    done = run("segment", "--inspect", photos / "17.png", "--classes", "kite, boat", "--mode", "path", "--preset", "picturebook", "--out", tmp_path)
    page = (tmp_path / "17.inspect.html").read_text("utf-8")
    assert done.returncode == 0 and "no patch prefers it" in page and [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["17.inspect.html"]
    assert run("segment", "--classes", "kite", "--preset", "picturebook", "--out", tmp_path).returncode == 2


def test_settings_are_tuned_and_read_everywhere(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(4):
        scene = draw_scene(1_500_017 + i)
        Image.fromarray(scene.image).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray((scene.labels == CLASSES.index("ball")).astype(np.uint8)).save(tmp_path / "masks" / f"{i}.png")
    words = ["--images", tmp_path / "images", "--masks", tmp_path / "masks", "--classes", "background, ball", "--preset", "picturebook"]
    done = run("tune", *words, "--mode", "velocity", "--out", tmp_path / "mine.json")
    assert done.returncode == 0 and "only 4 labelled images" in done.stderr and "held-out" in done.stdout, done.stderr
    written = json.loads((tmp_path / "mine.json").read_text())
    assert written["preset"] == "picturebook" and written["tuned"]["chosen_on"] == written["tuned"]["held_out"] == 2
    done = run("evaluate", *words, "--settings", tmp_path / "mine.json", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["settings"]["config"] == written["config"] and [row["class"] for row in result["classes"]] == ["background", "ball"]
    done = run("segment", tmp_path / "images" / "0.png", "--classes", "ball", "--settings", tmp_path / "mine.json", "--out", tmp_path / "masks2")
    assert done.returncode == 0 and json.loads((tmp_path / "masks2" / "0.json").read_text())["settings"]["config"] == written["config"]
    done = run("segment", tmp_path / "images" / "0.png", "--classes", "ball", "--settings", tmp_path / "mine.json", "--preset", "clip-b16", "--out", tmp_path / "x")
    assert done.returncode == 2 and "is for preset picturebook, got --preset clip-b16" in done.stderr


def test_demo_with_classes_has_a_background(tmp_path):
    done = run("demo", "--classes", "kite, boat", "--out", tmp_path)
    assert done.returncode == 0 and "background" in done.stdout and (tmp_path / "classes.txt").read_text().split() == ["background", "kite", "boat"]

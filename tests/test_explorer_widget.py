import io
import json
from dataclasses import fields, replace
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image

from dotseg import Background, DiscrepancyConfig, Explorer, Segmenter, refine
from dotseg.app.stages import Stages
from dotseg.method.measures import MEASURES, MaximumVelocity
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene

PAGE = draw_scene(LESSON_SEED)
NAMES = [CLASSES[i] for i in np.unique(PAGE.labels)]


@pytest.fixture(scope="module")
def shared():
    return Segmenter.from_preset("picturebook", device="cpu", mode="path")


@pytest.fixture
def explorer(shared):
    made = Explorer(shared, PAGE.image, NAMES)
    made.stages.counts.clear()
    return made


def upload(explorer, name, content):
    explorer.controls["upload"].value = ({"name": name, "type": "image/png", "size": len(content), "content": memoryview(content), "last_modified": datetime(2000, 1, 1)},)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


CHANGES = [  # control, value, stages that it starts again
    ("eps", 0.2, "maps scores labels"),
    ("threshold", 0.2, "maps scores labels"),
    ("tau", 0.9, ""),
    ("jbu", False, "scores labels"),
    ("mode", "kl", "maps scores labels"),
    ("mode", "velocity", "maps scores labels"),
    ("classes", "\n".join(NAMES[::-1]), "logits maps scores labels"),
    ("row", 3, ""),
    ("folder", "elsewhere", ""),
]


@pytest.mark.parametrize("control, value, stages", CHANGES)
def test_a_control_starts_again_only_what_depends_on_it(explorer, control, value, stages):
    assert explorer.config.mode.name == "path"
    explorer.controls[control].value = value
    assert dict(explorer.stages.counts) == dict.fromkeys(stages.split(), 1)


def test_block_weights_merge_anew_and_run_no_model(explorer):
    explorer.blocks["up0"].value = 0.1
    assert dict(explorer.stages.counts) == dict.fromkeys(["attention", "maps", "scores", "labels"], 1)
    explorer.controls["mode"].value = "kl"
    explorer.stages.counts.clear()
    explorer.blocks["up0"].value = 0.2  # shown, but not read by this mode
    assert dict(explorer.stages.counts) == {"attention": 1}


@pytest.mark.parametrize("jbu", (True, False))
@pytest.mark.parametrize("mode", MEASURES)
def test_labels_are_those_of_refine_and_of_the_segmenter(explorer, shared, mode, jbu):
    explorer.controls["mode"].value, explorer.controls["jbu"].value = mode, jbu
    assert "dotseg-error" not in explorer.message.value
    direct = Segmenter(shared.logit_source, shared.attention_source, explorer.config, shared.models)
    assert torch.equal(explorer.found.labels, direct(PAGE.image, NAMES).labels)
    logits, attention = shared.encode(PAGE.image, NAMES)
    found = refine(logits, attention, torch.tensor(PAGE.image).permute(2, 0, 1).float() / 255, explorer.config)
    assert torch.equal(explorer.found.labels.long(), found.labels)
    torch.testing.assert_close(explorer.found.scores, found.scores, rtol=1e-4, atol=1e-4)  # sums in another order


CHOICES = {  # another value for every field of a configuration
    "mode": "velocity", "confidence_threshold": 0.8, "scale": 15.0, "scale_f": 3.0, "least_survivors": 0.9, "keep_best": True,
    "jbu": False, "sigma_s2": 0.1, "sigma_r2": 1e-3, "radius": 0, "background": Background(ownership=0.9),
}


@pytest.mark.parametrize("field", [f.name for f in fields(DiscrepancyConfig)])
def test_no_choice_is_forgotten(shared, field):
    "A stage that does not know of a choice would show the picture of before."
    base = replace(shared.config, confidence_threshold=0.9, scale=5.0)  # which drops a class
    changed, stages = replace(base, **{field: CHOICES[field]}), Stages(shared, PAGE.image)
    before, after = (stages(CLASSES, config) for config in (base, changed))
    afresh = Stages(shared, PAGE.image)(CLASSES, changed)
    assert torch.equal(after["scores"], afresh["scores"]) and torch.equal(after["labels"], afresh["labels"])
    assert before["scores"].shape != after["scores"].shape or not torch.equal(before["scores"], after["scores"]) or not torch.equal(before["labels"], after["labels"])


def test_notes_are_those_of_the_segmenter_and_are_shown(explorer, shared, tmp_path):
    assert explorer.found.notes == () and "note" not in explorer.message.value
    explorer.controls["threshold"].value = 1.0
    notes = Segmenter(shared.logit_source, shared.attention_source, explorer.config)(PAGE.image, NAMES).notes
    assert notes and explorer.found.notes == notes and f"note: {notes[0][:20]}" in explorer.message.value
    explorer.controls["folder"].value = str(tmp_path)
    explorer.controls["save"].click()
    assert notes[0] in json.loads((tmp_path / "mask.json").read_text("utf-8"))["notes"]


def test_another_mode_starts_from_what_its_preset_sets(shared):
    assert shared.config_for("contrast") == Segmenter.from_preset("picturebook", device="cpu").config
    assert Segmenter.from_preset("picturebook", device="cpu").config_for("path") == shared.config == shared.config_for("path")
    assert shared.config.with_mode("velocity") == Segmenter.from_preset("picturebook", device="cpu", mode="velocity").config
    assert shared.config.with_mode("path") == shared.config


def run(lines, segmenter=None):
    space = {"segmenter": segmenter}
    exec(lines, space)
    return space["result"]


def test_saved_lines_make_the_saved_mask(explorer, tmp_path):
    explorer.controls["folder"].value = str(tmp_path / "new")
    explorer.controls["mode"].value, explorer.controls["threshold"].value, explorer.controls["tau"].value = "velocity", 0.3, 0.1
    explorer.blocks["down0"].value = 0.7
    explorer.controls["save"].click()
    assert "written" in explorer.message.value
    mask = torch.tensor(np.array(Image.open(tmp_path / "new" / "mask.png")))
    assert len(mask.unique()) > 1
    assert torch.equal(run((tmp_path / "new" / "mask.py").read_text("utf-8")).labels, mask)
    assert not torch.equal(Segmenter.from_preset("picturebook", mode=MaximumVelocity(tau=0.1), confidence_threshold=0.3)(PAGE.image, NAMES).labels, mask)  # the weights matter
    assert '"blocks": "' in (tmp_path / "new" / "mask.json").read_text("utf-8")


def test_lines_for_a_segmenter_of_ones_own(shared, tmp_path):
    own = Segmenter(shared.logit_source, lambda images, grid: shared.attention_source(images, grid), shared.config)
    Image.fromarray(PAGE.image).save(tmp_path / "page.png")
    made = Explorer(own, tmp_path / "page.png", NAMES)
    assert not made.blocks
    made.controls["eps"].value = 0.3
    again = Segmenter(own.logit_source, own.attention_source)
    assert torch.equal(run(made.python(), again).labels, made.found.labels)


@pytest.mark.parametrize("names, said", [("sky\nsky", "sky"), ("", "classes")])
def test_errors_are_shown_and_the_panels_stay(explorer, names, said):
    before, labels = explorer.labels.value, explorer.found
    explorer.controls["classes"].value = names
    assert 'class="dotseg-error"' in explorer.message.value and said in explorer.message.value
    assert (explorer.labels.value, explorer.found) == (before, labels)
    explorer.controls["classes"].value = "\n".join(NAMES[:2])
    assert "dotseg-error" not in explorer.message.value and explorer.found.classes == NAMES[:2]


def test_no_weights_at_all_and_a_folder_that_is_a_file_are_said(explorer, tmp_path):
    for slider in explorer.blocks.values():
        slider.value = 0
    assert "weights of the blocks: all are 0" in explorer.message.value
    explorer.blocks["up0"].value = 1
    (tmp_path / "file").write_text("")
    explorer.controls["folder"].value = str(tmp_path / "file")
    explorer.controls["save"].click()
    assert "dotseg-error" in explorer.message.value and "file" in explorer.message.value


def test_own_image(explorer):
    other = draw_scene(LESSON_SEED + 1, 96).image
    upload(explorer, "other.png", png(other))
    assert "dotseg-error" not in explorer.message.value
    assert np.array_equal(explorer.found.image, other) and explorer.found.labels.shape == (96, 96)
    upload(explorer, "<b>notes</b>.txt", b"no image")
    assert "&lt;b&gt;notes" in explorer.message.value and "not an image" in explorer.message.value
    assert np.array_equal(explorer.found.image, other)


def test_a_clicked_patch_shows_its_attention_and_computes_nothing(explorer):
    before = explorer.attention.value
    explorer.picker.set_trait("row", 2)
    explorer.picker.set_trait("column", 5)
    assert (explorer.controls["row"].value, explorer.controls["column"].value) == (2, 5)
    assert "patch (2, 5)" in explorer.attention.value and explorer.attention.value != before
    assert not explorer.stages.counts


def test_every_picture_has_a_text_and_names_are_escaped(explorer):
    explorer.controls["classes"].value = "sky\n<i>grass"
    shown = explorer.attention.value + explorer.labels.value + explorer.maps.value
    assert shown.count("<img") == shown.count('<img alt="') >= 4 and 'alt=""' not in shown and "<i>" not in shown


def test_a_large_image_is_segmented_as_the_segmenter_does(shared, monkeypatch):
    monkeypatch.setattr("dotseg.segmentation.pipeline.MAX_PIXELS", 64 * 64)
    labels = Stages(shared, PAGE.image)(NAMES, shared.config)["labels"]
    with pytest.warns(UserWarning):
        assert torch.equal(labels, shared(PAGE.image, NAMES).labels.long())

import base64
import io
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dotseg.figures.palette import class_colours
from dotseg.figures.plots import overlay, show_labels, show_maps
from dotseg.figures.viewers import attention_viewer, scrub

matplotlib.use("Agg")
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)


def test_import_is_cheap():
    code = "import sys, dotseg.figures.plots; print(sorted({'matplotlib', 'colorcet'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@given(st.integers(1, 600))
@settings(max_examples=30, deadline=None)
def test_colours_do_not_depend_on_the_number_of_classes(k):
    colours = class_colours(k)
    assert colours.shape == (k, 3) and colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == min(k, 256)
    np.testing.assert_array_equal(colours, class_colours(600)[:k])


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None])
def test_colours_refuse(k):
    with pytest.raises(ValueError, match="k: expected"):
        class_colours(k)


@pytest.mark.parametrize(
    "image",
    [
        BYTES,
        Image.fromarray(BYTES),
        torch.from_numpy(BYTES),
        torch.from_numpy(BYTES).permute(2, 0, 1),
        BYTES / 255,
        (torch.from_numpy(BYTES).permute(2, 0, 1) / 255).double().requires_grad_(),
        BYTES.transpose(2, 0, 1),
    ],
    ids=["array", "PIL", "HWC tensor", "CHW tensor", "unit array", "unit tensor", "CHW array"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, torch.uint8, torch.int32])
def test_overlay_takes_every_image_and_label_kind(image, dtype):
    labels = RNG.integers(0, 5, (12, 18))
    want = ((1 - 0.7) * BYTES + 0.7 * class_colours(5)[labels]).round().astype(np.uint8)
    given_labels = torch.from_numpy(labels).to(dtype) if isinstance(dtype, torch.dtype) else labels.astype(dtype)
    out = overlay(image, given_labels, 5)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, want)


def test_square_three_pixel_images_follow_their_container():
    x = RNG.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    labels = np.zeros((3, 3), int)
    np.testing.assert_array_equal(overlay(x, labels, 1, alpha=0), x)
    np.testing.assert_array_equal(overlay(torch.from_numpy(x), labels, 1, alpha=0), x.transpose(1, 2, 0))


def test_no_class_keeps_the_image():
    for mark in (255, -1, -100):
        np.testing.assert_array_equal(overlay(BYTES, np.full((12, 18), mark), 255), BYTES)
    assert (overlay(BYTES, np.full((12, 18), 255), 256, alpha=1) == class_colours(256)[255]).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (12, 18), (24, 18), (60, 70)])
def test_labels_of_another_size_are_nearest_cells(size):
    labels = RNG.integers(0, 9, size)
    out = overlay(BYTES, labels, 9, alpha=1)
    for y in range(12):
        for x in range(18):
            assert (out[y, x] == class_colours(9)[labels[y * size[0] // 12, x * size[1] // 18]]).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"image": np.zeros((4, 4))}, "image: expected"),
        ({"image": np.full((4, 4, 3), np.nan)}, "image: expected bytes"),
        ({"image": np.full((4, 4, 3), 1.5)}, "image: expected bytes"),
        ({"labels": np.zeros((4, 4))}, "labels: expected whole numbers"),
        ({"labels": np.zeros((4, 4, 1), int)}, "labels: expected whole numbers"),
        ({"labels": np.zeros((0, 4), int)}, "labels: expected whole numbers"),
        ({"labels": np.full((4, 4), 2)}, "labels: expected numbers below k=2"),
        ({"k": 0}, "k: expected"),
        ({"alpha": -0.1}, "alpha: expected"),
        ({"alpha": float("nan")}, "alpha: expected"),
        ({"colours": class_colours(3)}, "colours: expected"),
    ],
)
def test_overlay_refuses(kwargs, message):
    good = {"image": np.zeros((4, 4, 3), np.uint8), "labels": np.zeros((4, 4), int), "k": 2}
    with pytest.raises(ValueError, match=message):
        overlay(**(good | kwargs))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_maps_of_every_kind(dtype):
    maps = (torch.arange(24).reshape(2, 3, 4) % 2).to(dtype)
    fig = show_maps(maps, ["a", "b"], image=BYTES, ncols=2)
    assert len(fig.axes) == 4
    drawn = np.asarray(fig.axes[1].images[0].get_array(), dtype=float)
    np.testing.assert_array_equal(drawn, maps[0].double().numpy())


def test_maps_without_a_finite_number_and_mixed_lists():
    empty = torch.full((3, 4), -torch.inf)
    for shared in (False, True):
        fig = show_maps([empty, BYTES, torch.ones(3, 4)], shared=shared)
        assert fig.axes[0].images[0].get_array().mask.all()
        fig.canvas.draw()
    show_maps(empty, shared=True).canvas.draw()


def test_shared_range_covers_finite_numbers_only():
    fig = show_maps([np.array([[-np.inf, 1.0]]), np.array([[np.nan, 5.0]])], shared=True)
    assert [ax.images[0].get_clim() for ax in fig.axes[:2]] == [(1.0, 5.0)] * 2


def test_figures_do_not_pile_up():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    show_maps(np.eye(3))
    show_labels(BYTES, np.zeros((12, 18), int), ["sky"])
    assert plt.get_fignums() == before


def test_legend_names_what_occurs_largest_first():
    a, b = np.zeros((12, 18), int), np.full((12, 18), 3)
    a[:2] = 2
    fig = show_labels(BYTES, {"a": a, "b": b}, ["w", "x", "y", "z"])
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["z", "w", "y"]
    assert [ax.get_title() for ax in fig.axes] == ["", "a", "b"]


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((2, 2, 2, 2))])
def test_maps_refuse(bad):
    with pytest.raises(ValueError, match="maps: expected"):
        show_maps([bad])
    with pytest.raises(ValueError, match="titles: expected"):
        show_maps([])


def test_interactive_pictures_are_the_same_bytes_and_small():
    maps = RNG.random((20, 16, 16))  # drawn anew each time, as when a notebook is run again
    pages = [scrub([show_maps(m, ["frame"]) for m in maps], range(20), "step <i>").html for _ in range(2)]
    assert pages[0] == pages[1] and len(pages[0]) < 300_000
    assert "step <i>" not in pages[0] and "https:" not in pages[0]
    viewer = attention_viewer(BYTES, RNG.random((256, 256)), (16, 16))
    assert len(viewer._repr_html_()) < 120_000 and "16 x 16" in repr(viewer)


def test_viewer_sprite_holds_every_row():
    rows = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    data = re.findall(r"base64,([^)\"]+)", attention_viewer(BYTES, rows, (2, 3)).html)[1]
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    want = ((rows / rows.amax(1, keepdim=True)).sqrt() * 63).round().numpy()
    for i in range(6):
        r, c = divmod(i, 3)
        np.testing.assert_array_equal(sprite[2 * r : 2 * r + 2, 3 * c : 3 * c + 3].ravel(), want[i])


@pytest.mark.parametrize("rows", [np.ones((5, 6)), -np.ones((6, 6)), np.full((6, 6), np.nan)])
def test_viewer_refuses(rows):
    with pytest.raises(ValueError, match="attention: expected"):
        attention_viewer(BYTES, rows, (2, 3))


def test_scrub_refuses_what_is_too_large():
    with pytest.raises(ValueError, match="give fewer or smaller frames"):
        scrub(RNG.integers(0, 256, (3, 500, 500, 3), dtype=np.uint8), "abc", "noise")

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from dotseg.miniature.picturebook import (
    CLASSES, LESSON_SEED, SHAPES, SPLITS, STUFF, TEXTURES, THINGS, PictureBook, draw_scene, lay_out, paint_stuff, paint_thing, place_things,
    polygon, soft,
)

GOLDEN = [  # seed, size, image, labels, caption: the embedded models were trained on exactly these pages
    (0, 128, "46ba1d983faa9026", "74e84a8e6f22cfc4", "a page with a tree, a star, a house and a fish with grass, sky and water"),
    (1, 128, "a34249ca83225ea2", "bbcd86db5c1083f4", "a drawing of a mushroom on water, brick and sky"),
    (17, 128, "935ddba4387144c2", "31367738cb2d8556", "a picture of a boat and a ball with sky"),
    (1_000_000, 128, "71b7dede6fefe0b3", "bd76725e1ea891ab", "a drawing of a ball with wood and sand"),
    (1_500_000, 128, "de0e68c978086a0b", "100864be5d905876", "a picture of a kite near grass and wood"),
    (2_000_004, 128, "0ea367aa91261663", "d3a1a129a1d10c26", "here is a boat and a flower on snow"),
    (0, 16, "f614215eb64d9a81", "4cafa7c0ee44c614", "a drawing of a tree and a star with water, grass and sky"),
    (3, 33, "d64e2747a23bc315", "ecb7f9874e8dc5d0", "here is a house and a boat in grass and sky"),
    (4, 64, "5ca013f34086e8ed", "11f234e07832dc30", "a picture of a flower on gravel"),
    (5, 224, "dea612d2f4963ed1", "11979ab8fd84d808", "a drawing of a house and a flower on sky"),
]


def digest(x):
    return hashlib.sha256(x.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("seed, size, image, labels, caption", GOLDEN)
def test_pages_are_what_the_models_were_trained_on(seed, size, image, labels, caption):
    scene, advice = draw_scene(seed, size), f"numpy {np.__version__} draws another page for seed {seed}, size {size}"
    assert (digest(scene.labels), scene.caption) == (labels, caption), advice
    assert digest(scene.image) == image, advice


@given(st.integers(0, 2**70), st.integers(16, 90))
@settings(max_examples=40, deadline=None)
def test_any_seed_and_size_gives_a_page(seed, size):
    scene = draw_scene(seed, size)
    assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
    assert scene.labels.shape == (size, size) and scene.labels.dtype == np.uint8 and scene.labels.max() < len(CLASSES)
    count = np.bincount(scene.labels.ravel(), minlength=len(CLASSES))
    seen = {CLASSES[i] for i in np.flatnonzero(count >= 0.005 * size**2)}
    assert {c for c in CLASSES if re.search(rf"\b{c}\b", scene.caption)} == seen
    again = draw_scene(seed, size)
    assert np.array_equal(scene.image, again.image) and np.array_equal(scene.labels, again.labels) and scene.caption == again.caption


def test_classes_and_splits():
    assert CLASSES == STUFF + THINGS and len(set(CLASSES)) == 18
    assert tuple(TEXTURES) == STUFF and tuple(SHAPES) == THINGS
    ranges = sorted(SPLITS.values(), key=lambda r: r.start)
    assert all(r.step == 1 for r in ranges) and all(a.stop <= b.start for a, b in zip(ranges, ranges[1:]))
    assert LESSON_SEED in SPLITS["validation"]


@pytest.mark.parametrize("name", STUFF)
def test_textures(name):
    y, x = np.mgrid[0:50, 0:70].astype(float)
    for seed in range(5):
        pattern = np.clip(TEXTURES[name](np.random.default_rng(seed), x, y, 1.0), 0, 1)
        assert pattern.shape == x.shape and np.isfinite(pattern).all()
        assert pattern.std() > 0.1  # there is something to see


def test_labels_of_stuff_change_where_half_is_covered():
    for seed in range(40):
        rng, twin = (np.random.Generator(np.random.PCG64(seed)) for _ in range(2))
        canvas, labels, expected = np.zeros((64, 64, 3)), np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
        for (name, where), (_, same) in zip(lay_out(rng, 64), lay_out(twin, 64)):
            before = canvas.copy()
            paint_stuff(rng, canvas, labels, name, where)
            expected = np.where(same > 0.5, CLASSES.index(name), expected)
            assert (canvas[where == 0] == before[where == 0]).all()
        assert np.array_equal(labels, expected)


@pytest.mark.parametrize("name", THINGS)
@pytest.mark.parametrize("seed", range(4))
def test_labels_of_things_follow_the_area_covered(name, seed):
    def mask(size, centre, radius):
        labels = np.zeros((size, size), np.uint8)
        paint_thing(np.random.default_rng(seed), np.zeros((size, size, 3)), labels, name, np.array(centre), radius)
        assert set(np.unique(labels)) == {0, CLASSES.index(name)}
        return labels > 0

    coarse, fine = mask(96, (47.3, 48.9), 30.0), mask(768, (47.3 * 8 + 3.5, 48.9 * 8 + 3.5), 240.0)  # each pixel as 8 x 8
    area = fine.reshape(96, 8, 96, 8).mean((1, 3))
    wrong = (coarse != (area > 0.5)) & (np.abs(area - 0.5) > 0.2)
    assert wrong.sum() <= 0.002 * coarse.sum()  # a few pixels at sharp corners
    assert abs(coarse.sum() - area.sum()) <= 0.02 * area.sum()


@pytest.mark.parametrize("name", THINGS)
def test_paint_and_labels_lie_at_the_same_place(name):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        before, labels = rng.random((80, 80, 3)), np.zeros((80, 80), np.uint8)
        canvas = before.copy()
        paint_thing(rng, canvas, labels, name, rng.uniform(20, 60, 2), rng.uniform(14, 24))
        changed, mask = (canvas != before).any(-1), labels > 0
        padded = np.pad(mask, 2)
        near = np.max([padded[i : i + 80, j : j + 80] for i in range(5) for j in range(5)], 0)
        assert not (mask & ~changed).any() and not (changed & ~near).any()


def test_things_are_different_and_on_the_page():
    for seed in range(200):
        placed = place_things(np.random.default_rng(seed), 128)
        names = [name for name, _, _ in placed]
        assert 1 <= len(placed) <= 4 and len(set(names)) == len(names) and set(names) <= set(THINGS)
        for _, centre, radius in placed:
            assert (centre >= 0.9 * radius).all() and (centre <= 128 - 0.9 * radius).all() and 0.12 * 128 <= radius <= 0.42 * 128


@given(st.integers(3, 9), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_polygon_is_inside_where_matplotlib_says(corners, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))  # star-shaped around the origin: never crosses itself
    points = rng.uniform(0.2, 1, corners)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    u, v = rng.uniform(-1, 1, (2, 400))
    distance = polygon(u, v, *points)
    clear = np.abs(distance) > 1e-9
    assert np.array_equal((distance < 0)[clear], Path(points).contains_points(np.stack([u, v], 1))[clear])
    step = rng.uniform(-0.1, 0.1, (2, 400))  # a distance changes by no more than the step taken
    assert (np.abs(polygon(u + step[0], v + step[1], *points) - distance) <= np.hypot(*step) + 1e-9).all()


def test_soft_is_the_covered_share_of_a_pixel():
    edge = np.linspace(-3, 3, 601)
    filled = np.clip(np.minimum(0.5, edge) + 0.5, 0, 1)  # of the pixel from -0.5 to 0.5, by a shape left of the edge
    assert np.allclose(soft(-edge), filled)
    assert soft(np.array(0.0)) == 0.5


def test_picture_book():
    book = PictureBook("test", 3)
    assert len(book) == len(list(book)) == 3
    assert np.array_equal(book[-1].image, draw_scene(2_000_002).image)
    with pytest.raises(IndexError):
        book[3]


@pytest.mark.parametrize("seed", [-1, 1.0, "0", None, True, range(3)])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match="seed: got .*, expected a whole number, at least 0"):
        draw_scene(seed)


@pytest.mark.parametrize("size", [15, 0, -128, 128.0, (128, 128), True])
def test_wrong_sizes(size):
    with pytest.raises(ValueError, match="size: got .*, expected a whole number, at least 16"):
        draw_scene(0, size)


@pytest.mark.parametrize("split, n, words", [
    ("val", 3, "split: got 'val', expected one of train, validation, test"),
    ("train", 0, "n: got 0, expected a whole number of pages, 1 to 1,000,000"),
    ("train", 1_000_001, "n: got 1000001"), ("train", 2.0, "n: got 2.0"), ("train", True, "n: got True"),
])
def test_wrong_books(split, n, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        PictureBook(split, n)

"Resizing and merging of attention, over devices, dtypes, grids and whatever hypothesis finds."
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.attention import merge_attention, resize_attention
from dotseg.models.sources import AttentionSource

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
GRIDS = [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (6, 8)]


def rand(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def stochastic(grid, *lead, seed=0):
    x = rand(*lead, math.prod(grid), math.prod(grid), seed=seed)
    return x / x.sum(-1, keepdim=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("old", GRIDS)
@pytest.mark.parametrize("new", GRIDS)
def test_rows_sum_to_one(device, dtype, old, new):
    attention = stochastic(old, 2, seed=3).to(dtype).to(device)
    resized = resize_attention(attention, old, new)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert resized.shape == (2, math.prod(new), math.prod(new))
    assert resized.dtype == wide and resized.device.type == device
    tolerance = 0.02 if old == new and dtype.itemsize == 2 else 1e-5  # equal grids: the values as they came
    assert_close(resized.sum(-1), torch.ones_like(resized[..., 0]), atol=tolerance, rtol=0)
    assert (resized >= 0).all()


@pytest.mark.parametrize("grid", GRIDS)
def test_equal_grids_change_nothing(grid):
    attention = stochastic(grid, 2, 3)
    assert torch.equal(resize_attention(attention, grid, list(grid)), attention)


@pytest.mark.parametrize("old, new, mode", [((3, 5), (7, 11), "bilinear"), ((2, 1), (4, 1), "bilinear"), ((6, 8), (3, 4), "area"), ((6, 1), (2, 1), "area")])
def test_against_interpolate(old, new, mode):
    attention = stochastic(old)
    keys = F.interpolate(attention.reshape(1, -1, *old), new, mode=mode).flatten(-2)[0]
    both = F.interpolate(keys.mT.reshape(1, -1, *old), new, mode=mode).flatten(-2)[0].mT
    assert_close(resize_attention(attention, old, new), both / both.sum(-1, keepdim=True))


def test_a_mixed_change_is_one_axis_after_the_other():
    attention = stochastic((4, 3))
    assert_close(resize_attention(attention, (4, 3), (2, 6)), resize_attention(resize_attention(attention, (4, 3), (2, 3)), (2, 3), (2, 6)))


def test_block_attention_survives_halving_and_doubling():
    region = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    same = (region.flatten()[:, None] == region.flatten()).double() / 4
    assert_close(resize_attention(same, (4, 4), (2, 2)), torch.eye(4, dtype=torch.float64))


def test_to_a_coarser_grid_the_mass_on_each_key_is_kept():
    attention = stochastic((5, 7))
    resized = resize_attention(attention, (5, 7), (1, 1))
    assert_close(resized, torch.ones(1, 1, dtype=torch.float64))
    far = torch.zeros(36, 36, dtype=torch.float64)
    far[:, 7] = 1.0  # row 1, column 1 of (6, 6): inside the first of (3, 3)
    assert_close(resize_attention(far, (6, 6), (3, 3))[:, 0], torch.ones(9, dtype=torch.float64))


def test_rows_of_zeros_become_uniform():
    attention = stochastic((2, 2))
    attention[1] = 0
    assert_close(resize_attention(torch.zeros(4, 4), (2, 2), (3, 3)), torch.full((9, 9), 1 / 9))
    merged = merge_attention({"a": (attention, (2, 2))}, {"a": 1.0}, (2, 2))
    assert_close(merged[1], torch.full((4,), 0.25, dtype=torch.float64))
    assert_close(merged[[0, 2, 3]], attention[[0, 2, 3]])


def test_merge_is_the_weighted_mean_of_what_resize_gives():
    a, b = stochastic((2, 3), 2, seed=1), stochastic((4, 6), 2, seed=2)
    blocks = {"up0": (a, (2, 3)), "up1": (5 * b, (4, 6)), "mid": (a, (2, 3))}  # rows of any sum
    merged = merge_attention(blocks, {"up0": 1, "up1": 3, "mid": 0}, (4, 6))
    assert_close(merged, 0.25 * resize_attention(a, (2, 3), (4, 6)) + 0.75 * b)


def test_merge_broadcasts_a_shared_block_and_needs_the_used_ones_only():
    a, b = stochastic((2, 2), 3), stochastic((2, 2))
    merged = merge_attention({"a": (a, (2, 2)), "b": (b, (2, 2)), "7": (None, None)}, {"a": 1, "b": 1}, (2, 2))
    assert_close(merged, (a + b) / 2)
    with pytest.raises(ValueError, match="b: batch axes"):
        merge_attention({"a": (a, (2, 2)), "b": (stochastic((2, 2), 2), (2, 2))}, {"a": 1, "b": 1}, (2, 2))


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"c": 1.0}, "weights: no block 'c', expected some of 'a', 'b'"),
        ({}, "weights: got {}"),
        ({"a": 0.0}, "at least one of them > 0"),
        ({"a": 1.0, "b": -1.0}, "weights: b: got -1.0, expected a number >= 0"),
        ({"a": math.nan}, "weights: a: got nan, expected a number >= 0"),
        ({"a": math.inf}, "expected"),
    ],
)
def test_refused_weights(weights, message):
    block = (stochastic((2, 2)), (2, 2))
    with pytest.raises(ValueError, match=message):
        merge_attention({"a": block, "b": block}, weights, (2, 2))


@pytest.mark.parametrize(
    "attention, grid, message",
    [
        (torch.ones(4, 3), (2, 2), r"n0? is 3, expected 4"),
        (torch.ones(4, 4), (4, 4), r"got \(4, 4\), but \w+ has 4 patches"),
        (torch.ones(4, 4), (-2, -2), r"got \(-2, -2\)"),
        (torch.ones(4, 4), (4,), r"got \(4,\)"),
        (-torch.ones(4, 4), (2, 2), "values lie in"),
        (torch.full((4, 4), math.nan), (2, 2), "are NaN"),
        (torch.full((4, 4), math.inf), (2, 2), "infinite"),
        (torch.ones(4, 4, dtype=torch.int32), (2, 2), "floating-point"),
    ],
)
def test_refused_attention(attention, grid, message):
    with pytest.raises(ValueError, match=message):
        resize_attention(attention, grid, (3, 3))
    with pytest.raises(ValueError, match=message):
        merge_attention({"up0": (attention, grid)}, {"up0": 1.0}, (3, 3))


@pytest.mark.parametrize("grid", [(0, 3), (3,), (2, -1)])
def test_refused_target(grid):
    for call in (lambda: resize_attention(stochastic((2, 2)), (2, 2), grid), lambda: merge_attention({"a": (stochastic((2, 2)), (2, 2))}, {"a": 1}, grid)):
        with pytest.raises(ValueError, match="to_grid"):
            call()


def test_a_plain_function_is_a_source():
    def uniform(images, grid):
        n = math.prod(grid)
        return images.new_full((len(images), n, n), 1 / n)

    source: AttentionSource = uniform
    assert source(torch.zeros(2, 3, 8, 8), (2, 3)).shape == (2, 6, 6)


side = st.integers(1, 5)


@settings(max_examples=60, deadline=None)
@given(side, side, side, side, st.integers(0, 1000), st.floats(0, 1))
def test_any_grids(h, w, new_h, new_w, seed, empty):
    attention = rand(h * w, h * w, seed=seed)
    attention[rand(h * w, seed=seed + 1) < empty] = 0
    resized = resize_attention(attention, (h, w), (new_h, new_w))
    if (h, w) != (new_h, new_w):
        assert_close(resized.sum(-1), torch.ones(new_h * new_w, dtype=torch.float64))
    mirrored = attention.reshape(h, w, h, w).flip(1, 3).reshape(h * w, h * w)
    expected = resized.reshape(new_h, new_w, new_h, new_w).flip(1, 3).reshape(resized.shape)
    assert_close(resize_attention(mirrored, (h, w), (new_h, new_w)), expected)

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dotseg.method.checks import as_float, check_shapes, to_grid, to_tokens

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def test_letters_bind_across_arguments_and_are_returned():
    sizes = check_shapes(f=(torch.zeros(2, 3, 4), "... k n"), attention=(torch.zeros(4, 4), "... n n"))
    assert sizes == {"k": 3, "n": 4}


@pytest.mark.parametrize(
    ("shape", "spec", "message"),
    [
        ((3, 5), "n n", "x: n is 5, expected 3"),
        ((4,), "n n", "x: expected 2 axes, got 1"),
        ((4,), "... n n", "x: expected 2 axes, got 1"),
        ((1, 2, 2), "n n", "x: expected 2 axes, got 3"),
        ((1, 4, 8, 8), "... 3 H W", "x: 3 is 4, expected 3"),
        ((), "n", "x: expected 1 axes, got 0"),
    ],
)
def test_a_wrong_shape_is_named(shape, spec, message):
    with pytest.raises(ValueError, match="^" + message):
        check_shapes(x=(torch.zeros(shape), spec))


def test_letters_are_compared_with_the_arguments_before():
    with pytest.raises(ValueError, match="^b: n is 3, expected 4"):
        check_shapes(a=(torch.zeros(4), "n"), b=(torch.zeros(3), "n"))


def test_something_else_than_a_tensor_is_named():
    with pytest.raises(ValueError, match="^f: expected a torch.Tensor, got list"):
        check_shapes(f=([[1.0]], "k n"))


@given(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
def test_batch_axes_are_refused_exactly_when_torch_would(first, second):
    args = {"x": (torch.zeros(*first, 2), "... n"), "y": (torch.zeros(*second, 2), "... n")}
    try:
        torch.broadcast_shapes(first, second)
    except RuntimeError:
        with pytest.raises(ValueError, match="^y: batch axes"):
            check_shapes(**args)
    else:
        check_shapes(**args)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_are_widened_to_float32_or_stay(dtype, device):
    x = torch.tensor([0.25, 0.5], dtype=dtype, device=device)
    wide = as_float(x, "x")
    assert wide.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(wide.cpu().double(), torch.tensor([0.25, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("bounds", [{}, {"low": 0}, {"high": 1}, {"low": 0, "high": 1}])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_nan_is_refused_by_name(dtype, bounds):
    with pytest.raises(ValueError, match="^logits: 1 of 3 values are NaN"):
        as_float(torch.tensor([0.5, math.nan, -math.inf], dtype=dtype), "logits", **bounds)


def test_infinities_pass_only_without_bounds():
    x = torch.tensor([-math.inf, 0.0, math.inf])
    torch.testing.assert_close(as_float(x, "x"), x)
    for bounds in ({"low": 0}, {"high": 0}, {"low": -math.inf}):
        with pytest.raises(ValueError, match="^x: got infinite values"):
            as_float(x, "x", **bounds)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=5), st.floats(-5, 0), st.floats(0, 5))
def test_bounds_include_their_ends(values, low, high):
    x = torch.tensor(values, dtype=torch.float64)
    if min(values) < low or max(values) > high:
        with pytest.raises(ValueError, match="^x: values lie in"):
            as_float(x, "x", low=low, high=high)
    else:
        torch.testing.assert_close(as_float(x, "x", low=low, high=high), x)


@pytest.mark.parametrize("x", [torch.tensor([1, 2]), torch.tensor([True]), torch.tensor([1j]), [1.0], 1.0, None])
def test_other_types_are_refused(x):
    with pytest.raises(ValueError, match="^x: expected a floating-point torch.Tensor"):
        as_float(x, "x")


def test_an_empty_tensor_passes():
    assert as_float(torch.zeros(0, 4), "f", low=0).shape == (0, 4)


def test_gradients_pass_through_the_check():
    x = torch.ones(3, requires_grad=True)
    as_float(x, "x", low=0).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones(3))


@given(st.lists(st.integers(0, 3), max_size=2), st.integers(1, 6), st.integers(1, 6))
def test_grid_and_tokens_are_inverse(lead, h, w):
    x = torch.arange(math.prod(lead) * h * w).reshape(*lead, h * w)
    grid = to_grid(x, (h, w))
    assert grid.shape == (*lead, h, w)
    torch.testing.assert_close(to_tokens(grid), x)
    if all(lead):
        assert grid.data_ptr() == x.data_ptr()  # a view


def test_a_grid_of_another_size_is_refused():
    with pytest.raises(ValueError, match="^size: 2 x 4 is 8 patches, but x has 6"):
        to_grid(torch.zeros(5, 6), (2, 4))
    with pytest.raises(ValueError, match="^x: expected 2 axes, got 1"):
        to_tokens(torch.zeros(6))

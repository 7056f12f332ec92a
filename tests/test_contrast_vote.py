"The contrast vote over dtypes, devices and shapes, its invariants, and its errors; the loop that it agrees with is in its notebook."
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.contrast_vote import contrast_vote, neighbour_kernel

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def draw(k=4, h=5, w=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(k, h, w, generator=g, dtype=torch.float64), torch.rand(h * w, h * w, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_precisions_and_devices(dtype, device):
    logits, attention = draw()
    maps = contrast_vote(logits.to(device, dtype), attention.to(device, dtype))
    assert maps.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and maps.device.type == device
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 0.02, torch.bfloat16: 0.15}[dtype]
    assert_close(maps.cpu().double(), contrast_vote(logits, attention), atol=tolerance, rtol=0)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6), st.sampled_from(["random", "zero", "identity", "one key"]), st.sampled_from([1e-6, 1.0, 1e3]))
@settings(max_examples=80, deadline=None)
def test_any_problem(k, h, w, seed, kind, spread):
    logits, attention = draw(k, h, w, seed)
    attention = {"random": attention, "zero": 0 * attention, "identity": torch.eye(h * w).double(), "one key": torch.eye(h * w)[:1].double().expand(h * w, -1)}[kind]
    maps = contrast_vote(spread * logits, attention)
    assert maps.shape == (k, h * w) and maps.isfinite().all() and (maps >= 0).all()
    assert_close(maps.sum(0), torch.ones(h * w, dtype=torch.float64))
    order = torch.randperm(k, generator=torch.Generator().manual_seed(seed))
    assert_close(contrast_vote(spread * logits[order], attention), maps[order], atol=1e-9, rtol=1e-6)


def test_a_class_that_is_nowhere_does_not_win_by_its_contrast():
    logits, attention = draw(3, 6, 6)
    absent = logits[:1] - 40  # the same pattern as a class that is there, far below it
    maps = contrast_vote(torch.cat([logits, absent]), attention)
    assert_close(maps[:3], contrast_vote(logits, attention), atol=1e-6, rtol=0)
    assert maps[3].max() < 1e-6


def test_an_offset_of_a_class_matters_through_its_presence_alone():
    "With two classes and equal presence, an offset changes nothing."
    attention = torch.block_diag(torch.ones(8, 8), torch.ones(8, 8))
    pattern = torch.linspace(-1, 1, 16).view(1, 4, 4)
    plain = contrast_vote(torch.cat([pattern, -pattern]), attention)
    assert_close(plain.argmax(0), (torch.arange(16) < 8).long())
    lifted = contrast_vote(torch.cat([pattern + 0.5, -pattern]), attention)
    assert_close(lifted.argmax(0), plain.argmax(0))


def test_kernel_rows_sum_to_one_and_fall_with_distance():
    kernel = neighbour_kernel(torch.ones(16, 16).double(), (4, 4))
    assert_close(kernel.sum(-1), torch.ones(16).double())
    assert (kernel[0].view(4, 4)[0].diff() < 0).all()
    assert_close(kernel.diagonal(), kernel.max(-1).values)


def test_inputs_are_left_alone_and_gradients_flow():
    logits, attention = draw()
    before = logits.clone(), attention.clone()
    contrast_vote(logits, attention)
    assert torch.equal(logits, before[0]) and torch.equal(attention, before[1])
    logits.requires_grad_(True)
    contrast_vote(logits, attention)[0].sum().backward()
    assert logits.grad.isfinite().all() and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("change, message", [
    ({"logits": torch.full((2, 2, 2), math.nan)}, "logits: 8 of 8 values are NaN"), ({"logits": torch.full((2, 2, 2), -math.inf)}, "logits: got infinite values"),
    ({"logits": torch.zeros(0, 2, 2)}, "logits: k is 0, expected at least 1"), ({"logits": torch.zeros(2, 2)}, "logits: expected 3 axes"),
    ({"attention": torch.ones(3, 3)}, "attention: 4 is 3"), ({"attention": -torch.ones(4, 4)}, "attention: values lie in"),
    ({"contrast": -1.0}, "contrast: got -1"), ({"links": 2}, "links: got 2"), ({"reach": 0}, "reach: got 0"), ({"eps": math.nan}, "eps: got nan"), ({"eps": "soft"}, "eps: got 'soft'"),
])
def test_errors_name_the_argument(change, message):
    with pytest.raises(ValueError, match="^" + message):
        contrast_vote(**({"logits": torch.zeros(2, 2, 2), "attention": torch.ones(4, 4)} | change))

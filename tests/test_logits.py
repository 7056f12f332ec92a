"Logits to distributions, over devices, dtypes, shapes and whatever hypothesis finds."
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.logits import normalise, reject_early, suppress_non_maxima

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def rand(*shape, seed=0, dtype=torch.float64):
    return (0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 4, 3), (2, 5, 1, 7), (2, 3, 4, 2, 2)])
def test_shapes_dtypes_devices(device, dtype, shape):
    logits = rand(*shape, dtype=dtype).to(device)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    survivors = suppress_non_maxima(logits, 0.5, 25.0)
    f = normalise(survivors, 25.0)
    assert reject_early(logits).shape == shape[:-2] and reject_early(logits).dtype == torch.bool
    assert survivors.shape == shape and survivors.dtype == f.dtype == wide and f.device.type == device
    assert f.shape == (*shape[:-2], shape[-2] * shape[-1])
    total, supported = f.sum(-1), survivors.isfinite().flatten(-2).any(-1)
    assert_close(total, supported.to(wide), atol=1e-5, rtol=0)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_batch_is_one_by_one(k):
    logits = rand(3, 2, k, 4, 5)
    for function in (reject_early, suppress_non_maxima, normalise):
        together = function(logits)
        for i in range(3):
            for j in range(2):
                assert_close(together[i, j], function(logits[i, j]))


def test_matches_torch_softmax():
    logits = rand(6, 5, 5)
    assert_close(normalise(logits, 30.0), (30 * logits).flatten(1).softmax(-1))
    sure = (30 * logits).softmax(0) >= 0.4
    assert_close(suppress_non_maxima(logits, 0.4, 30.0).isfinite(), sure)
    assert_close(reject_early(logits), torch.tensor([(logits.argmax(0) == c).any() for c in range(6)]))


def test_ties_go_to_the_first_class():
    assert reject_early(torch.zeros(4, 8, 8)).tolist() == [True, False, False, False]


def test_a_patch_without_any_class_votes_for_nobody():
    logits = torch.tensor([[[-math.inf, -1.0]], [[-math.inf, 1.0]]])
    assert reject_early(logits).tolist() == [False, True]
    assert reject_early(torch.full((2, 3, 4, 4), -math.inf)).any().item() is False


def test_rejected_classes_take_no_confidence():
    logits = torch.tensor([[[0.30]], [[0.29]], [[0.10]]])
    assert not suppress_non_maxima(logits).isfinite().any()
    logits[1] = -math.inf
    assert suppress_non_maxima(logits).isfinite().flatten().tolist() == [True, False, False]


def test_input_is_left_alone():
    logits = rand(3, 4, 4)
    before = logits.clone()
    reject_early(logits), suppress_non_maxima(logits), normalise(logits)
    assert torch.equal(before, logits)


def test_gradients_are_finite():
    logits = rand(3, 4, 4)
    logits[0] = -math.inf
    logits.requires_grad_()
    normalise(suppress_non_maxima(logits, 0.4), 10.0).square().sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("function", [reject_early, suppress_non_maxima, normalise])
@pytest.mark.parametrize(
    "bad, message",
    [
        (torch.zeros(3, 4), "logits: expected 3 axes, got 2"),
        (torch.zeros(0, 4, 4), "got shape .* expected at least 1 "),
        (torch.zeros(3, 0, 4), "got shape .* expected at least 1 "),
        (torch.tensor([[[math.nan]]]), "logits: 1 of 1 values are NaN"),
        (torch.tensor([[[math.inf]]]), r"logits: got \+inf"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "logits: expected a floating-point"),
        ([[[0.0]]], "logits: expected a torch.Tensor"),
    ],
)
def test_refused(function, bad, message):
    with pytest.raises(ValueError, match=message):
        function(bad)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 90, math.nan])
def test_refused_threshold(threshold):
    with pytest.raises(ValueError, match="threshold"):
        suppress_non_maxima(torch.zeros(2, 2, 2), threshold)


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("function", [suppress_non_maxima, normalise])
def test_refused_scale(function, scale):
    with pytest.raises(ValueError, match="scale"):
        function(torch.zeros(2, 2, 2), scale=scale)


values = st.one_of(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-1, 1, width=32), st.just(-math.inf), st.just(0.25))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.floats(0.0, 1.0), st.floats(0.01, 1000))
def test_any_input(data, k, h, w, threshold, scale):
    flat = data.draw(st.lists(values, min_size=k * h * w, max_size=k * h * w))
    logits = torch.tensor(flat, dtype=torch.float32).reshape(k, h, w)
    kept, survivors = reject_early(logits), suppress_non_maxima(logits, threshold, scale)
    f = normalise(survivors, scale)
    alive = survivors.isfinite()
    assert f.isfinite().all() and (f >= 0).all()
    assert_close(f.sum(-1), alive.flatten(1).any(1).float(), atol=1e-4, rtol=0)
    assert (f.reshape(k, h, w)[~alive] == 0).all()
    assert not (alive & ~logits.isfinite()).any()
    assert torch.equal(survivors[alive], logits[alive])
    assert kept.any() == logits.isfinite().any()
    if threshold > 0.5 + 1e-5:
        assert alive.sum(0).max() <= 1
        assert not (alive.flatten(1).any(1) & ~kept).any()  # a sure patch is a patch won

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.optimal_path import attention_cost, kl_discrepancy, optimal_path
from dotseg.method.sinkhorn import sinkhorn

pytestmark = pytest.mark.filterwarnings("ignore:sinkhorn. after:UserWarning")  # few iterations, or a small eps, on purpose
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
READINGS = ["potential", "cost"]


def maps(k=3, n=9, seed=0, empty=0.5, lead=()):
    "Distributions of which a part of the patches is empty, and attention."
    draw = torch.Generator().manual_seed(seed)
    f = torch.rand(*lead, k, n, generator=draw, dtype=torch.float64)
    f = f * (torch.rand(*lead, k, n, generator=draw) >= empty)
    f[..., 0] += 0.01
    attention = torch.softmax(2 * torch.randn(*lead, n, n, generator=draw, dtype=torch.float64), -1)
    return f / f.sum(-1, keepdim=True), attention


def one_class_at_a_time(f, attention, eps, n_iters, reading):
    "The definition, with a plan per class, over the patches that have mass."
    n, result = f.shape[-1], []
    cost = 1 - attention / attention.amax(-1, keepdim=True)
    for row in f:
        a, c = row[row > 0], cost[row > 0]
        log_nu = torch.zeros(n, dtype=torch.float64)
        for _ in range(n_iters):
            log_mu = a.log() - torch.logsumexp(log_nu - c / eps, 1)
            log_nu = math.log(1 / n) - torch.logsumexp(log_mu[:, None] - c / eps, 0)
        plan = (log_mu[:, None] - c / eps + log_nu).exp()
        result.append(-n * (c * plan).sum(0) if reading == "cost" else -eps * (log_nu + (a * (log_mu - a.log())).sum()))
    return torch.stack(result)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("eps", [1.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("n_iters", [1, 50])
def test_maps_agree_with_one_class_at_a_time(eps, n_iters, reading):
    f, attention = maps()
    expected = one_class_at_a_time(f, attention, eps, n_iters, reading)
    assert_close(optimal_path(f, attention, eps, n_iters, reading), expected, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision_and_device(dtype, device, reading):
    f, attention = maps(n=64)
    result = optimal_path(f.to(device, dtype), attention.to(device, dtype), reading=reading)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    assert_close(result.cpu().double(), optimal_path(f, attention, reading=reading), atol=tolerance, rtol=0)


@pytest.mark.parametrize("reading", READINGS)
def test_leading_axes(reading):
    f, attention = maps(lead=(2,))
    single = torch.stack([optimal_path(x, y, reading=reading) for x, y in zip(f, attention)])
    assert_close(optimal_path(f, attention, reading=reading), single)
    assert_close(optimal_path(f, attention[0], reading=reading)[0], single[0])
    assert_close(optimal_path(f[0], attention, reading=reading)[0], single[0])
    assert_close(optimal_path(f[:, None], attention, reading=reading)[1, 1], single[1])


def test_the_mean_price_is_the_value_of_the_transport():
    ot = pytest.importorskip("ot")
    f, attention = maps(empty=0)
    cost = 1 - attention / attention.amax(-1, keepdim=True)
    even = torch.full((9,), 1 / 9, dtype=torch.float64)
    for row, scores in zip(f, optimal_path(f, attention, n_iters=3000)):
        args = cost.numpy(), row.numpy(), even.numpy()
        value = ot.solve(*args, reg=0.1, reg_type="entropy", max_iter=10000, tol=1e-13).value
        entropy = -torch.special.xlogy(row, row).sum().item()  # of the class itself, which the gauge leaves out
        assert_close(-scores.mean().item(), float(value) + 0.1 * entropy, atol=1e-9, rtol=0)


@pytest.mark.parametrize("reading", READINGS)
def test_a_class_without_support_never_wins(reading):
    f, attention = maps()
    f[1] = 0
    result = optimal_path(f, attention, reading=reading)
    assert_close(result[1], torch.full((9,), -1.0, dtype=torch.float64))
    assert_close(result[[0, 2]], optimal_path(f[[0, 2]], attention, reading=reading))
    assert (result[[0, 2]] > -1).all()
    assert_close(optimal_path(0 * f, attention, reading=reading), torch.full((3, 9), -1.0, dtype=torch.float64))


@pytest.mark.parametrize("reading", READINGS)
def test_one_patch_one_class_and_rows_without_attention(reading):
    assert_close(optimal_path(torch.ones(1, 1), torch.ones(1, 1), reading=reading), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="^f: got shape .*, expected at least 1 k"):
        optimal_path(torch.zeros(0, 4), torch.ones(4, 4), reading=reading)
    f, attention = maps()
    silent = torch.zeros_like(attention)
    flat = optimal_path(f, silent, reading=reading)
    assert flat.isfinite().all()
    assert_close(flat, flat[:, :1].expand(3, 9))
    assert_close(optimal_path(f, 1000 * attention, reading=reading), optimal_path(f, attention, reading=reading))


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 10**6), st.floats(1e-3, 10), st.sampled_from(READINGS))
@settings(max_examples=60, deadline=None)
def test_any_maps(k, n, seed, eps, reading):
    f, attention = maps(k, n, seed)
    result = optimal_path(f, attention, eps, 5, reading)
    assert result.isfinite().all()
    if reading == "cost":
        assert (result >= -1 - 1e-9).all() and (result <= 0).all()
    else:
        assert (result >= eps * math.log(n) - 1 - 1e-9).all()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    permuted = optimal_path(f[:, order], attention[order][:, order], eps, 5, reading)
    assert_close(permuted, result[:, order], atol=1e-9, rtol=0)
    classes = torch.cat([f, f[:1]])  # the first class twice
    assert_close(optimal_path(classes, attention, eps, 5, reading)[[0, -1]], result[[0, 0]], atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_kl_sums_to_the_divergence(dtype):
    f = maps(lead=(2,))[0].to(dtype)
    share = kl_discrepancy(f)
    wide = f.to(share.dtype)
    expected = torch.nn.functional.kl_div(torch.full_like(wide, 1 / 9).log(), wide, reduction="none").sum(-1)
    assert share.shape == f.shape and share.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(share.sum(-1), expected)
    assert_close(share[f == 0], torch.zeros_like(share[f == 0]))
    assert_close(kl_discrepancy(torch.zeros(2, 4)), torch.zeros(2, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": torch.ones(3, 9)}, "f: a row sums to 9, expected 1"),
        ({"f": -torch.ones(3, 9) / 9}, "f: values lie in"),
        ({"f": torch.full((3, 9), math.nan)}, "f: 27 of 27 values are NaN"),
        ({"f": torch.ones(9) / 9}, "f: expected 2 axes, got 1"),
        ({"attention": torch.ones(9, 8)}, "attention: n is 8, expected 9"),
        ({"attention": torch.ones(5, 5)}, "attention: n is 5, expected 9"),
        ({"attention": -torch.ones(9, 9)}, "attention: values lie in"),
        ({"attention": torch.full((9, 9), math.inf)}, "attention: got infinite values"),
        ({"reading": "plan"}, "reading: got 'plan'"),
        ({"eps": -1}, "eps, n_iters: got -1 and 50"),
        ({"n_iters": 0}, "eps, n_iters: got 0.1 and 0"),
    ],
)
def test_errors_name_the_argument(change, message):
    f, attention = maps()
    with pytest.raises(ValueError, match="^" + message):
        optimal_path(**{"f": f, "attention": attention, "eps": 0.1, "n_iters": 50, "reading": "potential", **change})


@pytest.mark.parametrize("f", [torch.ones(2, 3), torch.full((2, 3), math.nan), -torch.ones(2, 3) / 3, torch.ones(3) / 3])
def test_errors_of_kl(f):
    with pytest.raises(ValueError, match="^f: "):
        kl_discrepancy(f)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("eps", [1e-3, 1e-5, 1e-8])
def test_maps_keep_their_precision_where_sinkhorn_is_widened(reading, eps):
    f, attention = maps(k=4, n=30)
    found, want = optimal_path(f.float(), attention.float(), eps, 20, reading), optimal_path(f, attention, eps, 20, reading)
    assert found.dtype == torch.float32
    assert_close(found.double(), want, atol=2e-4, rtol=0)


def test_ordinary_pages_make_no_warning():
    "At the paper's setting and the picture book's, with all classes and without suppression, which is the hardest."
    from dotseg.method.logits import normalise
    from dotseg.miniature.picturebook import CLASSES, PictureBook
    from dotseg.segmentation.segmenter import Segmenter

    segmenter = Segmenter.from_preset("picturebook", device="cpu", mode="path")
    assert segmenter.config.mode.eps == 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for page in PictureBook("validation", 4):
            logits, attention = segmenter.encode(page.image, CLASSES)
            for eps in (0.05, 0.1):
                f = normalise(logits, segmenter.config.scale)
                optimal_path(f, attention, eps)
                assert sinkhorn(attention_cost(attention), f, f.new_full((256,), 1 / 256), eps).row_error.max() < 0.05

"Public maths where numbers are hard: huge and tiny ones, zero rows, empty axes, gradients, odd layouts, and tensors whose values cannot be seen."
import math
import warnings
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.attention import attention_probs, merge_attention, resize_attention
from dotseg.method.background import Background, claim_pixels, mark_background, merge_words, settle_words
from dotseg.method.checks import divide, has_values, in_range, to_grid, to_tokens
from dotseg.method.contrast_vote import contrast_vote, neighbour_kernel
from dotseg.method.diagnostics import look_alikes
from dotseg.method.errors import DotsegError
from dotseg.method.logits import confidence, normalise, reject_early, suppress_non_maxima
from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.measures import MEASURES, Alone, ContrastVote, Fused, KernelVote, OptimalPath, RawLogits
from dotseg.method.optimal_path import attention_cost, kl_discrepancy, optimal_path
from dotseg.method.proportional_fitting import doubly_stochastic, fit_factors
from dotseg.method.refine import DiscrepancyConfig, discrepancy, label_pixels, refine, select, upsample
from dotseg.method.sinkhorn import sinkhorn
from dotseg.method.upsampling import area_average, joint_bilateral_upsample

pytestmark = pytest.mark.filterwarnings("ignore:sinkhorn. after")  # few iterations
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@dataclass
class Size:
    k: int = 3
    h: int = 2
    w: int = 3

    @property
    def n(self):
        return self.h * self.w


def draw(kind, size, seed=0, dtype=torch.float64, zero=False, magnitude=1.0):
    "An input of a kind; `zero` empties its first row and a few places more. Distributions and images have no magnitude."
    g = torch.Generator().manual_seed(seed)
    k, h, w, n = size.k, size.h, size.w, size.n
    shape = {"vectors": (n, 4), "attention": (n, n), "cost": (n, n), "f": (k, n), "levels": (k, n), "logits": (k, h, w), "maps": (k, h, w), "image": (3, 2 * h + 1, 3 * w), "scores": (k, 4, 5)}[kind]
    positive = kind in ("attention", "cost", "f", "levels", "image")
    x = (torch.rand if positive else torch.randn)(shape, generator=g, dtype=torch.float64) * 0.9 + 0.05 * positive
    if zero and kind != "image":
        gone = torch.zeros(shape, dtype=torch.bool)
        gone[0] = True
        gone.view(-1)[-1] = gone[-1].numel() > 1
        x = x.masked_fill(gone, -math.inf if kind == "logits" and k > 1 else 0.0)
    if kind == "f":
        x = x / x.sum(-1, keepdim=True).clamp_min(1e-300)
    elif kind not in ("image", "cost"):
        x = x * magnitude
    return x.to(dtype)


def with_size(call):  # gives the function the grid of its attention
    return lambda *tensors, size: call(*tensors, (size.h, size.w))


def resized(h, w):
    return lambda attention, size: resize_attention(attention, (size.h, size.w), (h, w))


def merged(first, second, size):
    return merge_attention({"a": (first, (size.h, size.w)), "b": (second, (size.h, size.w))}, {"a": 1.0, "b": 2.0}, (size.h + 1, size.w))


def plan(cost, f, size):
    return sinkhorn(cost, f, f.new_full((size.n,), 1 / size.n), 0.1, 20).plan()


def refined(mode, jbu=True):
    config = DiscrepancyConfig(mode, confidence_threshold=0.5, scale=10.0, jbu=jbu)
    return lambda logits, attention, image, size: refine(logits, attention, image, config).scores


def plain(call, **options):
    return lambda *tensors, size: call(*tensors, **options)


CASES = {  # name: kinds of input, the function
    "attention_probs": (("vectors", "vectors"), plain(attention_probs)),
    "resize finer": (("attention",), resized(4, 4)),
    "resize coarser": (("attention",), resized(1, 2)),
    "resize 2 x 3 to 3 x 3": (("attention",), resized(3, 3)),
    "merge_attention": (("attention", "attention"), merged),
    "attention_cost": (("attention",), plain(attention_cost)),
    "fit_factors": (("attention",), lambda a, size: torch.cat(torch.broadcast_tensors(*fit_factors(a, 3)))),
    "doubly_stochastic": (("attention",), plain(doubly_stochastic, n_iters=3)),
    "neighbour_kernel": (("attention",), with_size(neighbour_kernel)),
    "contrast_vote": (("maps", "attention"), plain(contrast_vote)),
    "kl_discrepancy": (("f",), plain(kl_discrepancy)),
    "optimal_path": (("f", "attention"), plain(optimal_path, n_iters=20)),
    "optimal_path, cost": (("f", "attention"), plain(optimal_path, n_iters=20, reading="cost")),
    "optimal_path, sharp": (("f", "attention"), plain(optimal_path, eps=1e-3, n_iters=20)),
    "optimal_path, sharp cost": (("f", "attention"), plain(optimal_path, eps=1e-3, n_iters=20, reading="cost")),
    "sinkhorn": (("cost", "f"), plan),
    "maximum_velocity": (("levels", "attention"), plain(maximum_velocity, tau=0.05)),
    "confidence": (("logits",), plain(confidence, scale=10.0)),
    "confidence, groups": (("logits",), lambda x, size: confidence(x, 10.0, torch.arange(size.k, device=x.device) // 2)),
    "suppress_non_maxima": (("logits",), plain(suppress_non_maxima, threshold=0.5, scale=10.0)),
    "normalise": (("logits",), plain(normalise, scale=10.0)),
    "upsampling": (("maps", "image"), plain(joint_bilateral_upsample)),
    "upsampling, sharp": (("maps", "image"), plain(joint_bilateral_upsample, sigma_r2=1e-3, radius=1)),
    "upsampling, smooth": (("maps", "image"), plain(partial(upsample, config=DiscrepancyConfig(jbu=False)))),
    "area_average": (("image",), with_size(area_average)),
    "alone": (("levels",), plain(Alone())),
    "vote": (("f", "attention"), plain(KernelVote())),
    "fused": (("f", "attention"), plain(Fused())),
    "logits": (("logits",), plain(RawLogits())),
    "to_grid": (("levels",), with_size(to_grid)),
    "to_tokens": (("logits",), plain(to_tokens)),
    "divide": (("levels", "levels"), plain(divide)),
}
SHAPED_BY_VALUES = {  # how many rows come out depends on the values
    "settle_words": (("logits",), plain(settle_words, threshold=0.4, scale=10.0)),
    **{f"refine, {mode}": (("logits", "attention", "image"), refined(mode)) for mode in MEASURES},
    "refine, bilinear": (("logits", "attention", "image"), refined("path", False)),
}
WITHOUT_GRADIENTS = {
    "reject_early": (("logits",), plain(reject_early)),
    "claim_pixels": (("scores",), lambda x, size: claim_pixels(x, torch.arange(len(x), device=x.device), 1, 0.2)),
    "mark_background": (("logits",), lambda x, size: mark_background(torch.ones(5, 7, dtype=torch.long, device=x.device), x, 0.5)),
}
ALL = CASES | SHAPED_BY_VALUES | WITHOUT_GRADIENTS


def inputs(name, size, seed=0, **options):
    return [draw(kind, size, seed + i, **options) for i, kind in enumerate(ALL[name][0])]


def call(name, tensors, size):
    return ALL[name][1](*tensors, size=size)


def finite(x):  # suppression gives -inf
    return x[x.detach().isfinite()]


FULLY = pytest.mark.parametrize("fast", [True, pytest.param(False, marks=pytest.mark.slow)])  # along one direction, or every entry of the Jacobian


@FULLY
@pytest.mark.parametrize("name", CASES | SHAPED_BY_VALUES)
def test_gradients_are_right(name, fast):
    size = Size()
    tensors = [x.requires_grad_() for x in inputs(name, size, seed=3)]
    assert torch.autograd.gradcheck(lambda *t: finite(call(name, t, size)), tensors, fast_mode=fast)


@FULLY
@pytest.mark.parametrize("name", CASES | SHAPED_BY_VALUES)
def test_gradients_beside_zero_rows_are_right(name, fast):
    "What is not zero has the right gradient; what is zero a finite one, though most functions jump there."
    size = Size()
    tensors = inputs(name, size, seed=3, zero=True)
    if name == "divide":
        tensors[0] = tensors[0] + 0.1
    free = [x[(x != 0) & x.isfinite()].clone().requires_grad_() for x in tensors]
    there = [(x != 0) & x.isfinite() for x in tensors]
    fill = lambda parts: [x.masked_scatter(at, part) for x, at, part in zip(tensors, there, parts)]
    assert torch.autograd.gradcheck(lambda *parts: finite(call(name, fill(parts), size)), free, fast_mode=fast)
    leaves = [x.clone().requires_grad_() for x in tensors]
    out = call(name, leaves, size)
    assert not out.isnan().any()
    for gradient in torch.autograd.grad(finite(out).square().sum(), leaves, allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("mode", ["path", "fused", "kl", "velocity"])
def test_gradients_of_refine_in_single_precision(mode):
    "Threshold .5 empties supports; 6 of 18 gradients were NaN."
    size = Size(3, 2, 3)
    for seed in range(20):
        tensors = [x.requires_grad_() for x in inputs("refine, path", size, seed=seed, dtype=torch.float32)]
        refine(*tensors, DiscrepancyConfig(mode, confidence_threshold=0.5)).scores.sum().backward()
        assert all(x.grad is None or x.grad.isfinite().all() for x in tensors)


@pytest.mark.parametrize("name", WITHOUT_GRADIENTS)
def test_what_has_no_gradient_is_detached_and_says_so(name):
    out = call(name, [x.requires_grad_() for x in inputs(name, Size())], Size())
    assert not out.requires_grad
    function = {"reject_early": reject_early, "claim_pixels": claim_pixels, "mark_background": mark_background}[name]
    assert "no gradient" in function.__doc__


def laid_out(x, layout):
    if layout == "strided":
        return torch.stack([x, torch.full_like(x, math.nan)], -1)[..., 0]
    if layout == "transposed":
        return x.mT.contiguous().mT if x.ndim > 1 else x
    if layout == "expanded":
        return x[..., :1].expand_as(x)
    return x.requires_grad_() if layout == "gradient" else x


def count(name, seed, dtype, magnitude, zero, layout, size):
    "One attack: an answer without NaN or a `DotsegError`, and inputs as they were."
    tensors = [laid_out(x, layout) for x in inputs(name, size, seed=seed, dtype=dtype, zero=zero, magnitude=magnitude)]
    before = [x.detach().clone() for x in tensors]
    try:
        out = call(name, tensors, size)
    except DotsegError:
        out = torch.zeros(())
    assert not out.isnan().any()
    if name not in ("suppress_non_maxima", "logits", "to_grid", "to_tokens", "settle_words"):  # which hand infinities on
        assert out.isfinite().all()
    for x, old in zip(tensors, before):
        assert torch.equal(x.detach(), old)


ATTACK = dict(
    name=st.sampled_from(sorted(set(ALL) - {"divide"})), seed=st.integers(0, 10**6), dtype=st.sampled_from(DTYPES), magnitude=st.integers(-38, 38).map(lambda e: 10.0**e),
    zero=st.booleans(), layout=st.sampled_from(["plain", "strided", "transposed", "expanded", "gradient"]),
    size=st.builds(Size, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)))


@settings(max_examples=150, deadline=None)
@given(**ATTACK)
def test_no_silent_nan_and_no_changed_input(**drawn):
    count(**drawn)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(**ATTACK)
def test_no_silent_nan_and_no_changed_input_many_times(**drawn):
    count(**drawn)


INVARIANT = ["resize finer", "resize coarser", "resize 2 x 3 to 3 x 3", "merge_attention", "attention_cost", "doubly_stochastic", "neighbour_kernel", "optimal_path", "optimal_path, cost",
             "maximum_velocity", "alone", "vote", "fused"]


@pytest.mark.parametrize("name", INVARIANT)
@pytest.mark.parametrize("magnitude", [1e-42, 1e-38, 1e-30, 1e30, 1e37, 3.5e38])
def test_scale_of_rows_changes_nothing(name, magnitude):
    "Rows of any scale, down to those of few digits below 1e-38 and up to where a row's sum is infinite."
    size = Size()
    want = call(name, inputs(name, size, seed=5, dtype=torch.float32), size)
    got = call(name, inputs(name, size, seed=5, dtype=torch.float32, magnitude=magnitude), size)
    assert_close(got, want, atol=0.02 if magnitude < 1e-40 else 1e-5, rtol=0.02 if magnitude < 1e-40 else 1e-5)


@pytest.mark.parametrize("options", [{}, {"sigma_r2": 1e-3}, {"sigma_r2": 0.06}, {"radius": 9}])
@pytest.mark.parametrize("dtype, magnitude", [(torch.float32, 1e25), (torch.float32, 1e37), (torch.float32, 3e38), (torch.float32, 1e-37), (torch.float64, 1e300)])
def test_upsampling_is_linear_up_to_the_largest_numbers(options, dtype, magnitude):
    maps, image = draw("maps", Size(3, 5, 4)), draw("image", Size(3, 5, 4), 1)
    maps = maps / maps.abs().max()
    got = joint_bilateral_upsample((maps * magnitude).to(dtype), image.to(dtype), **options)
    assert_close(got.double() / magnitude, joint_bilateral_upsample(maps, image, **options), atol=2e-5, rtol=0)


@pytest.mark.parametrize("size, grid", [((16, 16), (4, 5)), ((1, 30), (2, 40)), ((7, 5), (19, 8))])
def test_a_radius_over_the_grid_is_the_grid(size, grid):
    maps, image = draw("maps", Size(2, *size)), torch.rand(3, *grid, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(joint_bilateral_upsample(maps, image, radius=200), joint_bilateral_upsample(maps, image, radius=max(size) - 1))
    y, x = ((torch.arange(g, dtype=torch.float64) + 0.5) * s / g - 0.5 for g, s in zip(grid, size))  # the sum over all cells, as it stands
    i, j = (torch.arange(s, dtype=torch.float64) for s in size)
    far = (y[:, None, None, None] - i[:, None]) ** 2 + (x[None, :, None, None] - j) ** 2
    colour = (image[:, :, :, None, None] - area_average(image, size)[:, None, None]).square().sum(0)
    weight = (-far / 1.0 - colour / 0.1).flatten(2).softmax(-1)
    assert_close(joint_bilateral_upsample(maps, image, radius=200), torch.einsum("yxm,km->kyx", weight, maps.flatten(1)), atol=1e-11, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e300, 1e30, 1e-30, 5e-324])
def test_any_scale_of_logits(scale, dtype):
    x = draw("logits", Size(), dtype=dtype, zero=True)
    for f, dim in ((normalise(x, scale), -1), (confidence(x, scale), -3)):
        assert f.isfinite().all()
        want = x.flatten(1) if dim == -1 else x
        best = want == want.amax(dim, keepdim=True)
        if scale > 1:  # the hardest choice there is
            assert_close(f, (best & (want > -math.inf)).to(f) / (best & (want > -math.inf)).sum(dim, keepdim=True).clamp_min(1), atol=1e-6, rtol=0)
        else:  # none
            alive = want > -math.inf
            assert_close(f, alive.to(f) / alive.sum(dim, keepdim=True).clamp_min(1), atol=1e-6, rtol=0)
    assert not suppress_non_maxima(x, 0.5, scale).isnan().any()
    assert not settle_words(x[1:], 0.5, scale).isnan().any()
    assert set(mark_background(torch.ones(4, 4, dtype=torch.long), x[1:], 0.9, scale).unique().tolist()) <= {0, 1}
    refine(x, torch.eye(6, dtype=dtype), draw("image", Size(), dtype=dtype), DiscrepancyConfig("path", scale=scale, background=Background(confidence=0.5)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [1e300, 1e30, 1e-30, 1e-300, 5e-324])
@pytest.mark.parametrize("measure", [OptimalPath, partial(OptimalPath, reading="cost"), KernelVote, ContrastVote, partial(ContrastVote, reach=1e-300), partial(ContrastVote, reach=1e300, contrast=1e300)])
def test_any_eps_is_an_answer_or_a_clear_error(measure, eps, dtype):
    attention = draw("attention", Size(), dtype=dtype, zero=True)
    x = draw("logits" if measure not in (OptimalPath, KernelVote) and "reading" not in getattr(measure, "keywords", {}) else "f", Size(), dtype=dtype)
    try:
        out = measure(eps=eps)(x, attention)
    except DotsegError as error:
        assert str(error).startswith("eps: got") and eps != 1e30
    else:
        assert out.isfinite().all()


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12])
def test_columns_of_a_plan_are_met_at_any_eps(eps):
    "In float32 they were off by 0.9 % at 1e-6 and further below."
    cost, f = draw("cost", Size(3, 4, 4)).float(), draw("f", Size(3, 4, 4), 1).float()
    found = sinkhorn(cost, f, torch.full((16,), 1 / 16), eps, 200)
    assert found.log_nu.dtype == (torch.float64 if (cost.max() - cost.min()) / eps > 1e4 else torch.float32)
    off = (found.plan().sum(-2) * 16 - 1).abs().max()
    assert off < {1e-3: 2e-4, 1e-4: 2e-3, 1e-12: 2e-3}.get(eps, 1e-6)
    with pytest.raises(DotsegError, match="^eps: got 1e-15, expected at least"):
        sinkhorn(cost, f, torch.full((16,), 1 / 16), 1e-15)
    far = sinkhorn(cost + 1000, f, torch.full((16,), 1 / 16), 0.02, 200)  # a constant of the cost took digits of the plan
    assert (far.plan().sum(-2) * 16 - 1).abs().max() < 1e-6


def test_tiny_levels_move_as_large_ones_do():
    "A class of 1e-39 changed by 1.06."
    f, attention = draw("levels", Size(), dtype=torch.float32), draw("attention", Size(), 1, dtype=torch.float32)
    assert_close(maximum_velocity(f * 1e-39, attention), maximum_velocity(f, attention), atol=1e-3, rtol=0)


AXES = {"vectors": "td", "attention": "n", "cost": "n", "f": "kn", "levels": "kn", "logits": "khw", "maps": "khw", "image": "HW", "scores": "kHW"}


@pytest.mark.parametrize("name", sorted(set(ALL) - {"divide"}))
def test_an_empty_axis_is_a_clear_error(name):
    for i, kind in enumerate(ALL[name][0]):
        if kind == "attention" and name in ("refine, alone", "refine, kl", "refine, logits"):
            continue  # which do not read it
        for axis, letter in enumerate(AXES[kind], 1 if kind == "image" else 0):
            if (name, letter) in (("to_grid", "k"), ("to_tokens", "k")):
                continue  # one of their leading axes
            for alone in (True, False):  # in one tensor, or in all that have this axis
                size, tensors = Size(), inputs(name, Size())
                tensors[i] = tensors[i].narrow(axis, 0, 0)
                if letter == "n" and kind in ("attention", "cost"):
                    tensors[i] = tensors[i].narrow(1, 0, 0)
                if not alone:
                    tensors = [x.narrow(AXES[other].index(letter) + (other == "image"), 0, 0) if letter in AXES[other] and other not in ("attention", "cost") else x for x, other in zip(tensors, ALL[name][0])]
                with pytest.raises(DotsegError):
                    call(name, tensors, size)


@pytest.mark.parametrize("name", CASES)
def test_no_image_in_a_batch_is_no_result_or_a_clear_error(name):
    tensors = [x.expand(0, *x.shape) for x in inputs(name, Size())]
    try:
        out = call(name, tensors, Size())
    except DotsegError:
        return
    assert out.numel() == 0


@pytest.mark.parametrize("name", CASES | WITHOUT_GRADIENTS)
def test_on_the_meta_device_there_are_shapes(name):
    tensors = inputs(name, Size())
    out = call(name, [x.to("meta") for x in tensors], Size())
    want = call(name, tensors, Size())
    assert out.is_meta and out.shape == want.shape and out.dtype == want.dtype


@pytest.mark.parametrize("name", CASES | WITHOUT_GRADIENTS)
def test_vmap_is_a_loop(name):
    many = [torch.stack([draw(kind, Size(), 7 * i + j, zero=i == 2) for i in range(3)]) for j, kind in enumerate(ALL[name][0])]
    for batched in ([True] * len(many), *([i == j for i in range(len(many))] for j in range(len(many)))):
        dims = tuple(0 if b else None for b in batched)
        got = torch.func.vmap(lambda *t: call(name, t, Size()), in_dims=dims)(*[x if b else x[0] for x, b in zip(many, batched)])
        want = torch.stack([call(name, [x[i if b else 0] for x, b in zip(many, batched)], Size()) for i in range(3)])
        assert_close(got, want, atol=1e-9, rtol=1e-9)


def compiled(name, backend):
    tensors = inputs(name, Size(), dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._dynamo.reset()
        got = torch.compile(lambda *t: call(name, t, Size()), fullgraph=True, backend=backend)(*tensors)
    assert_close(got, call(name, tensors, Size()), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["optimal_path", "maximum_velocity"])
def test_compiled_in_one_graph(name):
    compiled(name, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES | WITHOUT_GRADIENTS)
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_all_compiled_in_one_graph(name, backend):
    compiled(name, backend)


@pytest.mark.parametrize("name", SHAPED_BY_VALUES)
def test_what_is_shaped_by_values_refuses_to_be_traced(name):
    with pytest.raises(DotsegError, match="cannot be looked at"):
        call(name, [x.to("meta") for x in inputs(name, Size())], Size())
    with pytest.raises(DotsegError, match="cannot be looked at"):
        torch.func.vmap(lambda *t: call(name, t, Size()))(*[x[None] for x in inputs(name, Size())])


@pytest.mark.parametrize("function", [
    lambda x: select(x), lambda x: look_alikes(x.flatten(1), 0.9, 100.0), lambda x: merge_words(x, x[:, 0, 0], 1), lambda x: discrepancy(x, None, DiscrepancyConfig("kl")),
    lambda x: label_pixels(x, x[:, 0, 0], x, DiscrepancyConfig("kl", background=Background(words=("sky",))))])
def test_so_do_the_steps_of_refine(function):
    with pytest.raises(DotsegError, match="cannot be looked at"):
        function(torch.zeros(3, 2, 2, device="meta"))


def test_nan_is_refused_by_those_that_count():
    x = torch.full((3, 2, 2), math.nan)
    for function in (select, lambda x: look_alikes(x.flatten(1), 0.9, 100.0), lambda x: claim_pixels(x, torch.arange(3), 1), lambda x: attention_probs(x, x), lambda x: Alone()(x), lambda x: RawLogits()(x),
                     lambda x: mark_background(torch.ones(2, 2), x, 0.5), lambda x: settle_words(x, 0.5, 10.0)):
        with pytest.raises(DotsegError, match="NaN"):
            function(x)


def test_values_are_seen_only_where_there_are_some():
    x = torch.ones(2)
    seen = []
    assert has_values(x) and not has_values(x.to("meta")) and not has_values(x, x.to("meta"))
    torch.func.vmap(lambda y: seen.append(has_values(y)) or y)(x)
    assert seen == [False]


def test_numbers_that_a_type_cannot_hold():
    assert in_range(1e300, torch.float32) == torch.finfo(torch.float32).max and in_range(1e300, torch.float64) == 1e300
    assert in_range(5e-324, torch.float64) == torch.finfo(torch.float64).tiny and in_range(0.1, torch.float32) == 0.1
    for bad in (10**400, math.inf, math.nan, True, "1"):
        with pytest.raises(DotsegError, match="^eps: got"):
            OptimalPath(eps=bad)


@pytest.mark.parametrize("weights", [{"a": 1e308, "b": 1e308}, {"a": 5e-324, "b": 5e-324}])
def test_merging_weights_of_any_size(weights):
    x = draw("attention", Size())
    assert_close(merge_attention({"a": (x, (2, 3)), "b": (x.mT, (2, 3))}, weights, (2, 3)), merge_attention({"a": (x, (2, 3)), "b": (x.mT, (2, 3))}, {"a": 1, "b": 1}, (2, 3)))
    with pytest.raises(DotsegError, match="^weights: a: got '1'"):
        merge_attention({"a": (x, (2, 3))}, {"a": "1"}, (2, 3))

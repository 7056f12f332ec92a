"Maximum velocity against a plain loop, over devices, dtypes, shapes and whatever hypothesis finds."
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.proportional_fitting import doubly_stochastic

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def problem(k, n, *lead, seed=0, sharp=6):
    generator = torch.Generator().manual_seed(seed)
    f = torch.rand(*lead, k, n, generator=generator, dtype=torch.float64) ** sharp
    attention = (2 * torch.randn(*lead, n, n, generator=generator, dtype=torch.float64)).softmax(-1)
    return f / f.sum(-1, keepdim=True), attention


def by_loop(f, attention, tau, cap):
    "(k, n), (n, n) -> scores, one class and one patch at a time."
    (k, n), T = f.shape, doubly_stochastic(attention).tolist()
    steps, levels = torch.zeros(k, n, dtype=torch.float64), torch.zeros(k, n, dtype=torch.float64)
    for c in range(k):
        top = max(f[c].tolist())
        x = [value / top if top else 0.0 for value in f[c].tolist()]
        for step in range(1, cap + 1):
            y = [sum(x[i] * T[i][j] for i in range(n)) for j in range(n)]
            for j in range(n):
                if not steps[c, j] and (abs(y[j] - x[j]) <= tau or step == cap):
                    steps[c, j], levels[c, j] = step, y[j]
            x = y
    return steps + 0.999 * levels / levels.max(1, keepdim=True).values.clamp_min(1e-300)


@pytest.mark.parametrize("tau, cap", [(0.3, 100), (0.1, 100), (0.013, 100), (0.0, 6), (2.0, 100)])
@pytest.mark.parametrize("k, n", [(1, 2), (3, 7), (6, 12)])
def test_against_the_loop(tau, cap, k, n):
    f, attention = problem(k, n, seed=n)
    assert_close(maximum_velocity(f, attention, tau, max_steps=cap), by_loop(f, attention, tau, cap))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
def test_shapes_dtypes_devices(device, dtype, lead):
    f, attention = (x.to(dtype).to(device) for x in problem(4, 9, *lead))
    maps = maximum_velocity(f, attention)
    assert maps.shape == (*lead, 4, 9) and maps.device.type == device
    assert maps.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert (maps >= 1).all() and maps.isfinite().all()


def test_batch_is_one_by_one_and_shared_attention_broadcasts():
    f, attention = problem(3, 8, 4)
    together, shared = maximum_velocity(f, attention), maximum_velocity(f, attention[0])
    for i in range(4):
        assert_close(together[i], maximum_velocity(f[i], attention[i]))
        assert_close(shared[i], maximum_velocity(f[i], attention[0]))
    several = maximum_velocity(f[0], attention)
    assert_close(several[2], maximum_velocity(f[0], attention[2]))


def test_the_wider_of_two_precisions_is_used():
    f, attention = problem(3, 8)
    assert maximum_velocity(f.float(), attention).dtype == torch.float64
    assert maximum_velocity(f, attention.float()).dtype == torch.float64


def test_a_large_tau_is_one_step_of_propagation():
    f, attention = problem(5, 10)
    step = f / f.amax(-1, keepdim=True) @ doubly_stochastic(attention)
    assert_close(maximum_velocity(f, attention, tau=2), 1 + 0.999 * step / step.amax(-1, keepdim=True))


def test_neither_scale_of_f_nor_order_of_classes_or_patches_matters():
    f, attention = problem(4, 9)
    maps = maximum_velocity(f, attention)
    assert_close(maximum_velocity(f * torch.tensor([[1.0], [2.0], [0.1], [50.0]]), attention), maps)
    assert_close(maximum_velocity(f.flip(0), attention), maps.flip(0))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert_close(maximum_velocity(f[:, order], attention[order][:, order]), maps[:, order])


def test_the_level_never_outweighs_a_step():
    f, attention = problem(6, 30)
    maps = maximum_velocity(f, attention, tau=0.02)
    fraction = maps.frac()
    assert maps.max() >= 3 and fraction.max() <= 0.999 + 1e-9


def test_a_class_without_support_scores_one():
    f, attention = problem(3, 8)
    f[1] = 0
    maps = maximum_velocity(f, attention)
    assert_close(maps[1], torch.ones(8, dtype=torch.float64))
    assert_close(maps[[0, 2]], maximum_velocity(f[[0, 2]], attention))
    assert_close(maximum_velocity(torch.zeros(2, 8), attention.float()), torch.ones(2, 8))


def test_degenerate_input():
    assert_close(maximum_velocity(torch.ones(3, 1), torch.ones(1, 1)), torch.full((3, 1), 1.999))
    assert_close(maximum_velocity(torch.full((1, 4), 0.25), torch.eye(4)), torch.full((1, 4), 1.999))
    assert_close(maximum_velocity(torch.eye(4)[:1], torch.zeros(4, 4)).floor(), torch.tensor([[2.0, 1.0, 1.0, 1.0]]))
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert (maximum_velocity(torch.tensor([[1.0, 0.0]]), swap, max_steps=7).floor() == 7).all()


def test_input_is_left_alone():
    f, attention = problem(3, 8)
    before = f.clone(), attention.clone()
    maximum_velocity(f, attention)
    assert torch.equal(before[0], f) and torch.equal(before[1], attention)


GOOD = torch.full((2, 3), 1 / 3), torch.full((3, 3), 1 / 3)


@pytest.mark.parametrize(
    "f, attention, options, message",
    [
        (GOOD[0], torch.ones(4, 4), {}, "attention: n is 4, expected 3"),
        (GOOD[0], torch.ones(3, 4), {}, "attention: n is 4, expected 3"),
        (GOOD[0][0], GOOD[1], {}, "f: expected 2 axes"),
        (GOOD[0][:0], GOOD[1], {}, "got shape .* expected at least 1 "),
        (-GOOD[0], GOOD[1], {}, "f: values lie in"),
        (GOOD[0] * math.nan, GOOD[1], {}, "f: 6 of 6 values are NaN"),
        (GOOD[0], GOOD[1] * math.nan, {}, "attention: 9 of 9 values are NaN"),
        (GOOD[0], -GOOD[1], {}, "attention: values lie in"),
        (*GOOD, {"tau": -0.1}, "tau: got -0.1"),
        (*GOOD, {"tau": math.nan}, "tau: got nan"),
        (*GOOD, {"max_steps": 0}, "max_steps: got 0"),
        (*GOOD, {"ipf_iters": -1}, "n_iters"),
    ],
)
def test_refused(f, attention, options, message):
    with pytest.raises(ValueError, match=message):
        maximum_velocity(f, attention, **options)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 1000), st.floats(0, 1.5), st.integers(1, 20))
def test_any_problem(k, n, seed, tau, cap):
    f, attention = problem(k, n, seed=seed)
    f = f * (torch.rand(k, n, generator=torch.Generator().manual_seed(seed)) > 0.5)
    maps = maximum_velocity(f, attention, tau, max_steps=cap)
    assert maps.isfinite().all() and (maps >= 1).all() and (maps < cap + 1).all()
    assert (maps[f.sum(-1) == 0] == 1).all()
    if f.sum() > 0:
        assert_close(maps, by_loop(f, attention, tau, cap))

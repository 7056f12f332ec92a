import math
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.proportional_fitting import doubly_stochastic
from dotseg.method.sinkhorn import ROW_ERROR, WIDEN, sinkhorn

from watching import Largest

pytestmark = pytest.mark.filterwarnings("ignore:sinkhorn. after:UserWarning")  # most tests take few iterations
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def problem(k=3, n=8, m=6, seed=0, empty=0.4, lead=()):
    "Costs in [0, 1] and distributions of which a part of the patches is empty."
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(*lead, n, m, generator=draw, dtype=torch.float64)
    a = torch.rand(*lead, k, n, generator=draw, dtype=torch.float64)
    a = a * (torch.rand(*lead, k, n, generator=draw) >= empty)
    a[..., 0] += 0.01
    b = 0.1 + torch.rand(m, generator=draw, dtype=torch.float64)
    return cost, a / a.sum(-1, keepdim=True), b / b.sum()


def loop_plans(cost, a, b, eps, n_iters):
    "Eq. 22 for one class after the other, in the log domain, in float64."
    plans, log_kernel = [], -cost.double() / eps
    for row in a.double():
        log_nu = torch.zeros(cost.shape[-1], dtype=torch.float64)
        for _ in range(n_iters):
            log_mu = row.log() - torch.logsumexp(log_kernel + log_nu, 1)
            log_nu = b.double().log() - torch.logsumexp(log_kernel + log_mu[:, None], 0)
        plans.append((log_mu[:, None] + log_kernel + log_nu).exp())
    return torch.stack(plans)


@pytest.mark.parametrize("eps", [1.0, 0.1, 0.03, 0.01, 0.001, 0.0001])
@pytest.mark.parametrize("n_iters", [1, 7, 50])
def test_plans_agree_with_a_loop_over_classes(eps, n_iters):
    cost, a, b = problem()
    assert_close(sinkhorn(cost, a, b, eps, n_iters).plan(), loop_plans(cost, a, b, eps, n_iters), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("eps", [0.1, 0.01])
def test_plans_agree_with_pot(eps):
    ot = pytest.importorskip("ot")
    cost, a, b = problem(empty=0)
    plans = sinkhorn(cost, a, b, eps, 3000).plan()
    for row, plan in zip(a, plans):
        args = row.numpy(), b.numpy(), cost.numpy(), eps
        reference = ot.sinkhorn(*args, method="sinkhorn_log", numItermax=3000, stopThr=1e-14, warn=False)
        assert_close(plan, torch.from_numpy(reference), atol=1e-9, rtol=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.5, 0.1, 0.01, 0.001])
def test_every_precision_is_finite_and_meets_its_columns(eps, dtype, device):
    cost, a, b = (x.to(device, dtype) for x in problem(n=40, m=40))
    result = sinkhorn(cost, a, b, eps)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert result.log_mu.dtype == result.log_nu.dtype == wide
    assert result.log_nu.isfinite().all()
    assert torch.equal(result.log_mu.isfinite(), a > 0)
    assert_close(result.plan().sum(-2), b.to(wide).expand(3, 40), atol=1e-6, rtol=1e-3)


def test_float32_stays_close_to_float64():
    cost, a, b = problem(n=200, m=200)
    for eps in (0.3, 0.1, 0.03, 0.01):
        narrow, wide = sinkhorn(cost.float(), a.float(), b.float(), eps), sinkhorn(cost, a, b, eps)
        assert_close(narrow.log_nu.double(), wide.log_nu, atol=1e-3, rtol=1e-5)


def test_the_factors_are_those_of_the_source():
    cost, a, b = problem()
    kernel, nu = torch.exp(-cost / 0.1), torch.ones(3, 6, dtype=torch.float64)
    for _ in range(50):
        mu = a / (nu @ kernel.T)
        nu = b / (mu @ kernel)
    result = sinkhorn(cost, a, b)
    for mine, theirs in zip(result, (mu, nu, kernel)):
        assert_close(mine, theirs)
    assert_close(result.plan(), mu[:, :, None] * kernel * nu[:, None, :])


@pytest.mark.parametrize("eps", [0.1, 0.001])
def test_leading_axes(eps):
    cost, a, b = problem(lead=(2,))
    single = torch.stack([sinkhorn(c, rows, b, eps).plan() for c, rows in zip(cost, a)])
    batch = sinkhorn(cost, a, b, eps)
    assert batch.mu.shape == (2, 3, 8) and batch.nu.shape == (2, 3, 6) and batch.kernel.shape == (2, 8, 6)
    assert_close(batch.plan(), single)
    assert_close(sinkhorn(cost[0], a, b, eps).plan()[1], sinkhorn(cost[0], a[1], b, eps).plan())  # one cost for all
    assert_close(sinkhorn(cost, a[:, 1], b, eps).plan(), single[:, 1])  # a cost for each source
    assert_close(sinkhorn(cost, a[0, 0], b, eps).plan()[0], single[0, 0])  # one source, several costs
    assert_close(sinkhorn(cost[0], a[0, 0], b, eps).plan(), single[0, 0])  # no class axis at all
    targets = torch.stack([b, b.flip(0), b.roll(1)])
    assert_close(sinkhorn(cost[0], a[0], targets, eps).plan()[1], sinkhorn(cost[0], a[0, 1], b.flip(0), eps).plan())
    assert_close(sinkhorn(cost[0], a[0, 0], targets, eps).plan()[2], sinkhorn(cost[0], a[0, 0], b.roll(1), eps).plan())


@pytest.mark.parametrize("eps", [0.1, 0.001])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_column_sums_need_no_plan(eps, lead):
    cost, a, b = problem(lead=lead)
    weights = torch.where(cost > 0.3, cost, 0.0)
    result = sinkhorn(cost, a, b, eps)
    assert_close(result.column_sums(weights), (weights.unsqueeze(-3) * result.plan()).sum(-2), atol=1e-12, rtol=1e-9)
    own = sinkhorn(cost, a[..., 0, :], b, eps)
    assert_close(own.column_sums(weights), (weights * own.plan()).sum(-2), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("eps", [0.1, 0.001])
def test_a_class_without_support_disturbs_nobody(eps):
    cost, a, b = problem()
    result = sinkhorn(cost, torch.cat([a[:1], torch.zeros(1, 8), a[1:]]), b, eps)
    assert_close(result.plan()[[0, 2, 3]], sinkhorn(cost, a, b, eps).plan())
    assert_close(result.mu[1], torch.zeros(8, dtype=torch.float64))
    assert_close(result.nu[1], torch.ones(6, dtype=torch.float64))
    assert_close(result.plan()[1], torch.zeros(8, 6, dtype=torch.float64))


def test_no_classes_and_one_patch():
    cost, a, b = problem()
    with pytest.raises(ValueError, match="^a: got shape .*, expected at least 1 k"):
        sinkhorn(cost, a[:0], b)
    assert_close(sinkhorn(torch.zeros(1, 1), torch.ones(1), torch.ones(1)).plan(), torch.ones(1, 1))


def test_a_constant_in_the_cost_changes_no_plan():
    cost, a, b = problem()
    plan = sinkhorn(cost, a, b).plan()
    for shift in (-3.0, 5000.0):
        assert_close(sinkhorn(cost + shift, a, b).plan(), plan, atol=1e-10, rtol=1e-7)


@given(
    st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6),
    st.floats(1e-4, 1e3), st.sampled_from([torch.float32, torch.float64]), st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_problem_gives_a_plan_with_exact_columns(k, n, m, seed, eps, dtype, drop):
    cost, a, b = (x.to(dtype) for x in problem(k, n, m, seed))
    if drop:
        a[0] = 0
    result = sinkhorn(cost, a, b, eps, n_iters=5)
    plan = result.plan()
    tolerance = 1e-3 if dtype == torch.float32 else 1e-9
    assert plan.isfinite().all() and (plan >= 0).all() and result.log_nu.isfinite().all()
    assert_close(plan.sum(-2), torch.where(a.sum(-1, keepdim=True) > 0, b, 0), atol=1e-7, rtol=tolerance)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert_close(sinkhorn(cost[order], a[:, order], b, eps, 5).plan(), plan[:, order], atol=1e-6, rtol=tolerance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": torch.ones(3, 5) / 5}, "a: n is 5, expected 8"),
        ({"b": torch.ones(7) / 7}, "b: m is 7, expected 6"),
        ({"cost": torch.zeros(8)}, "cost: expected 2 axes, got 1"),
        ({"cost": torch.zeros(5, 8, 6), "a": torch.ones(2, 3, 8) / 8}, "a: batch axes"),
        ({"a": torch.ones(3, 8)}, "a: a row sums to 8, expected 1 as b does"),
        ({"a": -torch.ones(3, 8)}, "a: values lie in"),
        ({"b": torch.full((6,), math.nan)}, "b: 6 of 6 values are NaN"),
        ({"cost": torch.full((8, 6), math.inf)}, "cost: got infinite values"),
        ({"cost": [[0.0]]}, "cost: expected a floating-point torch.Tensor, got list"),
        ({"eps": 0}, "eps, n_iters: got 0 and 50"),
        ({"eps": math.nan}, "eps, n_iters: got nan and 50"),
        ({"n_iters": 0}, "eps, n_iters: got 0.1 and 0"),
    ],
)
def test_errors_name_the_argument(change, message):
    cost, a, b = problem()
    with pytest.raises(ValueError, match="^" + message):
        sinkhorn(**{"cost": cost, "a": a, "b": b, "eps": 0.1, "n_iters": 50, **change})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (2, 5, 5), (2, 1, 4, 4)])
def test_transition_is_doubly_stochastic(shape, dtype, device):
    attention = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    x = doubly_stochastic(attention, 50)
    assert x.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(x.sum(-1), torch.ones_like(x.sum(-1)), atol=1e-6, rtol=0)
    assert_close(x.sum(-2), torch.ones_like(x.sum(-2)), atol=1e-4, rtol=0)


def test_rows_without_attention_are_uniform():
    assert_close(doubly_stochastic(torch.zeros(2, 4, 4)), torch.full((2, 4, 4), 0.25))
    attention = torch.rand(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    attention[2] = 0
    uniform = attention.clone()
    uniform[2] = 1
    assert_close(doubly_stochastic(attention), doubly_stochastic(uniform))
    attention[:, 3] = 0  # and a patch that nobody looks at
    x = doubly_stochastic(attention)
    assert x.isfinite().all()
    assert_close(x.sum(-2), torch.ones(5, dtype=torch.float64), atol=0.1, rtol=0)


@given(st.integers(1, 7), st.integers(0, 10**6), st.floats(0, 0.9), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_any_attention_gives_rows_that_sum_to_one(n, seed, sparsity, n_iters):
    draw = torch.Generator().manual_seed(seed)
    attention = torch.rand(n, n, generator=draw) * (torch.rand(n, n, generator=draw) >= sparsity)
    x = doubly_stochastic(attention, n_iters)
    assert x.isfinite().all() and (x >= 0).all()
    assert_close(x.sum(-1), torch.ones(n), atol=1e-5, rtol=0)
    scales = 10 ** torch.linspace(-6, 6, n)[:, None]
    assert_close(doubly_stochastic(attention * scales, n_iters), x, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("attention", "n_iters", "message"),
    [
        (torch.ones(3, 4), 15, "attention: n is 4, expected 3"),
        (-torch.ones(3, 3), 15, "attention: values lie in"),
        (torch.full((3, 3), math.nan), 15, "attention: 9 of 9 values are NaN"),
        (torch.ones(3, 3), -1, "n_iters: got -1"),
    ],
)
def test_errors_of_doubly_stochastic(attention, n_iters, message):
    with pytest.raises(ValueError, match="^" + message):
        doubly_stochastic(attention, n_iters)


def disjoint(k=6, n=24, m=10, lead=(), seed=0):
    "Each patch belongs to one class at most, as after non-maximum suppression; the last class has none."
    cost, _, b = problem(1, n, m, seed, lead=lead)
    draw = torch.Generator().manual_seed(seed)
    owner = torch.randint(0, k, (*lead, 1, n), generator=draw)  # owner k - 1 stands for a patch of nobody
    owner[..., : k - 1] = torch.arange(k - 1)
    mass = torch.rand(*lead, 1, n, generator=draw, dtype=torch.float64) ** 8 + 1e-9
    a = torch.where(owner == torch.arange(k)[:, None], mass, 0.0)
    a[..., -1, :] = 0
    return cost, a / a.sum(-1, keepdim=True).clamp_min(1e-30), b


@pytest.mark.parametrize("eps", [1.0, 0.1, 0.03, 0.01, 0.001])
@pytest.mark.parametrize("n_iters", [1, 50])
def test_disjoint_supports_agree_with_a_loop_over_classes(eps, n_iters):
    cost, a, b = disjoint()
    result, expected = sinkhorn(cost, a, b, eps, n_iters), loop_plans(cost, a[:-1], b, eps, n_iters)
    assert_close(result.plan()[:-1], expected, atol=1e-11, rtol=1e-9)
    assert torch.equal(result.log_mu.isfinite(), a > 0)
    assert_close(result.log_nu[-1], torch.zeros(10, dtype=torch.float64))
    narrow = sinkhorn(cost.float(), a.float(), b.float(), eps, n_iters)
    assert_close(narrow.plan()[:-1].double(), expected, atol=1e-5, rtol=1e-3)
    weights = cost * (cost > 0.3)
    assert_close(result.column_sums(weights)[:-1], (weights * expected).sum(-2), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("shape", [((2, 3), (2, 3)), ((3,), (2, 3)), ((2, 3), (1, 3)), ((1,), (2,)), ((), (2,))])
def test_disjoint_supports_of_batches(shape):
    "Any leading axes of cost and sources that broadcast: each pair gets what it gets alone."
    costs, sources = disjoint(lead=shape[0])[0], disjoint(lead=shape[1])[1]
    b = 0.1 + torch.rand(10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b = b / b.sum()
    result = sinkhorn(costs, sources, b)
    lead = torch.broadcast_shapes(*shape)
    costs, sources = costs.expand(*lead, -1, -1).flatten(0, -3), sources.expand(*lead, -1, -1).flatten(0, -3)
    for cost, a, log_mu, log_nu in zip(costs, sources, result.log_mu.flatten(0, -3), result.log_nu.flatten(0, -3)):
        plan = (log_mu[..., None] - cost / 0.1 + log_nu[:, None]).exp()
        assert_close(plan[:-1], loop_plans(cost, a[:-1], b, 0.1, 50), atol=1e-12, rtol=1e-9)


@given(st.integers(4, 9), st.integers(10, 40), st.integers(1, 7), st.integers(0, 10**6), st.floats(0.04, 10))
@settings(max_examples=60, deadline=None)
def test_sparse_and_dense_products_agree(k, n, m, seed, eps):
    "A gradient asks for the dense form, with the same values."
    cost, a, b = disjoint(k, n, m, seed=seed)
    result, dense = sinkhorn(cost, a, b, eps, 7), sinkhorn(cost, a.requires_grad_(), b, eps, 7)
    assert dense.log_nu.requires_grad and not result.log_nu.requires_grad
    assert_close(result.log_nu, dense.log_nu.detach(), atol=1e-10, rtol=1e-10)
    assert_close(result.log_mu, dense.log_mu.detach(), atol=1e-10, rtol=1e-10)


def test_disjoint_supports_need_no_more_memory_with_more_classes():
    for k in (8, 64):
        cost, a, b = (x.float() for x in disjoint(k, 256, 256))
        with Largest() as seen:
            sinkhorn(cost, a, b)
        assert seen.size == 256 * 256


def test_the_beta_warning_of_torch_stays_inside():
    code = "import torch; from dotseg.method.sinkhorn import sinkhorn; sinkhorn(torch.rand(4, 4), torch.eye(4), torch.full((4,), 0.25))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("eps, empty, tol", [(0.1, 0.4, 1e-4), (0.1, 0.9, 1e-4), (0.002, 0.4, 0.08)])  # dense products, sparse ones, logarithms
@pytest.mark.parametrize("lead", [(), (2,)])
def test_stops_when_the_rows_are_near_enough(eps, empty, tol, lead):
    cost, a, b = problem(k=6, n=20, m=15, empty=empty, lead=lead)
    def miss(n_iters, **options):
        return (sinkhorn(cost, a, b, eps, n_iters, **options).plan().sum(-1) - a).abs().max().item()

    needed = next(i for i in range(1, 300) if miss(i) <= tol)
    assert needed > 2
    assert_close(sinkhorn(cost, a, b, eps, 300, tol=tol).plan(), sinkhorn(cost, a, b, eps, needed + 1).plan())  # the iteration that notices is done
    assert miss(needed, tol=tol) == miss(needed) and miss(needed - 1) > tol  # it does not stop before
    assert_close(sinkhorn(cost, a, b, eps, 300, tol=tol).plan().sum(-2), b.expand_as(sinkhorn(cost, a, b, eps, 1).nu))


def test_a_class_without_support_does_not_keep_it_from_stopping():
    cost, a, b = problem(k=6, n=20, m=15)
    a[2] = 0
    assert_close(sinkhorn(cost, a, b, 0.1, 5000, tol=1e-4).plan(), sinkhorn(cost, a, b, 0.1, 5000).plan(), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="tol: got -1"):
        sinkhorn(cost, a, b, tol=-1)


# plans that are not one yet


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps, n_iters", [(1.0, 1), (0.1, 1), (0.1, 50), (0.01, 5), (0.01, 500), (0.001, 50)])
@pytest.mark.parametrize("empty", [0.0, 0.4, 0.95])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_the_row_error_is_that_of_the_plan_and_is_warned_of(eps, n_iters, dtype, empty, lead):
    "By any of the three ways to iterate: dense, sparse (many empty patches), in the log domain."
    cost, a, b = (x.to(dtype) for x in problem(k=4, n=24, m=12, empty=empty, lead=lead))
    a = 3 * torch.cat([a, torch.zeros_like(a[..., :1, :])], -2)  # any mass, and a class without support
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = sinkhorn(cost, a, 3 * b, eps, n_iters)
    missing = (found.plan().sum(-1) - a).abs().sum(-1) / (2 * a.sum(-1)).clamp_min(1e-30)
    assert_close(found.row_error, missing, atol=1e-4, rtol=1e-3)
    assert (found.row_error[..., -1] == 0).all() and not found.row_error.requires_grad
    assert [str(w.message) for w in caught] == [f"sinkhorn: after {n_iters} iterations at eps={eps:g} over 5% of a class's mass is in wrong rows; take more n_iters or a larger eps"] * int(missing.max() > ROW_ERROR)
    one = sinkhorn(cost, a[..., 0, :], 3 * b, eps, n_iters)
    assert_close(one.row_error, found.row_error[..., 0], atol=1e-4, rtol=1e-3)


def test_the_warning_is_given_once_for_a_setting():
    cost, a, b = problem()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for i in range(5):
            sinkhorn(cost.roll(i, 0), a, b, 0.001, 3)
    assert len(caught) == 1


@pytest.mark.parametrize("eps, wide", [(0.1, False), (1.01 / WIDEN, False), (0.9 / WIDEN, True), (1e-6, True), (1e-8, True)])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_float32_is_widened_where_it_has_too_few_digits(eps, wide, lead):
    cost, a, b = problem(k=4, n=24, m=12, lead=lead)
    cost = (cost - cost.amin()) / (cost.amax() - cost.amin())
    found = sinkhorn(cost.float(), a.float(), b.float(), eps, 20)
    assert found.log_mu.dtype == found.log_nu.dtype == found.cost.dtype == found.row_error.dtype == (torch.float64 if wide else torch.float32)
    assert_close(found.plan().sum(-2).double(), b.float().double().expand_as(found.log_nu), atol=0, rtol=5e-3 if not wide else 1e-6)
    if wide:
        same = sinkhorn(cost.float().double(), a.float().double(), b.float().double(), eps, 20)
        assert torch.equal(found.plan(), same.plan())
        assert_close(found.column_sums(cost.float()), same.column_sums(cost.float().double()))

"""Optimal path: ours beside POT and geomloss; the ratio is theirs over ours."""
import torch
from common import EPS, K, N_ITERS, SIDE, compare, main, problem

from dotseg.method.optimal_path import optimal_path
from dotseg.method.sinkhorn import sinkhorn


def pot_on_supports(f, attention):  # class by class, each given only the rows of the cost where it has mass
    from ot import sinkhorn
    cost, even, maps = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1]), []
    for row in f:
        inside = row > 0
        log = sinkhorn(even, row[inside], cost[inside].T, EPS, numItermax=N_ITERS, stopThr=0, warn=False, log=True)[1]
        maps.append(-EPS * (log["u"].log() + (row[inside] * (log["v"] / row[inside]).log()).sum()))
    return torch.stack(maps)


def pot_batch(f, attention):  # POT's solver for batches returns plans: the literal reading, -n sum_i cost plan
    from ot import solve_batch
    cost = (1 - attention / attention.amax(-1, keepdim=True)).T.expand(len(f), -1, -1)
    even = torch.full_like(f, 1 / f.shape[1])
    plan = solve_batch(cost, EPS, even, f, max_iter=N_ITERS, tol=0, method="sinkhorn", grad="detach").plan
    return -f.shape[1] * (cost * plan).sum(-1)


def pot_potentials(f, attention, together):  # class by class, or in POT's form for many histograms, which shares the kernel as ours does
    from ot import sinkhorn
    cost, even = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1])
    run = lambda target: sinkhorn(even, target, cost.T, EPS, numItermax=N_ITERS, stopThr=0, warn=False, log=True)[1]
    logs = [run(target) for target in ([f.T] if together else f)]
    log_u, log_v = (torch.cat([log[key].reshape(f.shape[1], -1).mT for log in logs]).log() for key in "uv")
    return -EPS * (log_u + torch.where(f > 0, f * (log_v - torch.where(f > 0, f, 1.0).log()), 0.0).sum(-1, keepdim=True))


def geomloss(f, attention, n_iters, errors=None):  # class by class on the support; its potentials are relative to both masses, ours to none
    from geomloss import ot
    cost, even, maps = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1]), []
    for row in f:
        a = row[row > 0]
        found = ot.solve(cost[row > 0], a=a, b=even, reg=EPS, max_iter=n_iters)
        log_v, log_u = a.log() + found.potential_a / EPS, even.log() + found.potential_b / EPS
        maps.append(-EPS * (log_u + (a * (log_v - a.log())).sum()))
        if errors is not None:
            errors.append((found.plan.sum(1) - a).abs().sum() + (found.plan.sum(0) - even).abs().sum())
    return torch.stack(maps)


def our_error(f, attention, n_iters):  # the same error of the worst class
    cost, even = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1])
    plan = sinkhorn(cost, f, even, eps=EPS, n_iters=n_iters).plan()
    return ((plan.sum(-1) - f).abs().sum(-1) + (plan.sum(-2) - even).abs().sum(-1)).max()


def their_error(f, attention, n_iters):
    errors = []
    geomloss(f, attention, n_iters, errors)
    return max(errors)


def steps_to(error, most):  # the fewest iterations of 1, 2, 5, 10, 20, 50, ... that bring the error down to `most`
    tried = (m * 10**e for e in range(4) for m in (1, 2, 5))
    return next(n for n in tried if error(n) <= most)


def rows(repeats, k=K, side=SIDE):
    f, attention, *_ = problem(k, side)
    wide_f, wide_attention = f.double() / f.double().sum(1, keepdim=True), attention.double()  # sums to 1 in double precision too
    path = lambda: optimal_path(f, attention, EPS, N_ITERS)
    path64 = lambda: optimal_path(wide_f, wide_attention, EPS, N_ITERS)
    by_class = lambda: pot_potentials(f, attention, together=False)
    by_class64 = lambda: pot_potentials(wide_f, wide_attention, together=False)
    for name, module, target, tolerance, ours, theirs, *memory in [
        ("float32 | POT, class by class, float64", "ot", ">= 8", 1e-5, path, by_class64),
        ("float32 | POT, class by class, float32", "ot", ">= 8", 1e-5, path, by_class),
        ("float64 | POT, class by class, float64", "ot", ">= 4", 1e-9, path64, by_class64),
        ("float32 | POT on support rows, float32", "ot", ">= 1.5", 1e-5, path, lambda: pot_on_supports(f, attention), ">= 2"),
        ("float64 | POT on support rows, float64", "ot", ">= 1.5", 1e-9, path64, lambda: pot_on_supports(wide_f, wide_attention), ">= 2"),
        ("float32 | POT, classes as histograms, float32", "ot", ">= 1.5", 1e-5, path, lambda: pot_potentials(f, attention, True), ">= 2"),
        ("cost, 5 classes | POT solve_batch, float32", "ot", ">= 1.5", 1e-5,
         lambda: optimal_path(f[:5], attention, EPS, N_ITERS, "cost"), lambda: pot_batch(f[:5], attention), ">= 2"),
        ("float32 | geomloss on support rows, 50 iterations too", "geomloss", ">= 1.5", 2e-3, path, lambda: geomloss(f, attention, N_ITERS), ">= 2"),
    ]:
        yield from compare(f"optimal_path, {name}", module, repeats, target, tolerance, ours, theirs, memory=memory[0] if memory else None)
    try:  # geomloss lowers eps step by step, down to ours in its last iteration; so also at one error of the marginals
        theirs = steps_to(lambda n: their_error(f, attention, n), 5e-4)
    except ImportError:
        return
    ours = steps_to(lambda n: our_error(f, attention, n), 5e-4)
    yield from compare(f"optimal_path, marginals to 5e-4: {ours} steps | geomloss: {theirs}", "geomloss", repeats, ">= 1.5", 1e-3,
                       lambda: optimal_path(f, attention, EPS, ours), lambda: geomloss(f, attention, theirs))


if __name__ == "__main__":
    main("path", __doc__, rows, ("ours", "peer"))

"""Maximum velocity: ours beside a straightforward chain for each class; the ratio is theirs over ours."""
import torch
from common import K, SIDE, compare, main, problem

from dotseg.method.maximum_velocity import maximum_velocity


def chain_by_class(f, attention, tau=0.3, ipf_iters=15, max_steps=100):
    T, found = attention / attention.sum(1, keepdim=True), []
    for _ in range(ipf_iters):
        T = T / T.sum(0, keepdim=True)
        T = T / T.sum(1, keepdim=True)
    for row in f:
        x, steps, level, settled = row / row.max(), torch.zeros_like(row), torch.zeros_like(row), row < 0
        while not settled.all() and steps.max() < max_steps:
            before, x = x, x @ T
            steps[~settled] += 1
            level[~settled] = x[~settled]
            settled |= (x - before).abs() <= tau
        found.append((steps, level))
    steps, level = (torch.stack(part) for part in zip(*found))
    return steps + 0.999 * level / level.amax(1, keepdim=True)


def rows(repeats, k=K, side=SIDE):
    f, attention, *_ = problem(k, side)
    yield from compare("maximum_velocity | torch, class by class", "torch", repeats, ">= 5", 1e-5,
                       lambda: maximum_velocity(f, attention), lambda: chain_by_class(f, attention))


if __name__ == "__main__":
    main("velocity", __doc__, rows, ("ours", "peer"))

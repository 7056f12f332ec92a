"""Growth of ours with classes and patches, small and large; the ratio is the large over the small."""
import torch
from common import EPS, K, N_ITERS, SIDE, growth, main, problem

from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.optimal_path import optimal_path
from dotseg.method.refine import refine


def rows(repeats, few=5, many=171, k=K, side=SIDE, offered=1000):
    run = lambda k, side: (lambda data: lambda: optimal_path(*data, EPS, N_ITERS))(problem(k, side)[:2])
    _, attention, maps, image = problem(k - 1, side)
    absent = 0.01 * torch.randn(offered - len(maps), side, side, generator=torch.Generator().manual_seed(0)) - 3
    every, grid, large = torch.cat([maps, absent]), problem(k, side)[:2], problem(k, 2 * side)[:2]
    found = refine(maps, attention, image), refine(every, attention, image)
    assert found[0].labels.equal(found[1].labels), "classes that are not there must not change the labels"
    square = 1.2 * 16  # patches four times as many: n^2 grows 16 times
    yield growth(f"optimal_path, classes kept {few} -> {many}", 1.5, run(few, side), run(many, side), repeats)
    yield growth(f"refine, classes offered {k - 1} -> {offered}", 2, lambda: refine(maps, attention, image), lambda: refine(every, attention, image), repeats)
    yield growth(f"optimal_path, patches {side**2} -> {4 * side**2}", square, run(k, side), run(k, 2 * side), repeats)
    yield growth(f"maximum_velocity, patches {side**2} -> {4 * side**2}", square, lambda: maximum_velocity(*grid), lambda: maximum_velocity(*large), repeats)


if __name__ == "__main__":
    main("growth", __doc__, rows, ("small", "large"))

"""Time the core beside its peers on the CPU: `python benchmarks/core.py [--repeats 7] [--threads N]`.

Each peer must first give the same result. Ours and theirs run in turn; the ratio is theirs over ours: above 1 we are faster."""
import argparse
import json
import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from timeit import timeit

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from dotseg.jbu import joint_bilateral_upsample
from dotseg.logits import normalise, suppress_non_maxima
from dotseg.path import optimal_path
from dotseg.velocity import maximum_velocity

K, SIDE, EPS, N_ITERS = 21, 32, 0.1, 50


def problem():
    "A made-up scene of 21 regions: f (k, n) as NMS leaves it, attention (n, n), maps (k, h, w), image."
    g = torch.Generator().manual_seed(0)
    place = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 2, indexing="ij"), -1).reshape(-1, 2)
    centres = place[torch.randperm(len(place), generator=g)[:K]]
    logits = 0.3 - torch.cdist(centres, place) + 0.01 * torch.randn(K, len(place), generator=g)
    features = torch.cat([3 * place, F.one_hot(logits.argmax(0), K)], -1)
    maps = logits.unflatten(-1, (SIDE, SIDE))
    image = F.interpolate(torch.rand(1, 3, K, generator=g)[..., maps.argmax(0)], scale_factor=16)[0]
    image += 0.05 * torch.randn(image.shape, generator=g)
    return normalise(suppress_non_maxima(maps)), (-4 * torch.cdist(features, features)).softmax(-1), maps, image.clamp(0, 1)


def pot_potentials(f, attention, together):  # class by class, or in POT's form for many histograms, which shares the kernel as ours does
    from ot import sinkhorn
    cost, even = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1])
    run = lambda target: sinkhorn(even, target, cost.T, EPS, numItermax=N_ITERS, stopThr=0, warn=False, log=True)[1]
    logs = [run(target) for target in ([f.T] if together else f)]
    log_u, log_v = (torch.cat([log[key].reshape(f.shape[1], -1).mT for log in logs]).log() for key in "uv")
    return -EPS * (log_u + torch.where(f > 0, f * log_v, 0.0).sum(-1, keepdim=True))


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
    return steps + 0.999 * level / level.max()


def jbu_by_shift(maps, image, r=2):  # Eq. 23, one shift of the window after the other, each for all pixels
    (k, h, w), (_, H, W) = maps.shape, image.shape
    means, total, out = F.avg_pool2d(image, (H // h, W // w)), torch.zeros(H, W), torch.zeros(k, H, W)
    py, px = (((torch.arange(size) + 0.5) * cells / size - 0.5) for size, cells in ((H, h), (W, w)))
    for i in range(-r, r + 1):
        for j in range(-r, r + 1):
            qy, qx = (py.round() + i)[:, None], px.round() + j
            y, x = qy.clamp(0, h - 1).long(), qx.clamp(0, w - 1).long()
            distance = (py[:, None] - qy) ** 2 + (px - qx) ** 2 + (image - means[:, y, x]).square().sum(0) / 0.1
            weight = torch.exp(-distance) * ((qy == y) & (qx == x))
            total, out = total + weight, out + weight * maps[:, y, x]
    return out / total


def kornia_blur(maps, image):  # at one size: kornia has no upsampling filter, and treats the border in another way
    from kornia.filters import joint_bilateral_blur
    return joint_bilateral_blur(maps[None], image[None], 5, 0.05**0.5, (0.5**0.5,) * 2, color_distance_type="l2")[0]


def compare(name, module, repeats, ours, theirs, inside=...):
    if not find_spec(module):
        print(f"{name:58s} not run: {module} is not installed")
        return {"name": name, "missing": module}
    assert_close(ours()[inside], theirs()[inside], atol=1e-5, rtol=1e-3)  # a wrong result has no speed; and both are warm now
    mine, other = zip(*[(timeit(ours, number=1), timeit(theirs, number=1)) for _ in range(repeats)])
    ratios = [b / a for a, b in zip(mine, other)]
    print(f"{name:58s}{1e3 * median(mine):9.1f}{1e3 * median(other):9.1f}{median(ratios):9.2f}  [{min(ratios):.2f}, {max(ratios):.2f}]")
    return {"name": name, "ours_s": mine, "theirs_s": other, "ratio": median(ratios), "range": [min(ratios), max(ratios)]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch; its own choice by default")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = next((line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), platform.processor())
    machine = {"cpu": cpu, "cores": os.cpu_count(), "threads": args.threads, "system": platform.platform()} | {
        name: version(name) for name, module in (("torch", "torch"), ("POT", "ot"), ("kornia", "kornia")) if find_spec(module)}
    f, attention, maps, image = problem()
    half, wide, border = F.avg_pool2d(image, 2), F.interpolate(maps[None], scale_factor=8)[0], slice(2, -2)
    print(json.dumps(machine), f"{K} classes, {f.any(0).sum()} of {len(attention)} patches survive NMS; {args.repeats} repeats",
          f"{'':58s}{'ours, ms':>9s}{'peer, ms':>9s}{'ratio':>9s}  [range]", sep="\n")
    path, velocity = (lambda: optimal_path(f, attention, EPS, N_ITERS)), (lambda: maximum_velocity(f, attention))
    results = [compare(name, module, args.repeats, *rest) for name, module, *rest in (
        ("optimal_path | POT, class by class", "ot", path, lambda: pot_potentials(f, attention, together=False)),
        ("optimal_path | POT, all classes as histograms", "ot", path, lambda: pot_potentials(f, attention, together=True)),
        ("maximum_velocity | torch, class by class", "torch", velocity, lambda: chain_by_class(f, attention)),
        ("joint_bilateral_upsample 32 to 512 | torch, by shifts", "torch",
         lambda: joint_bilateral_upsample(maps, image), lambda: jbu_by_shift(maps, image)),
        ("joint_bilateral_upsample 256 to 256 | kornia", "kornia",
         lambda: joint_bilateral_upsample(wide, half), lambda: kornia_blur(wide, half), (..., border, border)),
    )]
    Path(__file__).with_name("results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")

"""Time the core beside its peers on the CPU: `python benchmarks/core.py [--repeats 7] [--threads N]`.

Each peer must first give the same result. Ours and theirs run in turn; the ratio is theirs over ours, so above 1 we are faster.
"""
import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from dotseg.jbu import joint_bilateral_upsample
from dotseg.logits import normalise, suppress_non_maxima
from dotseg.path import optimal_path
from dotseg.sinkhorn import sinkhorn
from dotseg.velocity import maximum_velocity

K, SIDE, EPS, N_ITERS = 21, 32, 0.1, 50


def problem():
    "Classes (k, n) as NMS leaves them, attention (n, n), maps (k, h, w), an image: a made-up scene of 21 regions."
    g = torch.Generator().manual_seed(0)
    place = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 2, indexing="ij"), -1).reshape(-1, 2)
    centres = place[torch.randperm(len(place), generator=g)[:K]]
    logits = 0.3 - torch.cdist(centres, place) + 0.01 * torch.randn(K, len(place), generator=g)
    features = torch.cat([3 * place, F.one_hot(logits.argmax(0), K)], -1)
    attention = (-4 * torch.cdist(features, features)).softmax(-1)
    f = normalise(suppress_non_maxima(logits.unflatten(-1, (SIDE, SIDE)), 0.9, 100.0), 100.0)
    colours = torch.rand(3, K, generator=g)[:, logits.argmax(0)].unflatten(-1, (SIDE, SIDE))
    image = F.interpolate(colours[None], scale_factor=16)[0] + 0.05 * torch.randn(3, 512, 512, generator=g)
    return f, attention, logits.unflatten(-1, (SIDE, SIDE)), image.clamp(0, 1)


def pot_plans(cost, f, even):
    import ot

    return [ot.sinkhorn(even, row, cost.T, EPS, numItermax=N_ITERS, stopThr=0, warn=False).T for row in f]


def pot_potentials(attention, f, even):  # POT's form for many histograms, which shares the kernel as ours does
    import ot

    cost = 1 - attention / attention.amax(-1, keepdim=True)
    _, log = ot.sinkhorn(even, f.T, cost.T, EPS, numItermax=N_ITERS, stopThr=0, warn=False, log=True)
    gauge = torch.where(f > 0, f * log["v"].T.log(), 0.0).sum(-1, keepdim=True)
    return -EPS * (log["u"].T.log() + gauge)


def chain_by_class(f, attention, tau=0.3, rounds=15, steps=100):
    T = attention / attention.sum(1, keepdim=True)
    for _ in range(rounds):
        T = T / T.sum(0, keepdim=True)
        T = T / T.sum(1, keepdim=True)
    lasted, levels = [], []
    for row in f:
        x, lasts, level, settled = row / row.max(), torch.zeros_like(row), torch.zeros_like(row), torch.zeros_like(row, dtype=torch.bool)
        while not settled.all() and lasts.max() < steps:
            before, x = x, x @ T
            lasts[~settled] += 1
            level[~settled] = x[~settled]
            settled |= (x - before).abs() <= tau
        lasted.append(lasts)
        levels.append(level)
    levels = torch.stack(levels)
    return torch.stack(lasted) + 0.999 * levels / levels.max()


def jbu_by_offset(maps, image, r=2):  # Eq. 23, one shift of the window after the other, for all pixels
    (k, h, w), (_, H, W) = maps.shape, image.shape
    means, total, out = F.avg_pool2d(image, (H // h, W // w)), torch.zeros(H, W), torch.zeros(k, H, W)
    y, x = (torch.arange(H) * h // H)[:, None], (torch.arange(W) * w // W)[None]
    py, px = ((torch.arange(H) + 0.5) * h / H - 0.5)[:, None], ((torch.arange(W) + 0.5) * w / W - 0.5)[None]
    for i in range(-r, r + 1):
        for j in range(-r, r + 1):
            qy, qx = y + i, x + j
            cy, cx = qy.clamp(0, h - 1), qx.clamp(0, w - 1)
            colour = (image - means[:, cy, cx]).square().sum(0)
            weight = torch.exp(-((py - qy) ** 2 + (px - qx) ** 2) - colour / 0.1) * ((qy == cy) & (qx == cx))
            total += weight
            out += weight * maps[:, cy, cx]
    return out / total


def kornia_same_size(maps, image):  # kornia filters at one size only; borders are handled otherwise and left out of the check
    from kornia.filters import joint_bilateral_blur

    return joint_bilateral_blur(maps[None], image[None], 5, 0.05**0.5, (0.5**0.5,) * 2, color_distance_type="l2")[0]


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(name, needs, ours, theirs, repeats, check=assert_close):
    missing = [module for module in needs if importlib.util.find_spec(module) is None]
    if missing:
        print(f"{name:58s} not run: {', '.join(missing)} not installed")
        return {"name": name, "missing": missing}
    check(ours(), theirs())  # a wrong result has no speed; and both are warm now
    mine, other = zip(*[(timed(ours), timed(theirs)) for _ in range(repeats)])
    ratios = [b / a for a, b in zip(mine, other)]
    print(f"{name:58s}{1e3 * median(mine):9.1f}{1e3 * median(other):9.1f}{median(ratios):9.2f}  [{min(ratios):.2f}, {max(ratios):.2f}]")
    return {"name": name, "ours_s": mine, "theirs_s": other, "ratio": median(ratios), "range": [min(ratios), max(ratios)]}


def machine():
    info = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    versions = {m: importlib.metadata.version(m) for m in ("torch", "pot", "kornia") if importlib.util.find_spec({"pot": "ot"}.get(m, m))}
    return {"cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "system": platform.platform(), "versions": versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    f, attention, maps, image = problem()
    n, cost, even = f.shape[1], 1 - attention / attention.amax(-1, keepdim=True), torch.full_like(f[0], 1 / f.shape[1])
    about = machine()
    print(json.dumps(about), f"{K} classes, {n} patches, {100 * (f > 0).any(0).float().mean():.0f}% of them survive; {args.repeats} repeats", sep="\n")
    print(f"{'':58s}{'ours, ms':>9s}{'peer, ms':>9s}{'ratio':>9s}  [range]")
    small, inside = F.interpolate(image[None], scale_factor=0.5)[0], (..., slice(2, -2), slice(2, -2))
    wide = F.interpolate(maps[None], size=small.shape[1:], mode="bilinear")[0]
    loose = lambda a, b: assert_close(a, b, atol=1e-4, rtol=1e-4)
    results = [
        compare("sinkhorn | POT, class by class", ["ot"], lambda: sinkhorn(cost, f, even, EPS, N_ITERS), lambda: pot_plans(cost, f, even),
                args.repeats, lambda a, b: assert_close(a.plan(), torch.stack(b), atol=1e-6, rtol=1e-3)),
        compare("optimal_path | POT, all classes as histograms", ["ot"], lambda: optimal_path(f, attention, EPS, N_ITERS),
                lambda: pot_potentials(attention, f, even), args.repeats, loose),
        compare("maximum_velocity | torch, class by class", [], lambda: maximum_velocity(f, attention), lambda: chain_by_class(f, attention),
                args.repeats, loose),
        compare("joint_bilateral_upsample 32 to 512 | torch, shift by shift", [], lambda: joint_bilateral_upsample(maps, image),
                lambda: jbu_by_offset(maps, image), args.repeats, loose),
        compare("joint_bilateral_upsample 256 to 256 | kornia", ["kornia"], lambda: joint_bilateral_upsample(wide, small),
                lambda: kornia_same_size(wide, small), args.repeats, lambda a, b: loose(a[inside], b[inside])),
    ]
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps({"machine": about, "repeats": args.repeats, "results": results}, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()

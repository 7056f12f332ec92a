"""Time the core beside its peers on the CPU: `python benchmarks/core.py [--repeats 7] [--threads N] [--only WORD]`.

Each peer must first give the same result, unless no peer computes it (said in the name). Ours and theirs run in turn; the ratio is
theirs over ours, the median over the repeats: above 1 we are faster. Memory is the rise of the process's peak during one call, Linux only."""
import argparse
import ctypes
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
from dotseg.refine import refine
from dotseg.velocity import maximum_velocity

K, SIDE, EPS, N_ITERS = 21, 32, 0.1, 50


def problem(k=K, side=SIDE):
    "A made-up scene of k regions: f (k, n) as NMS leaves it, attention (n, n), maps (k, h, w), image."
    g = torch.Generator().manual_seed(0)
    place = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, side)] * 2, indexing="ij"), -1).reshape(-1, 2)
    centres = place[torch.randperm(len(place), generator=g)[:k]]
    logits = 0.3 - torch.cdist(centres, place) + 0.01 * torch.randn(k, len(place), generator=g)
    features = torch.cat([3 * place, F.one_hot(logits.argmax(0), k)], -1)
    maps = logits.unflatten(-1, (side, side))
    image = F.interpolate(torch.rand(1, 3, k, generator=g)[..., maps.argmax(0)], scale_factor=16)[0]
    image += 0.05 * torch.randn(image.shape, generator=g)
    return normalise(suppress_non_maxima(maps)), (-4 * torch.cdist(features, features)).softmax(-1), maps, image.clamp(0, 1)


def pot_on_supports(f, attention):  # class by class, each given only the rows of the cost where it has mass
    from ot import sinkhorn
    cost, even, maps = 1 - attention / attention.amax(-1, keepdim=True), f.new_full((f.shape[1],), 1 / f.shape[1]), []
    for row in f:
        inside = row > 0
        log = sinkhorn(even, row[inside], cost[inside].T, EPS, numItermax=N_ITERS, stopThr=0, warn=False, log=True)[1]
        maps.append(-EPS * (log["u"].log() + (row[inside] * log["v"].log()).sum()))
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


def opencv(maps, image):  # one map at a time, over rounder windows; the maps are at the image's size already
    from cv2 import ximgproc
    guide = image.permute(1, 2, 0).contiguous().numpy()
    return torch.stack([torch.from_numpy(ximgproc.jointBilateralFilter(guide, row.numpy(), 5, 0.05**0.5, 0.5**0.5)) for row in maps])


def peak(run):
    "MiB by which one call raises the peak of resident memory; None where the system does not say."
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    clear.write_text("5")
    size = lambda key: int(next(line for line in status.read_text().splitlines() if line.startswith(key)).split()[1]) / 1024
    before = size("VmRSS")
    kept = run()  # noqa: F841, the result counts
    return size("VmHWM") - before


def compare(name, module, repeats, target, tolerance, ours, theirs, inside=...):
    if not find_spec(module):
        print(f"{name:62s} not run: {module} is not installed")
        return {"name": name, "missing": module}
    mine, other = ours(), theirs()  # a wrong result has no speed; and both are warm now
    if tolerance:
        assert_close(mine[inside].double(), other[inside].double(), atol=tolerance, rtol=0)
    del mine, other
    memory = peak(ours), peak(theirs)
    mine, other = zip(*[(timeit(ours, number=1), timeit(theirs, number=1)) for _ in range(repeats)])
    ratios = [b / a for a, b in zip(mine, other)]
    ratio, met = median(ratios), "" if target is None else "met" if median(ratios) >= target else "MISSED"
    wanted = "" if target is None else f"{target:g}"
    sizes = "" if None in memory else f"{memory[0]:7.0f}{memory[1]:7.0f}"
    print(f"{name:62s}{1e3 * median(mine):8.1f}{1e3 * median(other):8.1f}{ratio:8.2f}  [{min(ratios):6.2f}, {max(ratios):6.2f}]{wanted:>6s} {met:7s}{sizes}")
    return {"name": name, "ours_s": mine, "theirs_s": other, "ratio": ratio, "range": [min(ratios), max(ratios)], "target": target, "peak_mib": memory}


def comparisons():
    f, attention, maps, image = problem()
    wide_f, wide_attention = f.double() / f.double().sum(1, keepdim=True), attention.double()  # sums to 1 in double precision too
    path = lambda: optimal_path(f, attention, EPS, N_ITERS)
    path64 = lambda: optimal_path(wide_f, wide_attention, EPS, N_ITERS)
    velocity = lambda: maximum_velocity(f, attention)
    by_class = lambda: pot_potentials(f, attention, together=False)
    by_class64 = lambda: pot_potentials(wide_f, wide_attention, together=False)
    upsample = lambda: joint_bilateral_upsample(maps, image)
    half, wide, full = F.avg_pool2d(image, 2), *(F.interpolate(maps[None], scale_factor=s)[0] for s in (8, 16))
    return [  # name, module, target, tolerance, ours, theirs
        ("optimal_path, float32 | POT, class by class, float64", "ot", 8, 1e-5, path, by_class64),
        ("optimal_path, float32 | POT, class by class, float32", "ot", 8, 1e-5, path, by_class),
        ("optimal_path, float64 | POT, class by class, float64", "ot", 4, 1e-9, path64, by_class64),
        ("optimal_path, float32 | POT on support rows, float32", "ot", 1.5, 1e-5, path, lambda: pot_on_supports(f, attention)),
        ("optimal_path, float64 | POT on support rows, float64", "ot", 1.5, 1e-9, path64, lambda: pot_on_supports(wide_f, wide_attention)),
        ("optimal_path, float32 | POT, classes as histograms, float32", "ot", 1.5, 1e-5, path, lambda: pot_potentials(f, attention, True)),
        ("optimal_path, cost, 5 classes | POT solve_batch, float32", "ot", 1.5, 1e-5,
         lambda: optimal_path(f[:5], attention, EPS, N_ITERS, "cost"), lambda: pot_batch(f[:5], attention)),
        ("maximum_velocity | torch, class by class", "torch", 5, 1e-5, velocity, lambda: chain_by_class(f, attention)),
        ("upsample 32 to 512 | torch, shift by shift", "torch", None, 1e-4, upsample, lambda: jbu_by_shift(maps, image)),
        ("upsample 32 to 512 | kornia, same taps at 512", "kornia", 3, None, upsample, lambda: kornia_blur(full, image)),
        ("upsample 32 to 512 | OpenCV, map by map at 512", "cv2", 1, None, upsample, lambda: opencv(full, image)),
        ("upsample 256 to 256 | kornia", "kornia", None, 1e-4, lambda: joint_bilateral_upsample(wide, half),
         lambda: kornia_blur(wide, half), (..., slice(2, -2), slice(2, -2))),
    ]


def growths():
    "Ours at two sizes: the ratio is the large over the small one; (name, most allowed, small, large)."
    run = lambda k, side: (lambda data: lambda: optimal_path(*data, EPS, N_ITERS))(problem(k, side)[:2])
    f, attention, maps, image = problem(20)
    absent = 0.01 * torch.randn(980, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 3
    every = torch.cat([maps, absent])
    grid, large = problem(), problem(side=2 * SIDE)
    square = 1.2 * 16  # patches 1024 -> 4096: n^2 grows 16 times
    return [
        ("optimal_path, classes kept 5 -> 171", 1.5, run(5, SIDE), run(171, SIDE)),
        ("refine, classes offered 20 -> 1000", 2, lambda: refine(maps, attention, image), lambda: refine(every, attention, image)),
        ("optimal_path, patches 1024 -> 4096", square, run(K, SIDE), run(K, 2 * SIDE)),
        ("maximum_velocity, patches 1024 -> 4096", square, lambda: maximum_velocity(*grid[:2]), lambda: maximum_velocity(*large[:2])),
    ]


def growth(name, most, small, large, repeats):
    small(), large()
    low, high = zip(*[(timeit(small, number=1), timeit(large, number=1)) for _ in range(repeats)])
    ratios = [b / a for a, b in zip(low, high)]
    met = "met" if median(ratios) <= most else "MISSED"
    print(f"{name:62s}{1e3 * median(low):8.1f}{1e3 * median(high):8.1f}{median(ratios):8.2f}  [{min(ratios):6.2f}, {max(ratios):6.2f}]{f'<{most:g}':>6s} {met}")
    return {"name": name, "small_s": low, "large_s": high, "ratio": median(ratios), "range": [min(ratios), max(ratios)], "most": most}


def machine(threads):
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = next((line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), platform.processor())
    found = {name: version(name) for name, module in (("torch", "torch"), ("POT", "ot"), ("kornia", "kornia"),
             ("opencv-contrib-python-headless", "cv2")) if find_spec(module)}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, "system": platform.platform()} | found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch and OpenCV; torch's choice by default")
    parser.add_argument("--only", default="", help="run only what has this word in its name")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if find_spec("cv2"):
        import cv2
        cv2.setNumThreads(args.threads)
    about = machine(args.threads)
    print(json.dumps(about), f"{args.repeats} repeats in turn; times are medians", "",
          f"{'':62s}{'ours ms':>8s}{'peer ms':>8s}{'ratio':>8s}  {'[range]':16s}{'target':>8s}{'':7s}{'peak MiB, ours and peer':s}", sep="\n")
    results = [compare(name, module, args.repeats, *rest) for name, module, *rest in comparisons() if args.only in name]
    print(f"{'':62s}{'small':>8s}{'large':>8s}")
    results += [growth(*rest, args.repeats) for rest in growths() if args.only in rest[0]]
    Path(__file__).with_name("results.json").write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")

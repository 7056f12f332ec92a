"""What the scripts beside this one share: a made-up scene, comparison with a peer, peak memory, the machine, the table and the JSON.

A script gives rows. A row has the name of what is done, two columns of numbers with their unit, the ratio that its target speaks of
(the median over the repeats, and the range), and whether the target is met. Who is compared is run in turn, after the results have been compared."""
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

from dotseg.method.logits import normalise, suppress_non_maxima

K, SIDE, EPS, N_ITERS = 21, 32, 0.1, 50
PACKAGES = {"torch": "torch", "POT": "ot", "geomloss": "geomloss", "kornia": "kornia", "opencv-contrib-python-headless": "cv2",
            "open_clip_torch": "open_clip", "diffusers": "diffusers"}
RESULTS = Path(__file__).parent / "results"


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


def row(name, ours, other, unit, ratios, target=None, **more):
    "One line of the table; `target` is like '>= 8' or '<= 0.5', and speaks of the median of `ratios`."
    ratio, met = median(ratios), None
    if target:
        sign, limit = target.split()
        met = ratio >= float(limit) if sign == ">=" else ratio <= float(limit)
    return {"name": name, "ours": list(ours), "other": list(other), "unit": unit, "ratio": ratio, "range": [min(ratios), max(ratios)], "target": target, "met": met} | more


def quotients(above, below):
    return [a / b for a, b in zip(above, below)]


def peak(run):
    "MiB by which one call raises the peak of resident memory; None where the system does not say."
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        run()
        return None
    ctypes.CDLL(None).malloc_trim(0)
    clear.write_text("5")
    size = lambda key: int(next(line for line in status.read_text().splitlines() if line.startswith(key)).split()[1]) / 1024
    before = size("VmRSS")
    kept = run()  # noqa: F841, the result counts
    return max(size("VmHWM") - before, 1 / 1024)


def compare(name, module, repeats, target, tolerance, ours, theirs, inside=..., memory=None):
    "Rows for time and, if it has a target, for peak memory; each ratio is theirs over ours. `AssertionError` if the results differ by more than the tolerance."
    if not find_spec(module):
        return [{"name": name, "missing": module}]
    mine, other = ours(), theirs()  # a wrong result has no speed; and both are warm now
    if tolerance:
        assert_close(mine[inside].double(), other[inside].double(), atol=tolerance, rtol=0)
    del mine, other
    rows = []
    mine, other = zip(*[(1e3 * timeit(ours, number=1), 1e3 * timeit(theirs, number=1)) for _ in range(repeats)])
    rows.append(row(name, mine, other, "ms", quotients(other, mine), target))
    if memory:
        mine, other = zip(*[(peak(ours), peak(theirs)) for _ in range(3)])
        if None not in mine:
            rows.append(row(f"{name}: memory", mine, other, "MiB", quotients(other, mine), memory))
    return rows


def growth(name, most, small, large, repeats):
    "Ours at two sizes, small and large; the ratio is the large over the small one."
    small(), large()
    low, high = zip(*[(1e3 * timeit(small, number=1), 1e3 * timeit(large, number=1)) for _ in range(repeats)])
    return row(name, low, high, "ms", quotients(high, low), f"<= {most:g}")


def machine(threads):
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = next((line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), platform.processor())
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    found = {name: version(name) for name, module in PACKAGES.items() if find_spec(module)}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, **gpu, "system": platform.platform(), "python": platform.python_version()} | found


def cells(r):
    "A row as pieces of text: name, ours, other, ratio, range, target, whether it is met."
    if "missing" in r:
        return [r["name"], "", "", "", "", "", f"not run: needs {r['missing']}"]
    number = lambda x: f"{x:.0f}" if x >= 1000 or x == int(x) else f"{x:.3g}"
    met = {None: "", True: "met", False: "MISSED"}[r["met"]]
    span = f"[{r['range'][0]:.2f}, {r['range'][1]:.2f}]" if len(r["ours"]) > 1 else ""
    return [r["name"], number(median(r["ours"])), f"{number(median(r['other']))} {r['unit']}", f"{r['ratio']:.2f}", span, r["target"] or "", met]


WIDTHS = (-78, 9, 14, 9, 18, 9, -7)  # characters of a column; negative: set to the left


def line(pieces):
    "Pieces of text as a line of a table."
    return " ".join(f"{x:<{-width}}" if width < 0 else f"{x:>{width}}" for x, width in zip(pieces, WIDTHS)).rstrip()


def header(columns=("ours", "other")):
    return ["what", *columns, "ratio", "range", "target", "result"]


def main(name, doc, rows, columns=("ours", "other")):
    "The command line of a script: print `rows(repeats)`, an iterable, as they come, and write results/NAME.json."
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch and OpenCV; torch's choice by default")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if find_spec("cv2"):
        import cv2
        cv2.setNumThreads(args.threads)
    found, about = [], machine(args.threads)
    print(doc.splitlines()[0], line(header(columns)), sep="\n", flush=True)
    for r in rows(args.repeats):
        found.append(r)
        print(line(cells(r)), flush=True)
    RESULTS.mkdir(exist_ok=True)
    whole = RESULTS / f".{name}.json"
    whole.write_text(json.dumps({"about": doc.splitlines()[0], "columns": columns, "machine": about, "repeats": args.repeats, "rows": found}, indent=1) + "\n")
    whole.replace(RESULTS / f"{name}.json")

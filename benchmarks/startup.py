"""Start-up: what `dotseg --help` and `dotseg demo` take beside the imports they cannot do without, each in a fresh interpreter."""
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from common import main, quotients, row

LIBRARIES = "import torch, torchvision, open_clip; from diffusers import AutoencoderKL, UNet2DConditionModel"


def spend(words):
    "Seconds of the clock and of the CPU that a command takes; `RuntimeError` if it fails."
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    wall, after = perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(repeats, commands=("--help", "demo")):
    dotseg = Path(sys.executable).parent / "dotseg"
    bare, libraries = [sys.executable, "-c", "pass"], [sys.executable, "-c", LIBRARIES]
    if "--help" in commands:
        spend([dotseg, "--help"])
        plain, ours = zip(*[(spend(bare)[1], spend([dotseg, "--help"])[1]) for _ in range(repeats)])
        yield row("dotseg --help, seconds of CPU beyond Python's own | Python", [a - b for a, b in zip(ours, plain)], plain, "s", [a - b for a, b in zip(ours, plain)], "<= 0.5")
    if "demo" in commands:
        with tempfile.TemporaryDirectory() as folder:
            demo = [dotseg, "demo", "--out", folder]
            spend(demo)
            assert (Path(folder) / "mask.png").stat().st_size > 100
            ours, theirs = zip(*[(spend(demo), spend(libraries)) for _ in range(repeats)])
        for what, i in (("wall clock", 0), ("CPU", 1)):
            a, b = [one[i] for one in ours], [one[i] for one in theirs]
            yield row(f"dotseg demo, {what} | importing torch, torchvision, open_clip, diffusers", a, b, "s", quotients(a, b))
            if i == 0:
                yield row("dotseg demo, wall clock in seconds | 6", a, [6], "s", a, "<= 6")


if __name__ == "__main__":
    main("startup", __doc__, rows, ("ours", "other"))

"""On a GPU, full-size models with random weights: the discrepancy, upsampling, the whole pipeline; the ratio is the number that the target speaks of."""
from time import perf_counter

import torch
from common import EPS, K, N_ITERS, SIDE, main, problem, quotients, row
from torch.testing import assert_close

from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.optimal_path import optimal_path
from dotseg.method.upsampling import joint_bilateral_upsample
from dotseg.segmentation.presets import PRESETS
from dotseg.segmentation.segmenter import Segmenter


def elapsed(run, times, device):
    "Milliseconds of a call, several in a row between two waits."
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    begun = perf_counter()
    for _ in range(times):
        run()
    wait()
    return 1e3 * (perf_counter() - begun) / times


def core(repeats, device, k, side, times):
    f, attention, maps, image = problem(k, side)
    for name, most, run, inputs in [
        ("optimal_path", 1, lambda f, attention: optimal_path(f, attention, EPS, N_ITERS), (f, attention)),
        ("maximum_velocity", 1, maximum_velocity, (f, attention)),
        ("upsample", 0.3, joint_bilateral_upsample, (maps, image)),
    ]:
        there = [x.to(device) for x in inputs]
        wanted, found = run(*(x.double() for x in inputs)), run(*there)
        assert_close(found.cpu().double(), wanted, atol=1e-4, rtol=1e-4)
        took = [elapsed(lambda: run(*there), times, device) for _ in range(repeats)]
        yield row(f"{name}, {k} classes, {side} x {side} patches, float32, in ms | target", took, [most], "ms", took, f"<= {most}")
    source = torch.empty(2**28 if device == "cuda" else 2**20, device=device)
    moved = sum(x.nbytes for x in (*there, found)) / 1e6
    share = [moved / ms * elapsed(source.clone, times, device) / (2 * source.nbytes / 1e6) for ms in took]
    yield row("upsample, share of the bandwidth of a copy, checks and cell means included | target", share, [0.5], "", share, ">= 0.5")


def pipeline(repeats, device, name, dtype, size, k, batch):
    preset = PRESETS[name]
    sources = preset.join(**{part: made_of.random_init(device, dtype) for part, made_of in preset.parts.items()})
    segmenter, classes = Segmenter(*sources, preset.config), [f"name {i}" for i in range(k)]
    if name == "picturebook":  # which knows its own words only
        from dotseg.miniature.picturebook import CLASSES
        classes = CLASSES[:k]
    pictures = [(255 * problem(K, size // 16)[3].permute(1, 2, 0)).byte().numpy() for _ in range(batch)]
    one, many = lambda: segmenter(pictures[0], classes), lambda: list(segmenter.stream(pictures, classes, batch_size=batch))
    one(), many()  # warm
    took = [elapsed(one, 1, device) for _ in range(repeats)]
    yield row(f"{name}, {size} px, {k} names, {dtype}, one image, in ms | target", took, [40], "ms", took, "<= 40")
    rate = [1e3 * batch / elapsed(many, 1, device) for _ in range(repeats)]
    yield row(f"{name}, the same, batches of {batch}, in images a second | target", rate, [60], "/s", rate, ">= 60")
    if device != "cuda":
        return
    most = torch.cuda.max_memory_allocated() / 2**20
    yield row(f"{name}, the same, peak of the GPU's memory | a card of 6 GiB", [most], [6144], "MiB", [most / 6144], "<= 1")
    sources[1].vae.encoder.compile()  # the one large network that runs as it is, from one end to the other
    one()
    compiled = [elapsed(one, 1, device) for _ in range(repeats)]
    yield row(f"{name}, one image, autoencoder compiled | as it is", compiled, took, "ms", quotients(took, compiled))


def rows(repeats, device="cuda", preset="clip-b16-sd2", dtype=torch.float16, k=K, side=SIDE, size=512, batch=8, times=20):
    if device == "cuda" and not torch.cuda.is_available():
        yield {"name": "discrepancy, upsampling and the whole pipeline on a GPU", "missing": "a GPU"}
        return
    yield from core(repeats, device, k, side, times)
    yield from pipeline(repeats, device, preset, dtype, size, k, batch)


if __name__ == "__main__":
    main("gpu", __doc__, rows, ("ours", "other"))

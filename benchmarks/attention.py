"""Attention from SD 2's UNet at 512 px, random weights: ours beside a full UNet whose layers keep their probabilities; the ratio is ours over theirs."""
from timeit import timeit

import torch
from common import main, peak, quotients, row
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from dotseg.evaluation.profile import _Held
from dotseg.method.attention import merge_attention
from dotseg.models.diffusion import SD2_UNET, SD2_VAE, DiffusionAttention


class Keeping:
    "diffusers' own unfused attention, which writes the probabilities down; and keeps them."

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (attn.head_to_batch_dim(x) for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)))
        self.kept = attn.get_attention_scores(q, k, attention_mask)  # (b * heads, n, n)
        return attn.to_out[0](attn.batch_to_head_dim(self.kept @ v))


def build(unet=SD2_UNET, vae=SD2_VAE, tiny=None, device="cpu", side=512):
    "Ours with random weights, and the tiny autoencoder in the shape of TAESD."
    torch.manual_seed(0)
    with torch.device(device):
        parts = UNet2DConditionModel(**unet), AutoencoderKL(**vae), AutoencoderTiny(**(tiny or {}))
    unet, vae, tiny = (torch.nn.Module.requires_grad_(part, False).eval() for part in parts)
    source = DiffusionAttention(unet, vae, torch.randn(1, 77, unet.config.cross_attention_dim).to(device), image_size=side)
    for _, layers in source.blocks.values():
        for layer in layers:  # so that the attention is not nearly even, as fresh weights leave it, and a wrong one would show
            layer.to_q.weight.mul_(4)
            layer.to_k.weight.mul_(4)
    return source, tiny


def ours(source, latents, grid):
    return merge_attention(source.attend(latents), source.weights, grid)


def whole(source, latents, grid, wanted):
    "The whole UNet; the layers in `wanted` keep their probabilities, the others stay as they are."
    stock = {layer: layer.processor for layer in wanted}
    try:
        for layer in wanted:
            layer.set_processor(Keeping())
        with torch.no_grad():
            source.unet(latents, source.timestep, encoder_hidden_states=source.prompt)
        if latents.is_meta:
            return None
        found = {}
        for name in source.weights:
            layers = source.blocks[name][1]
            mean = torch.stack([layer.processor.kept.mean(0) for layer in layers]).mean(0)[None]
            coarser = round((latents.shape[-2] * latents.shape[-1] / mean.shape[-1]) ** 0.5)
            found[name] = (mean, (latents.shape[-2] // coarser, latents.shape[-1] // coarser))
        return merge_attention(found, source.weights, grid)
    finally:
        for layer, processor in stock.items():
            layer.set_processor(processor)


def holding(run):
    "The result, and the most MiB of tensors that were held on the way."
    with torch.no_grad(), _Held() as held:
        return run(), held.peak / 2**20


def timed(run):
    "Seconds of a call, and MiB by which it raises the peak of the process."
    seconds = []
    most = peak(lambda: seconds.append(timeit(run, number=1)))
    return seconds[0], most


def count(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops() / 2e9


def rows(repeats, shapes=None, side=512):
    shapes = shapes or {}
    source, _ = build(**shapes, side=side)
    every = [layer for _, layers in source.blocks.values() for layer in layers]
    tapped = [layer for name in source.weights for layer in source.blocks[name][1]]
    latents = torch.randn(1, source.unet.config.in_channels, side // source.shrink, side // source.shrink, generator=torch.Generator().manual_seed(0))
    grid = (side // 16, side // 16)
    run = lambda: ours(source, latents, grid)
    peers = {"all layers keep": lambda: whole(source, latents, grid, every), "tapped layers keep": lambda: whole(source, latents, grid, tapped)}
    mine, held = holding(run)
    assert (mine.amax(-1) * mine.shape[-1]).mean() > 2, "the attention is too even to compare"
    for name, peer in peers.items():
        target = "<= 0.5" if name == "all layers keep" else None
        other, most = holding(peer)
        assert_close(mine, other, atol=1e-6, rtol=1e-3)
        yield row(f"UNet: peak of tensors held | {name} theirs", [held], [most], "MiB", [held / most], target)
        pairs = [(*timed(run), *timed(peer)) for _ in range(min(repeats, 3))]  # a pass takes seconds, and the counts do not vary
        for what, unit, i in (("time", "s", 0), ("peak of the process", "MiB", 1)):
            a, b = zip(*[(pair[i], pair[i + 2]) for pair in pairs])
            if None not in a:
                yield row(f"UNet: {what} | {name} theirs", a, b, unit, quotients(a, b), target if i else None)
    del source, run, peers, peer
    source, tiny = build(**shapes, device="meta", side=side)  # counting needs shapes alone
    latents, image = latents.to("meta"), torch.empty(1, 3, side, side, device="meta")
    every = [layer for _, layers in source.blocks.values() for layer in layers]
    a, b = count(lambda: source.attend(latents)), count(lambda: whole(source, latents, grid, every))
    full, small = count(lambda: source.vae.encode(image)), count(lambda: tiny.encode(image))
    yield row("UNet: multiply-adds | the whole UNet", [a], [b], "G", [a / b], "<= 0.76")
    yield row("autoencoder and UNet: multiply-adds | the whole UNet", [full + a], [full + b], "G", [(full + a) / (full + b)])
    yield row("tiny autoencoder and UNet: multiply-adds | full, the whole UNet", [small + a], [full + b], "G", [(small + a) / (full + b)], "<= 0.45")


if __name__ == "__main__":
    main("attention", __doc__, rows, ("ours", "peer"))

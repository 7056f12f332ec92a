"Recording the self-attention of small UNets of several shapes, with random weights."
import math

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from dotseg.attention import merge_attention
from dotseg.diffusion import DiffusionAttention, RecordingProcessor, find_blocks, recording

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
D, U, PLAIN_D, PLAIN_U = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "DownBlock2D", "UpBlock2D"
UNETS = {
    "like SD 2": dict(down_block_types=(D, D, D, PLAIN_D), up_block_types=(PLAIN_U, U, U, U), block_out_channels=(8, 8, 16, 16), attention_head_dim=(1, 2, 4, 4)),
    "like XL": dict(down_block_types=(PLAIN_D, D), up_block_types=(U, PLAIN_U), block_out_channels=(8, 16), transformer_layers_per_block=(1, 2)),
    "no middle": dict(down_block_types=(D, PLAIN_D), up_block_types=(PLAIN_U, U), block_out_channels=(8, 8), mid_block_type=None),
}
NAMES = {
    "like SD 2": ["down0", "down1", "down2", "mid", "up0", "up1", "up2"],
    "like XL": ["down0", "mid", "up0"],
    "no middle": ["down0", "up0"],
}


def tiny_unet(name="like SD 2", seed=0):
    torch.manual_seed(seed)
    options = dict(attention_head_dim=2, norm_num_groups=4, cross_attention_dim=8, layers_per_block=1, use_linear_projection=True) | UNETS[name]
    unet = UNet2DConditionModel(**options).eval().requires_grad_(False)
    for layer in (m for n, m in unet.named_modules() if n.endswith("attn1")):
        layer.to_q.weight *= 3  # attention that is not all alike
    return unet


def tiny_vae(seed=0):
    torch.manual_seed(seed)
    kinds = dict(down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    return AutoencoderKL(block_out_channels=(4, 8), latent_channels=4, norm_num_groups=2, scaling_factor=0.7, **kinds).eval().requires_grad_(False)


def rand(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny_source(name="like SD 2", weights=None, **options):
    weights = {block: 0.5 for block in NAMES[name][-2:]} if weights is None else weights
    return DiffusionAttention(tiny_unet(name), tiny_vae(), rand(1, 5, 8), weights, **{"side": 64} | options)


def hooks_of(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def layers_of(unet):
    return [layer for _, layers in find_blocks(unet).values() for layer in layers]


def naive(layer, x):
    "The mean over heads of all (heads, n, n) probabilities, in double precision."
    q, k = ((x.double() @ p.weight.double().T).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for p in (layer.to_q, layer.to_k))
    full = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
    return (full / full.sum(-1, keepdim=True)).mean(1)


def stock_pass(source, images):
    "What enters and leaves each self-attention layer, and what is painted, in a pass that nobody has touched."
    latent, entered, left = source.encode(images), {}, {}
    hooks = [layer.register_forward_pre_hook(lambda m, args: entered.update({m: args[0]})) for layer in layers_of(source.unet)]
    hooks += [layer.register_forward_hook(lambda m, args, out: left.update({m: out})) for layer in layers_of(source.unet)]
    painted = source.unet(latent, source.timestep, encoder_hidden_states=source.prompt.to(latent).expand(len(latent), -1, -1)).sample
    for hook in hooks:
        hook.remove()
    return entered, left, painted


@pytest.mark.parametrize("name", UNETS)
def test_names_count_blocks_with_attention(name):
    unet = tiny_unet(name)
    blocks = find_blocks(unet)
    assert list(blocks) == NAMES[name]
    up = [block for block in unet.up_blocks if hasattr(block, "attentions")]
    assert [blocks[n][0] for n in blocks if n.startswith("up")] == up
    every = {id(m) for n, m in unet.named_modules() if n.endswith("attn1")}
    assert {id(layer) for _, layers in blocks.values() for layer in layers} == every


def test_names_stand_in_running_order():
    source, ran = tiny_source("like XL"), []
    hooks = [layer.register_forward_pre_hook(lambda m, args: ran.append(m)) for layer in layers_of(source.unet)]
    stock_pass(source, rand(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    assert ran == layers_of(source.unet)


def test_not_a_unet():
    with pytest.raises(ValueError, match="unet: got Linear, expected"):
        find_blocks(nn.Linear(2, 2))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("processor", [None, AttnProcessor])
@pytest.mark.parametrize("name", UNETS)
def test_recorded_is_naive_and_output_is_stock(name, processor, device):
    source = tiny_source(name)
    source.unet.to(device), source.vae.to(device)
    entered, left, _ = stock_pass(source, rand(2, 3, 48, 96))
    for layer, x in entered.items():
        recorder = RecordingProcessor(processor() if processor else layer.processor)
        assert_close(recorder(layer, x), left[layer], atol=1e-5, rtol=1e-5)
        assert_close(recorder.total, naive(layer, x).float(), atol=1e-5, rtol=1e-4)
        assert recorder.total.dtype == torch.float32


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(1, 200), st.integers(0, 99))
def test_chunks_change_nothing(batch, n, chunk, seed):
    layer = layers_of(tiny_unet())[0 if seed % 2 else -1]
    x = rand(batch, n, layer.to_q.in_features, seed=seed)
    parts, whole = RecordingProcessor(layer.processor, chunk), RecordingProcessor(layer.processor, 10**9)
    assert_close(parts(layer, x), whole(layer, x))
    assert_close(parts.total, whole.total, atol=1e-6, rtol=1e-5)
    assert_close(parts.total.sum(-1), torch.ones(batch, n))


def test_memory_is_that_of_the_result():
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            made = [x.numel() for x in (out if isinstance(out, tuple) else (out,)) if isinstance(x, torch.Tensor)]
            self.size = max([self.size, *made])
            return out

    layer = find_blocks(tiny_unet())["down2"][1][0]
    assert layer.heads == 4
    recorder = RecordingProcessor(lambda attn, x, *args, **kwargs: x, chunk=128)
    with Largest() as largest:
        recorder(layer, rand(1, 256, 16))
    assert largest.size == 256 * 256


@pytest.mark.parametrize("name", UNETS)
def test_blocks_notice_nothing_and_all_is_put_back(name):
    source = tiny_source(name)
    images = rand(1, 3, 64, 64)
    entered, left, painted = stock_pass(source, images)
    layers, kept, outs = layers_of(source.unet), [], {}
    before = [layer.processor for layer in layers]
    hooks = [layer.register_forward_hook(lambda m, args, out: outs.update({m: out})) for layer in layers]
    hooks.append(source.unet.conv_out.register_forward_hook(lambda m, args, out: kept.append(out)))
    with recording(layers, source.unet.conv_out) as recorders:
        source.unet(source.encode(images), 0, encoder_hidden_states=source.prompt)
    for hook in hooks:
        hook.remove()
    assert_close(kept[0], painted, atol=1e-5, rtol=1e-5)
    for layer, recorder in zip(layers, recorders):
        assert_close(outs[layer], left[layer], atol=1e-5, rtol=1e-5)
        assert_close(recorder.total, naive(layer, entered[layer]).float(), atol=1e-5, rtol=1e-4)
    assert all(layer.processor is stock for layer, stock in zip(layers, before))
    assert hooks_of(source.unet) == 0


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, StopIteration])
def test_all_is_put_back_after_a_failure_inside(error):
    source, images = tiny_source(), rand(1, 3, 64, 64)
    layers, want = layers_of(source.unet), stock_pass(source, images)[2]
    before = [layer.processor for layer in layers]

    def fail(*_):
        assert any(isinstance(layer.processor, RecordingProcessor) for layer in layers)
        raise error("inside")

    hook = source.unet.mid_block.register_forward_hook(fail)
    with pytest.raises((error, RuntimeError), match="inside|StopIteration"):
        source(images, (4, 4))
    hook.remove()
    assert all(layer.processor is stock for layer, stock in zip(layers, before))
    assert hooks_of(source.unet) == 0
    assert_close(stock_pass(source, images)[2], want, atol=0, rtol=0)


def test_processors_that_are_modules_are_put_back():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, attn, hidden_states, *args, **kwargs):
            return self.weight * hidden_states

    source = tiny_source()
    layer = find_blocks(source.unet)["up0"][1][0]
    own = Module()
    layer.set_processor(own)
    names = set(source.unet.state_dict())
    source(rand(1, 3, 64, 64), (4, 4))
    assert layer.processor is own and set(source.unet.state_dict()) == names


@pytest.mark.parametrize("name", NAMES["like SD 2"])
def test_the_unet_stops(name):
    source, ran = tiny_source(), []
    hooks = [m.register_forward_pre_hook(lambda m, args, n=n: ran.append(n)) for n, m in source.unet.named_modules()]
    stock_pass(source, rand(1, 3, 64, 64))
    whole, ran[:] = list(ran), []
    source.block_attention(rand(1, 3, 64, 64), [name])
    for hook in hooks:
        hook.remove()
    last = next(n for n, m in source.unet.named_modules() if m is source.blocks[name][1][-1])
    end = max(i for i, n in enumerate(whole) if n.startswith(last))
    behind = set(whole[end + 1 :]) - set(whole[: end + 1])
    assert behind and not behind & set(ran)
    assert last in ran and "conv_out" not in ran


def test_gradients_reach_the_layers_through_what_is_recorded():
    source = tiny_source()
    layers = source.blocks["up1"][1]
    for p in layers[0].parameters():
        p.requires_grad_(True)
    with recording(layers, source.blocks["up1"][0]) as recorders:
        source.unet(source.encode(rand(1, 3, 64, 64)), 0, encoder_hidden_states=source.prompt)
    recorders[0].total.square().sum().backward()
    assert layers[0].to_q.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", UNETS)
def test_blocks_are_means_and_merged(name, device):
    source = tiny_source(name)
    source.unet.to(device), source.vae.to(device)
    images = rand(2, 3, 64, 128)
    entered, _, _ = stock_pass(source, images)
    found, latent = source.block_attention(images, NAMES[name]), source.encode(images).shape[-2:]
    assert list(found) == NAMES[name]
    for block, (attention, grid) in found.items():
        want = torch.stack([naive(layer, entered[layer]) for layer in source.blocks[block][1]]).mean(0).float()
        assert_close(attention, want, atol=1e-5, rtol=1e-4)
        assert grid[0] * grid[1] == attention.shape[-1] and latent[0] * grid[1] == latent[1] * grid[0]
        assert_close(attention.sum(-1), torch.ones_like(attention[..., 0]))
    merged = source(images, (3, 7))
    assert_close(merged, merge_attention(found, source.weights, (3, 7)), atol=1e-6, rtol=1e-5)
    assert merged.shape == (2, 21, 21) and not merged.requires_grad
    assert_close(merged.sum(-1), torch.ones_like(merged[..., 0]))


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (300, 7), (1, 1)])
def test_any_size_one_by_one(size):
    source, images = tiny_source(), rand(3, 3, *size)
    together = source(images, (4, 5))
    assert_close(together, torch.cat([source(image[None], (4, 5)) for image in images]), atol=1e-5, rtol=1e-4)
    assert_close(together.sum(-1), torch.ones(3, 20))


def test_latents_are_means_without_noise_times_the_factor():
    source, images = tiny_source(), rand(2, 3, 64, 64)
    want = source.vae.encode(images * 2 - 1).latent_dist.mode() * 0.7
    assert_close(source.encode(images), want)
    assert torch.equal(source.encode(images), source.encode(images.double()))
    assert source.multiple == 2 * 8  # the autoencoder halves once, the UNet three times


def test_the_time_step_and_the_prompt_count():
    first, images = tiny_source(), rand(1, 3, 64, 64)
    later, told = tiny_source(timestep=900), tiny_source()
    told.prompt = rand(1, 5, 8, seed=7)
    for other in (later, told):
        assert not torch.equal(other(images, (8, 8)), first(images, (8, 8)))
    assert torch.equal(tiny_source()(images, (8, 8)), first(images, (8, 8)))


def test_half_precision_models():
    source, images = tiny_source(), rand(1, 3, 64, 64)
    want = source(images, (8, 8))
    for parts in (("unet",), ("unet", "vae")):
        half = tiny_source()
        for part in parts:
            getattr(half, part).bfloat16()
        got = half(images, (8, 8))
        assert got.dtype == torch.float32
        assert_close(got, want, atol=0.02, rtol=0)
        assert_close(got.sum(-1), torch.ones(1, 64))


def test_models_are_put_into_evaluation_mode():
    unet, vae = tiny_unet().train(), tiny_vae().train()
    DiffusionAttention(unet, vae, rand(1, 5, 8))
    assert not unet.training and not vae.training


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.full((1, 3, 4, 4), math.nan), "images: 48 of 48 values are NaN"),
        (torch.full((1, 3, 4, 4), 1.5), "images: values lie in"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "images: expected a floating-point"),
        (torch.zeros(3, 4, 4), "images: expected 4 axes, got 3"),
        (torch.zeros(0, 3, 4, 4), "images: b is 0"),
        ("page.png", "images: expected a torch.Tensor, got str"),
    ],
)
def test_refused_images(images, message):
    with pytest.raises(ValueError, match=message):
        tiny_source()(images, (4, 4))


@pytest.mark.parametrize("weights", [{}, {"up9": 1.0}, {"up0": 1.0, "top": 0.0}, {"attn1": 1.0}])
def test_refused_weights(weights):
    with pytest.raises(ValueError, match="weights: got .* expected some of the blocks of this UNet: down0, down1"):
        tiny_source(weights=weights)


@pytest.mark.parametrize("weights", [{"up0": -1.0}, {"up0": 0.0}, {"up0": math.nan}])
def test_weights_that_weigh_nothing(weights):
    with pytest.raises(ValueError, match="weights: got"):
        tiny_source(weights=weights)(rand(1, 3, 64, 64), (4, 4))


@pytest.mark.parametrize("names", [[], ["up9"], "up0", ["up0", "x"]])
def test_refused_names(names):
    with pytest.raises(ValueError, match="names: got"):
        tiny_source().block_attention(rand(1, 3, 64, 64), names)


@pytest.mark.parametrize("prompt", [torch.zeros(5, 8), torch.zeros(2, 5, 8), None])
def test_refused_prompt(prompt):
    with pytest.raises(ValueError, match="prompt: "):
        DiffusionAttention(tiny_unet(), tiny_vae(), prompt)


def test_refused_side():
    with pytest.raises(ValueError, match="side: got 0"):
        tiny_source(side=0)(rand(1, 3, 8, 8), (2, 2))


def test_layers_that_never_run_are_noticed():
    source = tiny_source(weights={"down0": 1.0, "up0": 1.0})
    source.blocks["down0"] = find_blocks(tiny_unet(seed=1))["down0"]  # of another model
    with pytest.raises(RuntimeError, match="not all attention of down0, up0 has run"):
        source(rand(1, 3, 64, 64), (4, 4))

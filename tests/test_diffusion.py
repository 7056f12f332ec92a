"Recording the self-attention of small UNets of several shapes, with random weights."
import math

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from test_clip import REFUSED_IMAGES, hooks_of
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from watching import Largest

from dotseg.method.attention import merge_attention
from dotseg.models.diffusion import SD2_UNET, SD2_VAE, DiffusionAttention, RecordingProcessor, find_blocks, recording

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no Apple GPU")),
]
D, U, PLAIN_D, PLAIN_U = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "DownBlock2D", "UpBlock2D"
UNETS = {
    "SD 1": dict(down_block_types=(D, D, D, PLAIN_D), up_block_types=(PLAIN_U, U, U, U), block_out_channels=(8, 8, 16, 16), use_linear_projection=False),
    "SD 2": dict(down_block_types=(D, D, D, PLAIN_D), up_block_types=(PLAIN_U, U, U, U), block_out_channels=(8, 8, 16, 16), attention_head_dim=(1, 2, 4, 4)),
    "XL": dict(
        down_block_types=(PLAIN_D, D, D), up_block_types=(U, U, PLAIN_U), block_out_channels=(8, 8, 16), attention_head_dim=(1, 2, 4),
        transformer_layers_per_block=(1, 2, 3), addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=10 + 6 * 4),
    "no middle": dict(down_block_types=(D, PLAIN_D), up_block_types=(PLAIN_U, U), block_out_channels=(8, 8), mid_block_type=None),
}
NAMES = {
    "SD 1": ["down0", "down1", "down2", "mid", "up0", "up1", "up2"],
    "SD 2": ["down0", "down1", "down2", "mid", "up0", "up1", "up2"],
    "XL": ["down0", "down1", "mid", "up0", "up1"],
    "no middle": ["down0", "up0"],
}


def tiny_unet(name="SD 2", seed=0, **options):
    torch.manual_seed(seed)
    options = dict(attention_head_dim=2, norm_num_groups=4, cross_attention_dim=8, layers_per_block=1, use_linear_projection=True) | UNETS[name] | options
    unet = UNet2DConditionModel(**options).eval().requires_grad_(False)
    for layer in (m for n, m in unet.named_modules() if n.endswith("attn1")):
        layer.to_q.weight *= 3  # attention that is not all alike
    return unet


def tiny_vae(seed=0, **options):
    torch.manual_seed(seed)
    kinds = dict(down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2) | options
    return AutoencoderKL(block_out_channels=(4, 8), latent_channels=4, norm_num_groups=2, scaling_factor=0.7, **kinds).eval().requires_grad_(False)


def rand(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny_source(name="SD 2", weights=None, **options):
    weights = {block: 0.5 for block in NAMES[name][-2:]} if weights is None else weights
    pooled = rand(1, 10, seed=3) if name == "XL" else None
    return DiffusionAttention(tiny_unet(name), tiny_vae(), rand(1, 5, 8), weights, **{"image_size": 64, "pooled": pooled} | options)


def layers_of(unet):
    return [layer for _, layers in find_blocks(unet).values() for layer in layers]


def naive(layer, x):
    "The mean over heads of all (heads, n, n) probabilities, in double precision."
    q, k = ((x.double() @ p.weight.double().T).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for p in (layer.to_q, layer.to_k))
    full = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
    return (full / full.sum(-1, keepdim=True)).mean(1)


def told(source, latent):
    "What an XL UNet is told besides: the summary of the prompt, and the image's size before, where it was cropped, and its size now."
    if source.pooled is None:
        return None
    h, w = 2 * latent.shape[-2], 2 * latent.shape[-1]  # the tiny autoencoder halves once
    sizes = torch.tensor([[h, w, 0, 0, h, w]] * len(latent), dtype=torch.float32, device=latent.device)
    return {"text_embeds": source.pooled.to(latent).repeat(len(latent), 1), "time_ids": sizes}


def stock_pass(source, images):
    "What enters and leaves each self-attention layer, and what is painted, in a pass that nobody has touched."
    latent, entered, left = source.encode(images), {}, {}
    hooks = [layer.register_forward_pre_hook(lambda m, args: entered.update({m: args[0]})) for layer in layers_of(source.unet)]
    hooks += [layer.register_forward_hook(lambda m, args, out: left.update({m: out})) for layer in layers_of(source.unet)]
    prompt = source.prompt.to(latent).expand(len(latent), -1, -1)
    painted = source.unet(latent, source.timestep, encoder_hidden_states=prompt, added_cond_kwargs=told(source, latent)).sample
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
    source, ran = tiny_source("XL"), []
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
        if processor:
            layer.set_processor(processor())
        recorder = RecordingProcessor([layer])
        assert_close(recorder(layer, x), left[layer], atol=1e-5, rtol=1e-5)
        assert_close(recorder.total, naive(layer, x).float(), atol=1e-5, rtol=0)
        assert recorder.total.dtype == torch.float32


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(1, 200), st.integers(0, 99))
def test_chunks_change_nothing(batch, n, chunk, seed):
    layer = layers_of(tiny_unet())[0 if seed % 2 else -1]
    x = rand(batch, n, layer.to_q.in_features, seed=seed)
    parts, whole = RecordingProcessor([layer], chunk), RecordingProcessor([layer], 10**9)
    assert_close(parts(layer, x), whole(layer, x))
    assert_close(parts.total, whole.total, atol=1e-6, rtol=0)
    assert_close(parts.total.sum(-1), torch.ones(batch, n))


def test_memory_is_that_of_the_result():
    layer = find_blocks(tiny_unet())["down2"][1][0]
    assert layer.heads == 4
    layer.set_processor(lambda attn, x, *args, **kwargs: x)
    recorder = RecordingProcessor([layer], chunk=128)
    with Largest() as largest:
        recorder(layer, rand(1, 256, 16))
    assert largest.size == 256 * 256


@pytest.mark.parametrize("names, grid", [(["up0", "up1"], 32), (["up1"], 32), (["mid"], 8), (["up2"], 64)])
def test_no_matrix_at_a_level_that_is_not_tapped(names, grid):
    unet = tiny_unet(attention_head_dim=(2, 2, 4, 4))  # heads, of which the finest level has two
    source = DiffusionAttention(unet, tiny_vae(), rand(1, 5, 8), dict.fromkeys(names, 1.0), chunk=256)
    with Largest() as largest:
        source.attend(rand(1, 4, 64, 64))  # as in SD 2 at 512 pixels: 4096 patches at the finest level
    features = 64 * 64**2  # at the finest level, inside its feed-forward layers
    assert largest.size == max(grid**4, features)


def test_layers_of_a_block_share_one_matrix():
    source = tiny_source("XL")
    entered, _, _ = stock_pass(source, rand(2, 3, 64, 64))
    layers = source.blocks["up0"][1]
    assert len(layers) == 6
    with recording([layers], layers[-1]) as (together,):
        latent = source.encode(rand(2, 3, 64, 64))
        source.unet(latent, 0, source.prompt.expand(2, -1, -1), added_cond_kwargs=told(source, latent))
    assert together.layers_run == 6
    assert_close(together.total, torch.stack([naive(layer, entered[layer]) for layer in layers]).mean(0).float(), atol=1e-5, rtol=0)


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
        latent = source.encode(images)
        source.unet(latent, 0, encoder_hidden_states=source.prompt, added_cond_kwargs=told(source, latent))
    for hook in hooks:
        hook.remove()
    assert_close(kept[0], painted, atol=1e-5, rtol=1e-5)
    for layer, recorder in zip(layers, recorders):
        assert_close(outs[layer], left[layer], atol=1e-5, rtol=1e-5)
        assert_close(recorder.total, naive(layer, entered[layer]).float(), atol=1e-5, rtol=0)
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


@pytest.mark.parametrize("name", NAMES["SD 2"])
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
    for groups in (layers, [layers]):
        with recording(groups, source.blocks["up1"][0]) as recorders:
            source.unet(source.encode(rand(1, 3, 64, 64)), 0, encoder_hidden_states=source.prompt)
        recorders[0].total.square().sum().backward()
        assert layers[0].to_q.weight.grad.abs().sum() > 0
        layers[0].to_q.weight.grad = None


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
        assert_close(attention, want, atol=1e-5, rtol=0)
        assert grid[0] * grid[1] == attention.shape[-1] and latent[0] * grid[1] == latent[1] * grid[0]
        assert_close(attention.sum(-1), torch.ones_like(attention[..., 0]))
    merged = source(images, (3, 7))
    assert_close(merged, merge_attention(found, source.weights, (3, 7)), atol=1e-6, rtol=1e-5)
    assert merged.shape == (2, 21, 21) and not merged.requires_grad
    assert_close(merged.sum(-1), torch.ones_like(merged[..., 0]))


class Whole:
    "diffusers' unfused attention, in its own words, which keeps all (b * heads, n, n) probabilities."

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (attn.head_to_batch_dim(x) for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)))
        self.scores = attn.get_attention_scores(q, k, attention_mask)
        return attn.to_out[0](attn.batch_to_head_dim(self.scores @ v))


@pytest.mark.parametrize("size", [(64, 64), (48, 96)])
@pytest.mark.parametrize("name", UNETS)
def test_the_same_as_naive_attention_in_a_whole_unet_in_double_precision(name, size):
    source, images = tiny_source(name), rand(2, 3, *size)
    latent, found = source.encode(images), source.block_attention(images, NAMES[name])
    twin, extra = tiny_unet(name).double(), told(source, latent)
    twin.set_attn_processor({key: Whole() for key in twin.attn_processors})
    twin(latent.double(), 0, source.prompt.double().expand(2, -1, -1), added_cond_kwargs=extra and {key: x.double() for key, x in extra.items()})
    for block, (_, layers) in find_blocks(twin).items():
        want = torch.stack([layer.processor.scores.unflatten(0, (2, -1)).mean(1) for layer in layers]).mean(0)
        assert_close(found[block][0].double(), want, atol=1e-5, rtol=0)
    exact = DiffusionAttention(tiny_unet(name).double(), tiny_vae().double(), source.prompt, source.weights, image_size=64, pooled=source.pooled)
    got = exact.attend(latent, NAMES[name])
    for block, (_, layers) in find_blocks(twin).items():
        want = torch.stack([layer.processor.scores.unflatten(0, (2, -1)).mean(1) for layer in layers]).mean(0)
        assert got[block][0].dtype == torch.float64
        assert_close(got[block][0], want, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (300, 7), (1, 1)])
def test_any_size_one_by_one(size):
    source, images = tiny_source(), rand(3, 3, *size)
    together = source(images, (4, 5))
    assert_close(together, torch.cat([source(image[None], (4, 5)) for image in images]), atol=1e-5, rtol=0)
    assert_close(together.sum(-1), torch.ones(3, 20))


@pytest.mark.parametrize("options", [{}, {"use_quant_conv": False, "use_post_quant_conv": False}])
def test_latents_are_means_without_noise_times_the_factor(options):
    vae, images = tiny_vae(**options), rand(2, 3, 64, 64)
    source = DiffusionAttention(tiny_unet(), vae, rand(1, 5, 8), image_size=64)
    coded = vae.encoder(images * 2 - 1)
    want = (coded if options else vae.quant_conv(coded))[:, :4] * 0.7  # the other four channels are the spread
    assert_close(source.encode(images), want)
    assert_close(source.encode(images), vae.encode(images * 2 - 1).latent_dist.mode() * 0.7)
    assert torch.equal(source.encode(images), source.encode(images.double()))
    assert source.multiple == 2 * 8  # the autoencoder halves once, the UNet three times


def test_the_tiny_autoencoder_gives_what_the_unet_is_shown():
    torch.manual_seed(0)
    vae, images = AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).requires_grad_(False), rand(2, 3, 64, 128)
    source = DiffusionAttention(tiny_unet(), vae, rand(1, 5, 8), image_size=90)
    assert source.multiple == 8 * 8
    assert_close(source.encode(images), vae.encoder.layers(images), atol=1e-6, rtol=1e-5)  # which takes [0, 1]
    assert {name: grid for name, (_, grid) in source.block_attention(images).items()} == {"up0": (2, 4), "up1": (4, 8)}


def test_a_latent_that_overflows_is_refused():
    vae = tiny_vae()
    vae.quant_conv.weight *= 1e6
    source = DiffusionAttention(tiny_unet(), vae, rand(1, 5, 8), image_size=64)
    assert source(rand(1, 3, 64, 64), (4, 4)).isfinite().all()
    vae.half()
    with pytest.raises(ValueError, match="vae: its latent is not finite in torch.float16; use it in torch.float32"):
        source(rand(1, 3, 64, 64), (4, 4))


def test_the_time_step_and_the_prompt_count():
    first, images = tiny_source(), rand(1, 3, 64, 64)
    later, told = tiny_source(timestep=900), tiny_source()
    told.prompt = rand(1, 5, 8, seed=7)
    for other in (later, told):
        assert not torch.equal(other(images, (8, 8)), first(images, (8, 8)))
    assert torch.equal(tiny_source()(images, (8, 8)), first(images, (8, 8)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["SD 1", "SD 2", "XL"])
def test_half_precision_models(name, dtype, device):
    source, images = tiny_source(name), rand(1, 3, 64, 64)
    want = source(images, (8, 8))
    for parts in (("unet",), ("unet", "vae")):
        half = tiny_source(name)
        half.unet.to(device), half.vae.to(device)
        for part in parts:
            getattr(half, part).to(dtype)
        got = half(images, (8, 8)).cpu()
        assert got.dtype == torch.float32
        assert_close(got, want, atol=0.02, rtol=0)
        assert_close(got.sum(-1), torch.ones(1, 64))


def test_scores_too_large_for_half_precision():
    layer = layers_of(tiny_unet())[0].half()
    layer.to_q.weight.mul_(2000)
    layer.to_k.weight.mul_(2000)
    x = rand(1, 16, 8).half()
    q, k = layer.to_q(x), layer.to_k(x)
    assert q.isfinite().all() and k.isfinite().all() and not (q @ k.mT).isfinite().all()
    recorder = RecordingProcessor([layer])
    recorder(layer, x)
    assert_close(recorder.total.sum(-1), torch.ones(1, 16))


def test_models_are_put_into_evaluation_mode():
    unet, vae = tiny_unet().train(), tiny_vae().train()
    DiffusionAttention(unet, vae, rand(1, 5, 8))
    assert not unet.training and not vae.training


@pytest.mark.parametrize("images, message", REFUSED_IMAGES)
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


def test_what_it_is_can_be_read_off():
    source = tiny_source(weights={"up0": 1, "mid": 0.5}, timestep=7, chunk=64)
    assert (source.weights, source.timestep, source.image_size, source.chunk) == ({"up0": 1, "mid": 0.5}, 7, 64, 64)


@pytest.mark.parametrize("name", ["SD 2", "XL"])
def test_the_size_and_the_summary_count_for_xl_alone(name):
    if name == "SD 2":
        with pytest.raises(ValueError, match="pooled: got Tensor, expected the pooled embedding of the empty prompt for an XL UNet, and None"):
            tiny_source(name, pooled=rand(1, 10))
        return
    source, latent = tiny_source(name), rand(1, 4, 32, 32)
    want = source.attend(latent)["up0"][0]
    source.shrink = 16  # the same latent, of a larger image
    assert not torch.equal(source.attend(latent)["up0"][0], want)
    source.shrink, source.pooled = 2, rand(1, 10, seed=4)
    assert not torch.equal(source.attend(latent)["up0"][0], want)
    with pytest.raises(ValueError, match="pooled: got NoneType, expected the pooled"):
        tiny_source(name, pooled=None)
    with pytest.raises(ValueError, match="pooled: 10 is 9|pooled: .*expected 10"):
        tiny_source(name, pooled=rand(1, 9))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(class_embed_type="timestep"), r"unet: it is conditioned on \['timestep'\], expected a UNet of Stable Diffusion 1, 2 or XL"),
        (dict(addition_embed_type="text"), r"unet: it is conditioned on \['text'\]"),
        (dict(in_channels=9), "unet: it takes 9 channels, but the autoencoder gives 4; take both from one model"),
    ],
)
def test_refused_unets(options, message):
    options = options | ({"addition_embed_type_num_heads": 2} if "addition_embed_type" in options else {})
    with pytest.raises(ValueError, match=message):
        DiffusionAttention(tiny_unet(**options), tiny_vae(), rand(1, 5, 8))


def test_attention_to_the_prompt_does_not_count():
    unet = tiny_unet(only_cross_attention=(True, True, False, False))
    assert list(find_blocks(unet)) == ["down0", "mid", "up0"]


@pytest.mark.parametrize("timestep", [-1, 1000, 0.5, math.nan])
def test_refused_time_steps(timestep):
    with pytest.raises(ValueError, match="timestep: got .*, expected an integer from 0 to 999"):
        tiny_source(timestep=timestep)
    with pytest.raises(ValueError, match="timestep: got 50, expected an integer from 0 to 49"):
        tiny_source(timestep=50, steps=50)


def test_cost_of_stable_diffusion_2():
    def giga(run, *args):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run(*args)
        return counter.get_total_flops() / 2e9

    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**SD2_UNET), AutoencoderKL(**SD2_VAE)
        source, latent = DiffusionAttention(unet, vae, torch.empty(1, 77, 1024)), torch.empty(1, 4, 64, 64)
        images = torch.empty(1, 3, 512, 512)
        assert giga(source.attend, latent) < 290 < 402 < giga(unet, latent, 0, source.prompt)
        assert 558 < giga(vae.encode, images) < 559
        assert 61 < giga(AutoencoderTiny().encode, images) < 62
    assert sum(p.numel() for p in unet.parameters()) == 865_910_724  # as published
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    assert source.multiple == 64


@pytest.mark.parametrize("prompt", [torch.zeros(5, 8), torch.zeros(2, 5, 8), None])
def test_refused_prompt(prompt):
    with pytest.raises(ValueError, match="prompt: "):
        DiffusionAttention(tiny_unet(), tiny_vae(), prompt)


def test_refused_image_size():
    with pytest.raises(ValueError, match="image_size: got 0"):
        tiny_source(image_size=0)(rand(1, 3, 8, 8), (2, 2))


def test_layers_that_never_run_are_noticed():
    source = tiny_source(weights={"down0": 1.0, "up0": 1.0})
    source.blocks["down0"] = find_blocks(tiny_unet(seed=1))["down0"]  # of another model
    with pytest.raises(RuntimeError, match="not all attention layers of down0, up0 have run"):
        source(rand(1, 3, 64, 64), (4, 4))

"The vision tower, dense logits and attention, on small CLIPs of several shapes with random weights."
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD, get_tokenizer
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, convert_weights_to_lp
from torch.testing import assert_close

from dotseg.miniature.embedded import MiniatureTokenizer, build_clip
from dotseg.models.clip import INTERPOLATION, LAST_ATTENTION, ClipAttention, ClipLogits, VisionTower, encode_once, last_block, self_attention, share_tower
from dotseg.models.prompts import PromptEncoder
from dotseg.models.sources import fit_grid, resize_images

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
VISIONS = {
    "square": dict(image_size=24, patch_size=4),
    "wide": dict(image_size=(16, 24), patch_size=8),
    "layer scale": dict(image_size=16, patch_size=4, ls_init_value=0.3),
    "mean pool": dict(image_size=16, patch_size=4, pool_type="avg"),
}
CLASSES = ["sky", "a house", "tree"]
TOKENIZE = get_tokenizer("ViT-B-16")


def tiny(vision="square", seed=0, context=77, **options):
    torch.manual_seed(seed)
    vision = CLIPVisionCfg(layers=3, width=32, head_width=16, **VISIONS[vision])
    model = CLIP(8, vision, CLIPTextCfg(context_length=context, width=16, heads=2, layers=1), **options)
    for p in model.visual.parameters():  # away from the zeros and ones that layers start with
        p.data += 0.1 * torch.randn_like(p)
    return model.eval().requires_grad_(False)


def pictures(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def hooks_of(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


# images


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 1024), st.sampled_from([8, 14, 16, 64]))
def test_fit_grid(height, width, image_size, multiple):
    h, w = fit_grid((height, width), image_size, multiple)
    assert h % multiple == w % multiple == 0 and h >= multiple and w >= multiple
    ratio = min(max(height / width, 0.25), 4)
    assert abs(h - image_size * math.sqrt(ratio)) <= multiple and abs(w - image_size / math.sqrt(ratio)) <= multiple
    assert fit_grid((width, height), image_size, multiple) == (w, h)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("device", DEVICES)
def test_resize_images(dtype, device):
    images = (pictures(2, 3, 40, 20) > 0.5).to(device, dtype)  # hard edges, so that bicubic overshoots
    resized = resize_images(images, 64, 8)
    assert resized.shape == (2, 3, 88, 48) and resized.device.type == device
    assert resized.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert resized.amin() >= 0 and resized.amax() <= 1
    assert_close(resize_images(images, 28, 20), images.to(resized))


REFUSED_IMAGES = [  # by `resize_images`, which every source begins with
    (torch.full((1, 3, 4, 4), math.nan), "images: 48 of 48 values are NaN"),
    (torch.full((1, 3, 4, 4), math.inf), "images: got infinite"),
    (torch.full((1, 3, 4, 4), 1.5), "images: values lie in"),
    (torch.full((1, 3, 4, 4), -0.1), "images: values lie in"),
    (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "images: expected a floating-point"),
    (torch.zeros(3, 4, 4), "images: expected 4 axes, got 3"),
    (torch.zeros(1, 4, 4, 3), "images: 3 is 4, expected 3"),
    (torch.zeros(0, 3, 4, 4), "images: b is 0"),
    (torch.zeros(1, 3, 4, 0), "images: W is 0"),
    ([[0.0]], "images: expected a torch.Tensor, got list"),
]


@pytest.mark.parametrize("images, message", REFUSED_IMAGES)
def test_refused_images(images, message):
    model = tiny()
    for call in (lambda: resize_images(images, 16, 4), lambda: ClipLogits(model, TOKENIZE)(images, ["sky"]), lambda: ClipAttention(model)(images, (2, 2))):
        with pytest.raises(ValueError, match=message):
            call()
    assert hooks_of(model) == 0


# the vision tower


def last_output(tower, inputs):
    "What the stock last block, which the tower leaves out, makes of its input."
    block, x = tower.blocks[-1], inputs[-1]
    return block(x) if tower.visual.transformer.batch_first else block(x.transpose(0, 1)).transpose(0, 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("vision", VISIONS)
def test_as_trained_it_is_the_stock_model(vision, device):
    model = tiny(vision).to(device)
    tower, native = VisionTower(model), model.visual.image_size
    images = pictures(2, 3, *native).to(device)
    image_size = round(math.sqrt(native[0] * native[1]))
    inputs, grid = tower(images, image_size)
    output = last_output(tower, inputs)
    prepared = (images - tower.mean.to(device)) / tower.std.to(device)
    stock = model.visual.forward_intermediates(prepared, output_fmt="NLC", output_extra_tokens=True)
    every = [torch.cat(pair, 1) for pair in zip(stock["image_intermediates_prefix"], stock["image_intermediates"])]
    assert grid == tuple(model.visual.grid_size)
    for ours, theirs in zip([*inputs[1:], output], every):
        assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    for block, x, want in zip(tower.blocks, inputs, every):
        assert_close(last_block(block, x, self_attention(block, x, "qk")), want, atol=1e-5, rtol=1e-5)
    if vision != "mean pool":
        assert_close(tower.project(output)[:, 0], model.encode_image(prepared, normalize=True), atol=1e-5, rtol=0)
    logits = ClipLogits(model, TOKENIZE, "origin", image_size=image_size)(images, CLASSES)
    patches = F.normalize(model.visual.ln_post(every[-1][:, 1:]) @ model.visual.proj, dim=-1)
    want = (patches @ PromptEncoder(model, TOKENIZE)(CLASSES).T).mT.unflatten(-1, grid)
    assert_close(logits, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("interpolation", INTERPOLATION)
def test_positions(interpolation):
    for vision, own in (("square", (6, 6)), ("wide", (2, 3))):
        tower = VisionTower(tiny(vision), interpolation)
        table = tower.visual.positional_embedding
        assert tower.positions(own) is table
        other = tower.positions((4, 7))
        assert other.shape == (29, 32) and torch.equal(other[0], table[0])
        flat = table.clone()
        flat[1:] = table[5]  # a table that says nothing stays as it is
        tower.visual.positional_embedding.data = flat
        assert_close(tower.positions((4, 7))[1:], table[5].expand(28, -1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("where", ["first", "last"])
def test_hooks_and_positions_are_put_back(where):
    model = tiny()
    tower, table = VisionTower(model), model.visual.positional_embedding
    images = pictures(1, 3, 24, 48)
    want = tower(images, 24)[0][-1]

    def fail(*_):
        raise KeyboardInterrupt  # not even an Exception

    hook = tower.blocks[0 if where == "first" else -2].mlp.register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        tower(images, 24)
    hook.remove()
    assert hooks_of(model) == 0 and model.visual.positional_embedding is table
    assert_close(tower(images, 24)[0][-1], want)
    assert hooks_of(model) == 0


def test_statistics_of_the_checkpoint_are_used():
    model, images = tiny(), pictures(1, 3, 24, 24)
    assert_close(VisionTower(model).mean.flatten(), torch.tensor(OPENAI_DATASET_MEAN))
    assert_close(VisionTower(model).std.flatten(), torch.tensor(OPENAI_DATASET_STD))
    model.visual.image_mean, model.visual.image_std = (0.5, 0.4, 0.3), (0.5, 0.6, 0.7)  # as open_clip notes them on the model
    got = last_output(VisionTower(model), VisionTower(model)(images, 24)[0])
    prepared = (images - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    want = model.visual.forward_intermediates(prepared, output_fmt="NLC")["image_intermediates"][-1]
    assert_close(got[:, 1:], want, atol=1e-5, rtol=1e-5)


def test_the_tower_is_put_into_evaluation_mode():
    model = build_clip().train()
    ClipLogits(model, MiniatureTokenizer())
    assert not model.visual.training  # the stem of the miniature has batch statistics
    count = model.visual.conv1[1].num_batches_tracked.clone()
    VisionTower(model)(pictures(2, 3, 128, 128), 128)
    assert model.visual.conv1[1].num_batches_tracked == count


@pytest.mark.parametrize(
    "vision",
    [
        dict(layers=(1, 1, 1, 1), width=16, image_size=32),
        dict(layers=1, width=16, head_width=16, patch_size=8, image_size=16, attentional_pool=True),
        dict(layers=1, width=16, head_width=16, patch_size=8, image_size=16, qk_norm=True),
    ],
)
def test_other_towers_are_refused(vision):
    model = CLIP(8, CLIPVisionCfg(**vision), CLIPTextCfg(context_length=8, vocab_size=9, width=16, heads=1, layers=1))
    for make in (VisionTower, ClipAttention, lambda m: ClipLogits(m, TOKENIZE)):
        with pytest.raises(ValueError, match="model: its vision tower is"):
            make(model)
    with pytest.raises(ValueError, match="model: its vision tower is NoneType"):
        VisionTower(torch.nn.Linear(2, 2))


# logits and attention


def by_loops(tower, inputs, kind, added=0.0):
    "(blocks, heads, t, t) of one image in double precision, `added` to the scores."
    found = []
    for block, x in zip(tower.blocks, inputs):
        attn, each = block.attn, []
        x = F.layer_norm(x[0].double(), x.shape[-1:], block.ln_1.weight.double(), block.ln_1.bias.double(), block.ln_1.eps)
        d = attn.embed_dim // attn.num_heads
        for h in range(attn.num_heads):
            q, k = (x @ attn.in_proj_weight[i : i + d].double().T + attn.in_proj_bias[i : i + d].double() for i in (h * d, attn.embed_dim + h * d))
            a, b = {"origin": (q, k), "qk": (q, k), "qq": (q, q)}.get(kind, (k, k))
            weights = torch.exp(a @ b.T / d**0.5 + added)
            each.append(torch.stack([row / row.sum() for row in weights]))
        found.append(torch.stack(each))
    return torch.stack(found)


def naclips_window(h, w, std=5.0):
    "As NACLIP makes it: a Gaussian on a grid of twice the size, of which each patch sees the part that it is the middle of."
    y, x = torch.arange(1 - h, h, dtype=torch.float64), torch.arange(1 - w, w, dtype=torch.float64)
    window = torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * std**2))
    rows = [window[h - 1 - i : 2 * h - 1 - i, w - 1 - j : 2 * w - 1 - j].flatten() for i in range(h) for j in range(w)]
    return F.pad(torch.stack(rows), (1, 0, 1, 0))


@pytest.mark.parametrize("kind", LAST_ATTENTION)
@pytest.mark.parametrize("vision", VISIONS)
def test_last_attention(vision, kind):
    source = ClipLogits(tiny(vision), TOKENIZE, kind)
    inputs, grid = source.tower(pictures(1, 3, 20, 36), source.image_size)
    got = source.last_attention(inputs, grid)[0]
    if kind == "identity":
        want = torch.eye(got.shape[-1], dtype=torch.float64)[None]
    elif kind == "qq_kk":
        want = by_loops(source.tower, inputs, "qq")[-1] + by_loops(source.tower, inputs, "kk")[-1]
    elif kind == "kk_heads":
        want = by_loops(source.tower, inputs, "kk").mean(0)
        want[:, 0], want[:, :, 0] = 0, 0
        assert (want.sum(-1)[:, 1:] < 0.999).all()  # what went to the class token is lost
    else:
        want = by_loops(source.tower, inputs, kind, naclips_window(*grid) if kind == "kk_gauss" else 0.0)
        want = want.mean((0, 1))[None] if kind == "kk_mean" else want[-1]
    assert_close(got, want.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", LAST_ATTENTION)
@pytest.mark.parametrize("own", ["qk", "kk"])
@pytest.mark.parametrize("interpolation", INTERPOLATION)
def test_one_pass_for_two_sources(kind, own, interpolation):
    model, images = tiny(), pictures(2, 3, 20, 36)
    logits, attention = ClipLogits(model, TOKENIZE, kind, False, interpolation=interpolation), ClipAttention(model, own, interpolation=interpolation)
    assert share_tower(logits, attention)
    both = encode_once(logits, attention, images, CLASSES)
    want = logits(images, CLASSES)
    assert_close(both[0], want, atol=1e-6, rtol=0)
    assert_close(both[1], attention(images, tuple(want.shape[-2:])), atol=1e-6, rtol=1e-5)
    other = ClipAttention(model, own, interpolation=INTERPOLATION[1 - INTERPOLATION.index(interpolation)])
    assert not share_tower(logits, other)


# the forward pass of published methods, written again


def published(model, image, kind):
    "(3, H, W), normalised -> (h, w, d) unit embeddings: positions, blocks and the last attention as SCLIP, NACLIP, ClearCLIP and RF-CLIP have them."
    visual = model.visual
    x = F.conv2d(image[None], visual.conv1.weight, stride=visual.conv1.stride)[0]
    h, w = x.shape[1:]
    table = visual.positional_embedding
    side = math.isqrt(len(table) - 1)
    if (h, w) != (side, side):
        cells = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        cells = F.interpolate(cells, scale_factor=((h + 0.1) / side, (w + 0.1) / side), mode="bicubic")
        assert cells.shape[-2:] == (h, w)
        table = torch.cat([table[:1], cells.permute(0, 2, 3, 1).reshape(h * w, -1)])
    x = visual.ln_pre(torch.cat([visual.class_embedding[None], x.flatten(1).T]) + table)
    means = []
    for block in visual.transformer.resblocks:
        attn, normed = block.attn, block.ln_1(x)
        q, k, v = (part.reshape(len(x), attn.num_heads, -1).transpose(0, 1) for part in (normed @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, -1))
        like = {name: torch.bmm(a, a.transpose(1, 2)) / a.shape[-1] ** 0.5 for name, a in (("qq", q), ("kk", k))}
        means.append(like["kk"].softmax(-1))
        stock = (torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5).softmax(-1)
        last = x
        x = x + attn.out_proj((stock @ v).transpose(0, 1).reshape(len(x), -1))
        x = x + block.mlp(block.ln_2(x))
    if kind == "kk_heads":
        weights, v = torch.stack(means).mean(0)[:, 1:, 1:], v[:, 1:]
    else:
        weights = {"qq_kk": lambda: like["qq"].softmax(-1) + like["kk"].softmax(-1), "kk_gauss": lambda: (like["kk"] + naclips_window(h, w).float()).softmax(-1),
                   "identity": lambda: torch.eye(len(x)).expand(attn.num_heads, -1, -1), "qq": lambda: like["qq"].softmax(-1), "kk": lambda: like["kk"].softmax(-1),
                   "origin": lambda: stock}[kind]()
    assert last.shape == x.shape
    out = attn.out_proj((weights @ v).transpose(0, 1).reshape(-1, x.shape[-1]))
    return F.normalize(visual.ln_post(out[-h * w :]) @ visual.proj, dim=-1).reshape(h, w, -1)


@pytest.mark.parametrize("kind", [kind for kind in LAST_ATTENTION if kind != "kk_mean"])
@pytest.mark.parametrize("size", [(24, 24), (36, 36), (56, 56), (36, 56), (48, 24), (12, 20)])
def test_the_forward_pass_of_published_methods(size, kind):
    model, images = tiny(), pictures(1, 3, *size)
    source = ClipLogits(model, TOKENIZE, kind, residual=False, image_size=round(math.sqrt(size[0] * size[1])), interpolation="dino")
    assert resize_images(images, source.image_size, 4) is images
    texts = source.prompts(CLASSES)
    want = torch.einsum("hwd,kd->khw", published(model, ((images - source.tower.mean) / source.tower.std)[0], kind), texts)
    assert_close(source(images, CLASSES)[0], want, atol=1e-5, rtol=0)
    other = ClipLogits(model, TOKENIZE, kind, residual=False, image_size=source.image_size)(images, CLASSES)[0]
    assert ((other - want).abs().max() > 1e-4) == (size != (24, 24))  # positions of another custom are seen


@pytest.mark.parametrize("residual", [True, False])
def test_last_block_by_hand(residual):
    tower = VisionTower(tiny("layer scale"))
    x = tower(pictures(1, 3, 16, 16), 16)[0][-1]
    block, attn = tower.blocks[-1], tower.blocks[-1].attn
    weights = pictures(1, 2, 17, 17).softmax(-1)
    v = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)[..., 64:]
    mixed = torch.cat([weights[:, h] @ v[..., 16 * h : 16 * h + 16] for h in range(2)], -1)
    mixed = block.ls_1(mixed @ attn.out_proj.weight.T + attn.out_proj.bias)
    want = mixed
    if residual:
        want = x + mixed
        want = want + block.ls_2(block.mlp(block.ln_2(want)))
    assert_close(last_block(block, x, weights, residual), want, atol=1e-5, rtol=1e-5)
    shared = weights[:, :1]
    assert_close(last_block(block, x, shared, residual), last_block(block, x, shared.expand(-1, 2, -1, -1), residual))


@pytest.mark.parametrize("kind", ["qk", "qq", "kk"])
def test_clip_attention(kind):
    source = ClipAttention(tiny(), kind)
    inputs, _ = source.tower(pictures(1, 3, 24, 24), 24)
    want = by_loops(source.tower, inputs, kind).mean((0, 1))[1:, 1:]
    assert_close(source(pictures(1, 3, 24, 24), (6, 6))[0], (want / want.sum(1, keepdim=True)).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("kind", LAST_ATTENTION)
def test_logits_are_cosines_and_images_independent(kind, residual, device):
    model = tiny().to(device)
    source = ClipLogits(model, TOKENIZE, kind, residual)
    images = pictures(3, 3, 30, 60)
    together = source(images, CLASSES)  # on the CPU, wherever the model is
    assert together.shape == (3, 3, 4, 8) and together.dtype == torch.float32 and together.device.type == device
    assert together.abs().max() <= 1 + 1e-5
    assert_close(together, torch.cat([source(image[None], CLASSES) for image in images]), atol=1e-5, rtol=0)
    assert_close(source(images.double(), CLASSES), together, atol=1e-5, rtol=0)
    assert_close(source(images, CLASSES[::-1]), together.flip(1))
    assert not together.requires_grad


@pytest.mark.parametrize("kind", LAST_ATTENTION)
def test_a_class_is_the_best_of_its_names(kind):
    source = ClipLogits(tiny(), TOKENIZE, kind)
    images = pictures(2, 3, 30, 60)
    sky, house, tree = source(images, CLASSES).unbind(1)
    both = source(images, (c for c in ["tree | sky", "a house"]))
    assert_close(both, torch.stack([torch.maximum(tree, sky), house], 1), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="classes: sky given more than once"):
        source(images, ["tree|sky|sky", "house"])


def test_the_default_side():
    def native(size):
        return CLIP(8, CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=14, image_size=size), CLIPTextCfg(vocab_size=9, width=16, heads=2, layers=1))

    for size, image_size, grid in ((210, 210, 15), (224, 512, 37), (336, 512, 37)):
        source = ClipLogits(native(size), TOKENIZE)
        assert source.image_size == image_size
        assert source.tower(pictures(1, 3, 20, 20))[1] == (grid, grid)  # 512 is no multiple of 14: 518 pixels
        assert ClipAttention(source.model)(pictures(1, 3, 20, 20), (3, 3)).shape == (1, 9, 9)


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (500, 7), (24, 25)])
def test_any_size(size):
    model, images = tiny(), pictures(1, 3, *size)
    logits = ClipLogits(model, TOKENIZE)(images, ["sky"])
    assert logits.shape[2] * logits.shape[3] in range(18, 49) and logits.isfinite().all()
    attention = ClipAttention(model)(images, (3, 5))
    assert_close(attention.sum(-1), torch.ones(1, 15))
    assert ClipLogits(model, TOKENIZE, image_size=4)(images, ["sky"]).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(dtype):
    images, single = pictures(2, 3, 24, 24), tiny()
    want = ClipLogits(single, TOKENIZE)(images, CLASSES)
    mixed = tiny(cast_dtype=dtype)  # as open_clip loads precision="fp16": norms, class token and positions stay in float32
    convert_weights_to_lp(mixed, dtype)
    pure = tiny().to(dtype)
    for model in (mixed, pure):
        logits = ClipLogits(model, TOKENIZE)(images, CLASSES)
        assert logits.dtype == torch.float32
        assert_close(logits, want, atol=0.1, rtol=0)
        attention = ClipAttention(model)(images, (6, 6))
        assert attention.dtype == torch.float32
        assert_close(attention.sum(-1), torch.ones(2, 36))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 48), st.sampled_from(LAST_ATTENTION), st.integers(0, 99))
def test_any_image(height, width, image_size, kind, seed):
    model = tiny(seed=seed % 3)
    logits = ClipLogits(model, TOKENIZE, kind, image_size=image_size)(pictures(1, 3, height, width, seed=seed), ["sky", "tree"])
    assert logits.shape[-2:] == tuple(s // 4 for s in fit_grid((height, width), image_size, 4))
    assert logits.isfinite().all() and logits.abs().max() <= 1 + 1e-5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from(["square", "wide"]))
def test_dinos_positions_never_lose_a_patch(h, w, vision):
    "The size is rounded down from patches of the table times the scale."
    assert VisionTower(tiny(vision), "dino").positions((h, w)).shape == (1 + h * w, 32)


@pytest.mark.parametrize("make", [lambda m: ClipLogits(m, TOKENIZE, "vv"), lambda m: ClipAttention(m, "kk_mean"), lambda m: VisionTower(m, "linear"), lambda m: ClipLogits(
    m, TOKENIZE, interpolation="linear")])
def test_unknown_attention(make):
    with pytest.raises(ValueError, match="expected"):
        make(tiny())


@pytest.mark.parametrize("image_size", [0, -5, math.nan])
def test_refused_image_size(image_size):
    with pytest.raises(ValueError, match="image_size: got"):
        ClipLogits(tiny(), TOKENIZE, image_size=image_size)(pictures(1, 3, 8, 8), ["sky"])

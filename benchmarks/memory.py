"""Peak memory of each stage of clip-b16-sd2 on a GPU in half precision, found without computing; the ratio is to a card of 6 GiB.

Stages of the models run on tensors that have a shape and no numbers (PyTorch's FakeTensorMode), and what is held at a time is added up;
the same is done in a real run of a small image, and compared. Discrepancy and upsampling are small, and run for real, in float32 as always.
Not in the sum: the context of CUDA, what its kernels take for themselves, and pieces that the allocator cannot use."""
from contextlib import contextmanager, nullcontext

import torch
from common import main, row
from diffusers import AutoencoderKL, UNet2DConditionModel
from open_clip import CLIP, get_model_config, get_tokenizer
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from dotseg.evaluation.profile import _Held
from dotseg.method.attention import merge_attention
from dotseg.method.logits import normalise
from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.optimal_path import optimal_path
from dotseg.method.upsampling import joint_bilateral_upsample
from dotseg.models.clip import ClipLogits
from dotseg.models.diffusion import SD2_UNET, SD2_VAE, DiffusionAttention

CARD = 6 * 1024  # MiB
SHAPES = {"clip": get_model_config("ViT-B-16-quickgelu"), "unet": SD2_UNET, "vae": SD2_VAE}
K = 21


class Passing(TorchDispatchMode):
    "Checks of values, which are not there, pass: a truth is true, a number is one half."

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return True if args[0].dtype == torch.bool else 0.5
        return func(*args, **(kwargs or {}))


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def held(run):
    with torch.no_grad(), _Held() as found:
        kept = run()  # noqa: F841, the result counts
    return found.peak / 2**20


def model_stages(size, dtype, fake, shapes=SHAPES, batch=1):
    "MiB of the weights, and name -> MiB held at a time, for the stages that are models."
    with FakeTensorMode() if fake else nullcontext(), torch.no_grad():
        with default_dtype(dtype):
            clip, unet, vae = CLIP(**shapes["clip"]), UNet2DConditionModel(**shapes["unet"]), AutoencoderKL(**shapes["vae"])
        networks = [net.requires_grad_(False).eval() for net in (clip, unet, vae)]
        weights = sum(p.numel() * p.element_size() for net in networks for p in net.parameters()) / 2**20
        logits = ClipLogits(clip, get_tokenizer("ViT-B-16-quickgelu"), attention="kk_mean", residual=False, image_size=size)
        source = DiffusionAttention(unet, vae, torch.zeros(1, 77, unet.config.cross_attention_dim), image_size=size)
        names = [f"name {i}" for i in range(K)]
        logits.prompts.cache.update({name: torch.ones(shapes["clip"]["embed_dim"]) for name in names})
        images = torch.full((batch, 3, size, size), 0.5)
        grid = (size // logits.tower.patch,) * 2
        with Passing() if fake else nullcontext():
            found = {"logits": held(lambda: logits(images, names)), "attention: autoencoder": held(lambda: source.encode(images))}
            latents = source.encode(images)
            found["attention: UNet"] = held(lambda: merge_attention(source.attend(latents), source.weights, grid))
    return weights, found


def core_stages(side, size, k=K):
    "The same for the discrepancy, with all classes and no patch suppressed, which takes most, and for the upsampling; in float32 on this machine."
    g = torch.Generator().manual_seed(0)
    attention = torch.rand(side**2, side**2, generator=g).softmax(-1)
    maps, image = torch.rand(k, side, side, generator=g), torch.rand(3, size, size, generator=g)
    f = normalise(maps, 15.0)
    return {"discrepancy: O.P.": held(lambda: optimal_path(f, attention)), "discrepancy: M.V.": held(lambda: maximum_velocity(f, attention)),
            "upsampling": held(lambda: joint_bilateral_upsample(maps, image))}


def rows(repeats, shapes=SHAPES, sizes=(512, 768, 1024), checked=256, batches=(1, 8)):
    patch = shapes["clip"]["vision_cfg"]["patch_size"]
    guessed, real = (model_stages(checked, torch.float32, fake, shapes)[1] for fake in (True, False))
    for name in guessed:
        assert abs(guessed[name] / real[name] - 1) < 0.02, f"{name}: {guessed[name]} MiB without computing, {real[name]} in a real run"
        yield row(f"{checked} px, float32, {name}: without computing | real run", [guessed[name]], [real[name]], "MiB", [guessed[name] / real[name]])
    for size in sizes:
        core = core_stages(size // patch, size)
        for batch in batches:
            weights, stages = model_stages(size, torch.float16, True, shapes, batch)
            kept = batch * ((size // patch) ** 4 * 4 + 3 * size**2 * 4) / 2**20  # attention and image, float32
            if batch == 1:
                for name, most in (stages | core).items():
                    yield row(f"{size} px, float16, {name}: held", [most], [CARD], "MiB", [most / CARD])
            name, most = max((stages | core).items(), key=lambda stage: stage[1])
            whole, goal = weights + kept + most, "<= 1" if batch == 1 else None
            about = f"{size} px, {batch} at once: weights {weights:.0f} + attention {kept:.0f} + {name.split(': ')[-1]} {most:.0f}"
            yield row(about, [whole], [CARD], "MiB", [whole / CARD], goal)


if __name__ == "__main__":
    main("memory", __doc__, rows, ("ours", "card"))

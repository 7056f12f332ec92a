# %% FORWARD
from dotseg.models.sources import FORWARD

print(FORWARD)


# %% LogitSource
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.clip import ClipLogits
from dotseg.models.prompts import PromptEncoder
from dotseg.models.sources import LogitSource

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
encode = PromptEncoder(model, tokenize)
def make(kind="kk_mean", residual=True, image_size=None, model=model):
    source = ClipLogits(model, tokenize, kind, residual, image_size)
    source.prompts = encode
    return source
source: LogitSource = make()


# %% AttentionSource
from dotseg.miniature.embedded import load_miniature
from dotseg.models.diffusion import DiffusionAttention
from dotseg.models.sources import AttentionSource

stock_unet, stock_vae, prompt = (getattr(load_miniature()[1], part) for part in ("unet", "vae", "prompt"))
source: AttentionSource = DiffusionAttention(stock_unet, stock_vae, prompt, image_size=128)


# %% fit_grid
from dotseg.models.sources import fit_grid

for size in [(480, 640), (375, 500), (640, 480), (1024, 2048), (7, 7), (3000, 100)]:
    print(f"{size} -> {fit_grid(size, 512, 16)}")


# %% resize_images
import torch
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene
from dotseg.models.sources import resize_images

image = torch.tensor(draw_scene(LESSON_SEED).image).permute(2, 0, 1)[None].float() / 255
assert resize_images(image, 128, 8) is image  # nothing to do


# %% StopForward
import torch

from dotseg.models.sources import StopForward

layer = torch.nn.Linear(2, 2)


def stop(*args):
    raise StopForward


layer.register_forward_hook(stop)
try:
    torch.nn.Sequential(layer, torch.nn.ReLU())(torch.rand(1, 2))
except StopForward:
    print("the rest of the model did not run")

# %% SD2_UNET
from dotseg.models.diffusion import SD2_UNET

SD1_UNET = SD2_UNET | dict(cross_attention_dim=768, attention_head_dim=8, use_linear_projection=False)


# %% SD2_VAE
from dotseg.models.diffusion import SD2_VAE

SMALL_VAE = SD2_VAE | dict(block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2)


# %% SD2
from dotseg.models.diffusion import SD2

print(SD2)


# %% TAESD
from dotseg.models.diffusion import TAESD

print(TAESD)


# %% find_blocks
from diffusers import UNet2DModel
from dotseg.models.diffusion import find_blocks
from fastcore.test import test_eq

bare = UNet2DModel(block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), norm_num_groups=4, add_attention=False)
test_eq(find_blocks(bare), {})


# %% RecordingProcessor
import torch

from dotseg.miniature.embedded import build_unet
from dotseg.models.diffusion import RecordingProcessor, find_blocks

unet = build_unet()
layers = find_blocks(unet)["up0"][1]
recorder = RecordingProcessor(layers)
for layer in layers:
    layer.set_processor(recorder)
unet(torch.rand(1, 8, 32, 32), 0, torch.zeros(1, 32, 96))
print(recorder.total.shape)


# %% recording
import torch

from dotseg.miniature.embedded import build_unet
from dotseg.models.diffusion import find_blocks, recording

unet = build_unet()
layers = find_blocks(unet)["up0"][1]
with torch.no_grad(), recording([layers], layers[-1]) as (recorder,):  # the pass ends behind the last of them
    unet(torch.rand(1, 8, 32, 32), 0, torch.zeros(1, 32, 96))
print(recorder.total.shape)


# %% DiffusionAttention
from dotseg.miniature.embedded import load_miniature
from dotseg.models.diffusion import DiffusionAttention
from dotseg.models.sources import AttentionSource

stock_unet, stock_vae, prompt = (getattr(load_miniature()[1], part) for part in ("unet", "vae", "prompt"))
source: AttentionSource = DiffusionAttention(stock_unet, stock_vae, prompt, image_size=128)


# %% load_diffusion
from dotseg.models.checkpoints import CheckpointError
from dotseg.models.diffusion import load_diffusion

try:
    load_diffusion("stable-diffusion-2")  # the folder of a model as diffusers lays it out
except CheckpointError as error:
    print(error)

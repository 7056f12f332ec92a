# %% DEVICE
from dotseg.miniature.training import DEVICE

print(DEVICE)


# %% PIXEL_MEAN
from dotseg.miniature.training import PIXEL_MEAN

print(PIXEL_MEAN)


# %% PIXEL_STD
from dotseg.miniature.training import PIXEL_STD

print(PIXEL_STD)


# %% FULL
from dotseg.miniature.training import FULL

print(FULL)


# %% STAGES
from dotseg.miniature.training import STAGES

print(STAGES)


# %% draw_page, Pages
import json
from pathlib import Path

import numpy as np

from dotseg.miniature import training

folder = Path("training")
folder.mkdir()
pages = [training.draw_page(seed) for seed in range(12)]  # draw_pool(folder, 28_000) draws them all
np.save(folder / "images.npy", np.stack([image for image, _ in pages]))
(folder / "captions.json").write_text(json.dumps([caption for _, caption in pages]))
import torch

images, mentions, captions, numbers, mirrored = training.Pages(folder).batch(4, torch.Generator().manual_seed(0))
print(images.shape, captions)


# %% draw_pool
from pathlib import Path

from dotseg.miniature.training import draw_pool

Path("training").mkdir()
draw_pool(Path("training"), 8)
print(sorted(path.name for path in Path("training").iterdir()))


# %% write
import torch

from dotseg.miniature.training import write

write("tensors.safetensors", {"x": torch.arange(3)})


# %% fit
from pathlib import Path

from torch import nn, randn

from dotseg.miniature.training import fit

model = nn.Linear(3, 1)
fit("line", model, lambda step, generator: {"error": model(randn(8, 3, generator=generator)).square().mean()}, 4, 1e-2, Path("."))


# %% mixed
import torch

from dotseg.miniature.training import mixed

with mixed():
    print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)


# %% patch_features
import torch

from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.training import patch_features

logits, attention = load_miniature()
print([part.shape for part in patch_features(logits.model, torch.rand(1, 3, 128, 128))])


# %% mirror_patches
import torch

from dotseg.miniature.training import mirror_patches

print(mirror_patches(torch.rand(1, 256, 8)).shape)


# %% likeness
import torch
from dotseg.miniature.picturebook import draw_scene
from dotseg.miniature.training import likeness

page = draw_scene(1_000_003)
image = torch.tensor(page.image).permute(2, 0, 1)[None].float() / 255
alike = likeness(image)[0].reshape(16, 16, 16, 16)


# %% explain
import torch
from dotseg.miniature.training import explain

cosines = torch.tensor([[[0.9, 0.1, 0.95], [0.8, 0.2, 0.0], [0.7, 0.3, 0.1], [0.5, 0.5, 0.9]]])
posterior = explain(cosines, torch.tensor([[True, True, False]]), scale=10.0, share=0.5)


# %% train_clip, explain_pool, train_vae, encode_pool, train_unet, train_attention, trained, ship
import json
from pathlib import Path

import numpy as np

from dotseg.miniature import training

folder = Path("training")
folder.mkdir()
pages = [training.draw_page(seed) for seed in range(12)]  # draw_pool(folder, 28_000) draws them all
np.save(folder / "images.npy", np.stack([image for image, _ in pages]))
(folder / "captions.json").write_text(json.dumps([caption for _, caption in pages]))

vae = training.train_vae(folder, 2, batch=2)  # two steps of each stage; the models that are shipped took hundreds
training.encode_pool(folder, vae, training.Pages(folder), n=12, batch=4)
training.train_clip(folder, 2, batch=4)
training.explain_pool(folder, 12, "clip", "kk_mean", batch=4)
training.train_clip(folder, 2, batch=4, teacher="clip")
training.explain_pool(folder, 12, "outlines", "origin", batch=4)
training.train_unet(folder, 2, batch=2)
training.train_attention(folder, 2, batch=3, clean=2)
clip = training.trained(folder, "outlines", training.build_clip)
training.ship(folder, Path("weights"))


# %% edges
import torch

from dotseg.miniature.training import edges

print(edges(torch.rand(1, 3, 4, 4)).shape)


# %% tie_queries_to_keys
from dotseg.miniature.embedded import build_unet
from dotseg.miniature.training import tie_queries_to_keys

unet = build_unet()
tie_queries_to_keys(unet)


# %% noise_scheduler, denoising
import torch

from dotseg.miniature.embedded import build_unet
from dotseg.miniature.training import denoising, noise_scheduler

latents, prompts, times = torch.rand(1, 8, 16, 16), torch.zeros(1, 32, 96), torch.tensor([10])
print(denoising(build_unet(), noise_scheduler(), latents, prompts, times, torch.Generator().manual_seed(0)))


# %% to_patches
import torch
from dotseg.miniature.training import to_patches

fine = torch.rand(2, 1024, 1024, generator=torch.Generator().manual_seed(0)).softmax(-1)
coarse, index = to_patches(fine), torch.arange(1024).reshape(32, 32)


# %% main
import sys

from dotseg.miniature.training import main

sys.argv = ["training", "draw", "--steps", "8"]
main()

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


# %% to_patches
import torch
from dotseg.miniature.training import to_patches

fine = torch.rand(2, 1024, 1024, generator=torch.Generator().manual_seed(0)).softmax(-1)
coarse, index = to_patches(fine), torch.arange(1024).reshape(32, 32)

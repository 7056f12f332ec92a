# %% EVERYDAY
from dotseg.segmentation.presets import EVERYDAY

print(EVERYDAY)


# %% CLIP_B
from dotseg.segmentation.presets import CLIP_B

print(CLIP_B)


# %% CLIP_L
from dotseg.segmentation.presets import CLIP_L

print(CLIP_L)


# %% DIFFUSION
from dotseg.segmentation.presets import DIFFUSION

print(DIFFUSION)


# %% DINO
from dotseg.segmentation.presets import DINO

print(DINO)


# %% DINOV3
from dotseg.segmentation.presets import DINOV3

print(DINOV3)


# %% SIGLIP
from dotseg.segmentation.presets import SIGLIP

print(SIGLIP)


# %% EMBEDDED
from dotseg.segmentation.presets import EMBEDDED

print(EMBEDDED)


# %% PRESETS
from dotseg.segmentation.presets import PRESETS

embedded = PRESETS["picturebook"]


# %% Part, Preset
from dotseg.segmentation.presets import PRESETS, Part, Preset

preset = PRESETS["picturebook"]
assert isinstance(preset, Preset) and all(isinstance(part, Part) for part in preset.parts.values())
print(preset.about, list(preset.parts))


# %% choose_device
import torch
from dotseg.segmentation.presets import choose_device
from fastcore.test import test_eq

test_eq(choose_device("cpu"), ("cpu", torch.float32))


# %% write_settings, read_settings
from dotseg.segmentation.presets import PRESETS, read_settings, write_settings

write_settings("mine.json", "picturebook", PRESETS["picturebook"].settings("path", scale=20.0))
preset, config = read_settings("mine.json")
print(preset, config.mode, config.scale)

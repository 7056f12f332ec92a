# %% show_maps
from dotseg.figures.plots import show_maps
from dotseg.miniature.picturebook import draw_scene

sizes = (32, 64, 128, 256)
show_maps([draw_scene(4, size).image for size in sizes], [f"{size} x {size}" for size in sizes])


# %% overlay
import numpy as np
from dotseg.figures.plots import overlay

grey = np.full((1, 2, 3), 100, dtype=np.uint8)
mixed = overlay(grey, np.array([[0, 255]]), k=1, alpha=0.5, colours=np.array([[200, 0, 100]], dtype=np.uint8))


# %% show_labels
from dotseg.figures.plots import show_labels
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene

scene = draw_scene(LESSON_SEED)
show_labels(scene.image, {"the exact mask": scene.labels}, CLASSES)


# %% show_once
import numpy as np
import torch
from dotseg.figures.plots import show_labels, show_maps, show_once

picture = np.stack([np.tile(np.linspace(0, 255, 24), (16, 1))] * 3, -1).astype(np.uint8)
fig = show_maps(torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0)).half(), list("abcde"), picture, ncols=3)
H, W = 48, 72
y, x = np.mgrid[:H, :W]
image = np.stack([120 + x, 160 - y, 90 + y], -1).astype(np.uint8)
fine = np.where((y - 24) ** 2 + (x - 36) ** 2 < 200, 2, np.where(y < 24, 0, 1))
fig = show_labels(image, fine, ["sky", "water", "island", "kite"])
fig = show_labels(image, fine, ["sky", "water", "island"])
assert show_once(fig) is fig

# %% ENDINGS
from dotseg.segmentation.images import ENDINGS

print(ENDINGS)


# %% FILMS
from dotseg.segmentation.images import FILMS

print(FILMS)


# %% READ
from dotseg.segmentation.images import READ

print(READ)


# %% ImageError
import numpy as np
from dotseg.segmentation.images import ImageError, from_numbers
from fastcore.test import expect_fail

ramp = np.array([[0, 85, 170, 255]], np.uint8)
with expect_fail(ImageError, contains="image: got floats from 0 to 255, expected [0, 1]; divide by 255"):
    from_numbers(ramp.astype(float))


# %% to_rgb
import numpy as np
from PIL import Image
from dotseg.segmentation.images import to_rgb

rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
weight = rgba[..., 3:] / 255
over_white = weight * rgba[..., :3] + (1 - weight) * 255
largest = np.abs(to_rgb(Image.fromarray(rgba)) - over_white).max()


# %% from_numbers
import numpy as np
from dotseg.segmentation.images import from_numbers
from fastcore.test import test_eq

ramp = np.array([[0, 85, 170, 255]], np.uint8)
test_eq(from_numbers(ramp > 100)[0, :, 0].tolist(), [0, 0, 255, 255])


# %% needed
from dotseg.method.errors import DotsegError
from dotseg.segmentation.images import needed
from fastcore.test import expect_fail

with expect_fail(DotsegError, contains="stars need no_such_library, which is not installed: pip install dotseg[sky]"):
    needed("no_such_library", "sky", "stars")


# %% open_picture
from PIL import Image

from dotseg.segmentation.images import open_picture

Image.new("RGB", (6, 4), "red").save("red.png")
print(open_picture("red.png").size)


# %% read_picture
from PIL import Image

from dotseg.segmentation.images import read_picture

Image.new("RGB", (6, 4), "red").save("red.png")
print(read_picture("red.png").shape)


# %% Frame, read_frames
from PIL import Image

from dotseg.segmentation.images import Frame, read_frames

first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
first.save("two.gif", save_all=True, append_images=[second])
frames = list(read_frames("two.gif"))
assert isinstance(frames[0], Frame)
print([frame.__fspath__() for frame in frames])


# %% count_pages
from PIL import Image

from dotseg.segmentation.images import count_pages

first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
first.save("two.gif", save_all=True, append_images=[second])
print(count_pages("two.gif"))


# %% load_image
import numpy as np
from PIL import Image

from dotseg.segmentation.images import load_image

Image.new("RGB", (6, 4), "red").save("red.png")
print((load_image("red.png") == load_image(np.full((4, 6, 3), (255, 0, 0), dtype=np.uint8))).all())


# %% atomic_write
from pathlib import Path

from dotseg.segmentation.images import atomic_write

atomic_write(Path("note.txt"), lambda file: file.write(b"whole or not at all"))


# %% label_picture
import io
import torch
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.images import label_picture

scene = draw_scene(LESSON_SEED)
written = io.BytesIO()
label_picture(torch.tensor(scene.labels), CLASSES).save(written, "PNG")


# %% MAX_BYTES
from dotseg.segmentation.images import MAX_BYTES

print(f"{MAX_BYTES:,} bytes")


# %% MAX_SCANS
from dotseg.segmentation.images import MAX_SCANS

print(MAX_SCANS)


# %% named
from dotseg.segmentation.images import ImageError, named, open_picture

try:
    named("holiday.png", open_picture, "nowhere/holiday.png")
except ImageError as error:
    print(error)

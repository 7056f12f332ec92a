# %% UNSEARCHED
from dotseg.app.folders import UNSEARCHED

print(UNSEARCHED)


# %% SEVERAL
from dotseg.app.folders import SEVERAL

print(SEVERAL)


# %% find_images
from pathlib import Path

from PIL import Image

from dotseg.app.folders import find_images
from dotseg.miniature.picturebook import draw_scene

Path("pages").mkdir()
for seed in range(3):
    Image.fromarray(draw_scene(seed).image).save(f"pages/{seed}.png")
print(find_images(["pages"], Path("masks")))


# %% further_frames
from pathlib import Path

from PIL import Image

from dotseg.app.folders import further_frames

first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
first.save("two.gif", save_all=True, append_images=[second])
print(further_frames([(Path("two.gif"), "two")]))

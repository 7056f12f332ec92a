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


# %% is_done
from pathlib import Path

from PIL import Image

from dotseg.app.folders import find_images, is_done, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Path("pages").mkdir()
for seed in range(3):
    Image.fromarray(draw_scene(seed).image).save(f"pages/{seed}.png")
segmenter = Segmenter.from_preset("picturebook", device="cpu")
inputs, classes, out = find_images(["pages"], Path("masks")), ["sky", "grass", "kite"], Path("masks")
outcomes = list(segment_files(segmenter, inputs, classes, out))
settings = segmenter.settings(classes)
print(is_done(inputs[0][0], out, inputs[0][1], settings))


# %% Outcome, segment_files
from pathlib import Path

from PIL import Image

from dotseg.app.folders import Outcome, find_images, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Path("pages").mkdir()
for seed in range(3):
    Image.fromarray(draw_scene(seed).image).save(f"pages/{seed}.png")
segmenter = Segmenter.from_preset("picturebook", device="cpu")
inputs, classes, out = find_images(["pages"], Path("masks")), ["sky", "grass", "kite"], Path("masks")
outcomes = list(segment_files(segmenter, inputs, classes, out))
assert isinstance(outcomes[0], Outcome)
print([outcome.status for outcome in outcomes])


# %% finish
from pathlib import Path

from PIL import Image

from dotseg.app.folders import find_images, finish, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Path("pages").mkdir()
for seed in range(3):
    Image.fromarray(draw_scene(seed).image).save(f"pages/{seed}.png")
segmenter = Segmenter.from_preset("picturebook", device="cpu")
inputs, classes, out = find_images(["pages"], Path("masks")), ["sky", "grass", "kite"], Path("masks")
outcomes = list(segment_files(segmenter, inputs, classes, out))
finish([(outcome.name, outcome.status) for outcome in outcomes], out, ["palette"])

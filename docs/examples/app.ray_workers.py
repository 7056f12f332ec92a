# %% TRIES
from dotseg.app.ray_workers import TRIES

print(TRIES)


# %% segment_folder
from dotseg.app.ray_workers import segment_folder
from dotseg.miniature.picturebook import CLASSES
from fastcore.test import expect_fail

with expect_fail(ValueError, contains="expected a list of image files and folders"):
    segment_folder("pages", CLASSES, "many")

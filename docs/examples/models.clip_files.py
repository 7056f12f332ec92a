# %% CLIP_B16
from dotseg.models.clip_files import CLIP_B16

print(CLIP_B16)


# %% CLIP_L14
from dotseg.models.clip_files import CLIP_L14

print(CLIP_L14)

# %% SIGLIP2_B16
from dotseg.models.siglip import SIGLIP2_B16

print(SIGLIP2_B16)

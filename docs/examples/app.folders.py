# %% UNSEARCHED
from dotseg.app.folders import UNSEARCHED

print(UNSEARCHED)


# %% SEVERAL
from dotseg.app.folders import SEVERAL

print(SEVERAL)

# %% FIRST
from dotseg.figures.palette import FIRST

print(FIRST)


# %% class_colours
from dotseg.figures.palette import class_colours

colours = class_colours(300)

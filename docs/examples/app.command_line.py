# %% PRESET
from dotseg.app.command_line import PRESET

print(PRESET)


# %% CLASSES_HELP
from dotseg.app.command_line import CLASSES_HELP

print(CLASSES_HELP)


# %% parser
import shlex
from dotseg.app.command_line import parser
from fastcore.test import test_eq

line = "dotseg segment photos --classes sky,grass --preset clip-b16-sd2 --checkpoint clip=my-clip"
test_eq(parser().parse_args(shlex.split(line)[1:]).checkpoint, ["clip=my-clip"])

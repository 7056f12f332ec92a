# %% plain
from dotseg.method.errors import plain

print(plain("caf\u00e9 \x1b[31mred\n"))  # escapes instead of colours and line ends


# %% DotsegError
from dotseg.method.errors import DotsegError
from fastcore.test import expect_fail

with expect_fail(ValueError, contains="eps: got -1"):
    raise DotsegError("eps: got -1, expected a number > 0")

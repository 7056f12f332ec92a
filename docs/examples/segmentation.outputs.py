# %% MARK, is_output_folder, mark_folder
from pathlib import Path

from dotseg.segmentation.outputs import MARK, is_output_folder, mark_folder

Path("masks").mkdir()
print(is_output_folder("masks"))
mark_folder(Path("masks"))
print(is_output_folder("masks"), Path("masks", MARK).read_text())


# %% OF_ALL
import errno

from dotseg.segmentation.outputs import OF_ALL

print(errno.ENOSPC in OF_ALL, errno.EACCES in OF_ALL)  # a full disk stops a run; one file that must not be written does not


# %% remove_parts
from pathlib import Path

from dotseg.segmentation.outputs import remove_parts

Path("masks").mkdir()
Path("masks", f".{'0' * 32}.part").touch()  # left by a run that was killed
Path("masks", "page.png").touch()
print(remove_parts(Path("masks")), [path.name for path in Path("masks").iterdir()])


# %% hold_folder
from dotseg.method.errors import DotsegError
from dotseg.segmentation.outputs import hold_folder

with hold_folder("masks") as folder:
    print(folder.is_dir())
    try:
        with hold_folder("masks"):
            pass
    except DotsegError as error:
        print(str(error).partition("(")[0])

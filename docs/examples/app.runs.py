# %% is_done
from pathlib import Path

from PIL import Image

from dotseg.app.runs import is_done, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Image.fromarray(draw_scene(0).image).save("page.png")
segmenter, classes = Segmenter.from_preset("picturebook", device="cpu"), ["sky", "grass"]
list(segment_files(segmenter, [(Path("page.png"), "page")], classes, Path("masks")))
print(is_done("page.png", Path("masks"), "page", segmenter.settings(classes)))
print(is_done("page.png", Path("masks"), "page", segmenter.settings(["sky", "kite"])))


# %% Outcome, segment_files
from pathlib import Path

from PIL import Image

from dotseg.app.runs import Outcome, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Image.fromarray(draw_scene(0).image).save("page.png")
segmenter, classes = Segmenter.from_preset("picturebook", device="cpu"), ["sky", "grass"]
for _ in range(2):  # the second time nothing is left to do
    outcomes = list(segment_files(segmenter, [(Path("page.png"), "page")], classes, Path("masks")))
    assert isinstance(outcomes[0], Outcome)
    print(outcomes[0].name, outcomes[0].status)


# %% claim
from pathlib import Path

from dotseg.app.runs import claim
from dotseg.method.errors import DotsegError

claim(Path("new"), ["palette"])  # a folder that is not there yet is free
Path("holiday").mkdir()
Path("holiday/classes.txt").write_text("maths, music")
try:
    claim(Path("holiday"), ["palette"])
except DotsegError as error:
    print(error)


# %% find_lost
from pathlib import Path

from dotseg.app.runs import Outcome, find_lost

for lost in find_lost([Outcome("boat.png", "boat", "written")], Path("masks"), ["palette"]):
    print(lost.status, lost.reason)


# %% find_others
from pathlib import Path

from PIL import Image

from dotseg.app.runs import find_others, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

for name in ("a", "b"):
    Image.fromarray(draw_scene(0).image).save(f"{name}.png")
segmenter = Segmenter.from_preset("picturebook", device="cpu")
first, second = segment_files(segmenter, [(Path("a.png"), "a"), (Path("b.png"), "b")], ["sky", "grass"], Path("masks"))
Path("b.png").unlink()
gone, other = find_others([first], Path("masks"), segmenter.settings(["sky", "kite"]))  # of a later run, of a alone
print(gone, other)  # reports of an image that is gone, and of masks of other classes


# %% finish
from pathlib import Path

from PIL import Image

from dotseg.app.runs import finish, segment_files
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.segmenter import Segmenter

Image.fromarray(draw_scene(0).image).save("page.png")
segmenter, classes = Segmenter.from_preset("picturebook", device="cpu"), ["sky", "grass"]
outcomes = list(segment_files(segmenter, [(Path("page.png"), "page")], classes, Path("masks"), formats=["coco"]))
finish([(outcome.name, outcome.status) for outcome in outcomes], Path("masks"), ["coco"])
print(sorted(path.name for path in Path("masks").iterdir()))

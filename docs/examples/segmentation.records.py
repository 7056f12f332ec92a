# %% FORMATS
from dotseg.segmentation.records import FORMATS

print(FORMATS)


# %% COCO_FILE, CLASS_FILE
from dotseg.segmentation.records import CLASS_FILE, COCO_FILE

print(COCO_FILE, CLASS_FILE)


# %% place
from dotseg.segmentation.records import place

print(place("masks", "trip/boat", "palette"), place("masks", "trip/boat", "coco"), place("masks", "trip/boat", "report"))


# %% class_files
from pathlib import Path

from dotseg.segmentation.records import class_files

for name in ("001-grass.png", "000-sky.png", "notes.txt"):
    Path(name).touch()
print(class_files(Path(".")))


# %% count_bytes
from pathlib import Path

from dotseg.segmentation.records import count_bytes

Path("mask.png").write_bytes(bytes(42))
print(count_bytes(Path("mask.png")), count_bytes(Path("nowhere.png")))


# %% mark, form_of
from pathlib import Path

from dotseg.segmentation.records import form_of, mark

Path("ours.json").write_text(f'{{"software": "{mark("coco")}"}}')
Path("theirs.json").write_text("{}")
print(mark("coco"), form_of("ours.json"), repr(form_of("theirs.json")))


# %% obstacle
from pathlib import Path

from PIL import Image

from dotseg.segmentation.records import obstacle

Image.new("RGB", (6, 4), "red").save("photo.png")
print(obstacle(Path("photo.png"), "palette"), repr(obstacle(Path("free.png"), "palette")))


# %% own_forms, discard
from pathlib import Path

from PIL import Image

from dotseg.segmentation.formats import write_picture
from dotseg.segmentation.records import discard, own_forms

write_picture(Path("page.png"), Image.new("P", (6, 4)), "palette")
Image.new("P", (6, 4)).save("page.overlay.png")  # not ours
print(own_forms(".", "page"), discard(".", "page"), own_forms(".", "page"), Path("page.overlay.png").exists())


# %% full_path
from pathlib import Path

from dotseg.segmentation.records import full_path

Path("trip").mkdir()
Path("link").symlink_to("trip")
print(full_path("link/boat.png") == full_path("trip/boat.png"))


# %% describe_image
from PIL import Image

from dotseg.segmentation.records import describe_image

Image.new("RGB", (6, 4), "red").save("red.png")
print(describe_image("red.png")["bytes"], describe_image("nowhere.png"))


# %% hash_image
from PIL import Image

from dotseg.segmentation.records import describe_image, hash_image

Image.new("RGB", (6, 4), "red").save("page.png")
seen = describe_image("page.png")
print(hash_image(seen))
Image.new("RGB", (60, 40), "blue").save("page.png")
print(hash_image(seen))  # None: it has changed since


# %% hash_pixels
import numpy as np

from dotseg.segmentation.records import hash_pixels

red = np.full((4, 6, 3), (255, 0, 0), dtype=np.uint8)
print(hash_pixels(red)[:8], hash_pixels(red.copy())[:8], hash_pixels(red[:, :, ::-1])[:8])


# %% read_report
import json
from pathlib import Path

from dotseg.segmentation.records import mark, read_report

Path("page.json").write_text(json.dumps({"software": mark("report"), "source": "page.png", "image": {"bytes": 42}}))
Path("other.json").write_text(json.dumps({"image": {"bytes": 42}}))  # not ours
print(read_report(Path("page.json")), read_report(Path("other.json")))


# %% is_of
import time

from PIL import Image

from dotseg.segmentation.records import describe_image, hash_image, is_of

Image.new("RGB", (6, 4), "red").save("page.png")
seen = describe_image("page.png")
report = {"source": seen["source"], "image": {**seen, "sha256": hash_image(seen)}}
print(is_of(report, "page.png", time.time_ns()))
Image.new("RGB", (60, 40), "blue").save("page.png")
print(is_of(report, "page.png", time.time_ns()))


# %% refusal
from PIL import Image

from dotseg.segmentation.records import full_path, refusal

Image.new("RGB", (6, 4), "red").save("page.png")  # the photograph
print(refusal(".", "page", ["palette"], full_path("page.png")))
print(repr(refusal("masks", "page", ["palette"], full_path("page.png"))))


# %% check_name
from dotseg.method.errors import DotsegError
from dotseg.segmentation.records import check_name

check_name("masks", "trip/boat")
try:
    check_name("masks", "../boat")
except DotsegError as error:
    print(error)

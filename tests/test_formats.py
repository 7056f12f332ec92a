"Every form of a mask, opened by a reader that is not ours; what is written again when, and frames."
import contextlib
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import imageio.v3 as imageio
import numpy as np
import pytest
import skimage.io
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw, features
from pycocotools.coco import COCO
from stand_ins import itself, levels

from dotseg.app.command_line import main
from dotseg.method.errors import DotsegError
from dotseg.method.measures import MEASURES
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation.formats import check_formats, label_confidence, polygons, to_coco, to_labelme
from dotseg.segmentation.images import ImageError, count_pages, load_image, read_frames
from dotseg.segmentation.records import COCO_FILE, FORMATS, place
from dotseg.segmentation.segmenter import Segmentation, Segmenter

NAMES = ["dark", "grey", "light"]


def found_in(labels, classes=NAMES, **changes):
    labels = torch.as_tensor(np.asarray(labels, np.uint8 if len(classes) <= 256 else np.int32))
    logits = F.one_hot(labels.long(), len(classes)).permute(2, 0, 1).float()
    image = np.repeat(np.asarray(labels, np.uint8)[..., None], 3, -1)
    return Segmentation(image, labels, logits, list(range(len(classes))), list(classes), {"classes": list(classes), "config": {"scale": 10.0}}, logits=logits, **changes)


def drawn(document):  # labelme.utils.shapes_to_label
    picture = Image.new("I", (document["imageWidth"], document["imageHeight"]), -1)
    for shape in document["shapes"]:
        points, value = [tuple(point) for point in shape["points"]], NAMES.index(shape["label"])
        assert len(points) > 2, "Polygon must have points more than 2"
        ImageDraw.Draw(picture).polygon(xy=points, outline=value, fill=value)
    return np.asarray(picture)


def reader_of(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(path)


masks = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), elements=st.integers(0, 2))


# --- the forms ---


@given(masks)
@settings(max_examples=150, deadline=None)
def test_polygons_drawn_in_order_are_the_mask(labels):
    np.testing.assert_array_equal(drawn(to_labelme(found_in(labels), Path("x.json"))), labels)


def test_polygons_of_rings_and_diagonals():
    ring = np.zeros((9, 9), np.uint8)
    cv2.circle(ring, (4, 4), 3, 1)  # joined by corners alone: what is inside is not shut off
    for labels in (ring, 2 - ring, np.kron(np.indices((6, 6)).sum(0) % 2, np.ones((1, 1), int)), np.pad(np.zeros((3, 3), int), 2, constant_values=1)):
        np.testing.assert_array_equal(drawn(to_labelme(found_in(labels), Path("x.json"))), labels)
    assert polygons(np.zeros((3, 3), bool)) == [] and [len(edge) for edge in polygons(np.ones((1, 1), bool))] == [3]


@given(masks)
@settings(max_examples=60, deadline=None)
def test_coco_run_lengths_are_the_mask(labels):
    from pycocotools import mask as tools

    made = to_coco(found_in(labels), "x")
    assert [one["category_id"] - 1 for one in made["annotations"]] == np.unique(labels).tolist()
    for one in made["annotations"]:
        truth = labels == one["category_id"] - 1
        np.testing.assert_array_equal(tools.decode({"size": one["segmentation"]["size"], "counts": one["segmentation"]["counts"].encode()}), truth)
        assert one["area"] == truth.sum() and one["bbox"][2:] == [np.ptp(np.argwhere(truth)[:, axis]) + 1 for axis in (1, 0)]


@pytest.mark.parametrize("k", [3, 256, 257, 1000])
def test_grey_masks_are_numbers_to_every_reader(tmp_path, k):
    labels = np.arange(2 * k).reshape(2, k) % k
    path = found_in(labels, [f"class {i}" for i in range(k)]).save(tmp_path, "a", "grey")
    for read in (lambda p: cv2.imread(str(p), cv2.IMREAD_UNCHANGED), skimage.io.imread, imageio.imread, lambda p: np.asarray(Image.open(p))):
        got = read(path)
        assert got.dtype == (np.uint8 if k <= 256 else np.uint16)
        np.testing.assert_array_equal(got, labels)


def test_a_palette_mask_is_colours_to_others(tmp_path):
    "What the docs say: this is why there is a grey form."
    path = found_in(np.arange(6).reshape(2, 3) % 3).save(tmp_path, "a")
    assert all(read(path).shape == (2, 3, 3) for read in (cv2.imread, skimage.io.imread, imageio.imread))


def test_everything_at_once(tmp_path):
    labels = np.repeat(np.arange(3), 4).reshape(3, 4).T
    Image.fromarray(found_in(labels).image).save(tmp_path / "a.png")
    found = found_in(labels, ["dark/black", "grey", "Bär"], source=str(tmp_path / "a.png"))
    assert found.save(tmp_path / "out", "deep/a", list(FORMATS)) == tmp_path / "out/deep/a.png"
    report = json.loads((tmp_path / "out/deep/a.json").read_text())
    assert report["formats"] == list(FORMATS) and all(place(tmp_path / "out", "deep/a", format).exists() for format in FORMATS)
    assert (tmp_path / "out/classes.txt").read_text("utf-8").splitlines() == found.classes
    binary = {path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "out/binary/deep/a").iterdir()}
    assert set(binary) == {"000-dark_black.png", "001-grey.png", "002-Bär.png"}
    for i, name in enumerate(sorted(binary)):
        np.testing.assert_array_equal(binary[name], (labels == i) * 255)
    sure = cv2.imread(str(tmp_path / "out/confidence/deep/a.png"), cv2.IMREAD_UNCHANGED)
    assert sure.dtype == np.uint16
    np.testing.assert_allclose(sure / 65535, found.confidence.float(), atol=1e-5)
    document = json.loads((tmp_path / "out/labelme/deep/a.json").read_text("utf-8"))
    np.testing.assert_array_equal(skimage.io.imread(tmp_path / "out/labelme/deep" / document["imagePath"]), found.image)
    assert document["imageData"] is None and {"software", "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} == set(document)
    coco = reader_of(tmp_path / "out/coco/deep/a.json")
    assert coco.loadImgs(1)[0]["file_name"] == "deep/a.png" and [c["name"] for c in coco.loadCats(coco.getCatIds())] == found.classes


def test_an_image_without_a_file_is_inside_labelmes(tmp_path):
    import base64

    found = found_in(np.eye(5, dtype=int))
    document = to_labelme(found, tmp_path / "a.json")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(document["imageData"])))), found.image)


def test_the_background_is_no_object():
    found = found_in(np.eye(4, dtype=int), ["background", "grey", "light"])
    found = replace(found, logits=found.logits[1:])
    assert [c["name"] for c in to_coco(found, "a")["categories"]] == ["grey", "light"] and len(to_coco(found, "a")["annotations"]) == 1
    assert list(found.to_supervision().data["class_name"]) == ["grey"] and list(found.masks()) == ["background", "grey"]
    assert "grey" in found.class_confidence and 0 <= found.confidence.min() and found.confidence.max() <= 1
    assert found_in(np.eye(4, dtype=int), ["grey", "background"]).to_supervision().class_id.tolist() == [0, 1], "another class of that name is one"


@pytest.mark.parametrize("library, format, extra", [("pycocotools.mask", "coco", "coco"), ("cv2", "labelme", "labelme")])
def test_without_its_library(monkeypatch, library, format, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DotsegError, match=rf"not installed: pip install dotseg\[{extra}\]"):
        check_formats(["palette", format])
    assert check_formats(["palette", "palette"]) == ["palette"]


# --- confidence ---


@pytest.mark.parametrize("mode", MEASURES)
def test_confidence_for_every_measure(mode):
    seg = Segmenter(levels, itself, DiscrepancyConfig(mode=mode))
    found = seg(np.linspace(0, 255, 600).reshape(20, 30).astype(np.uint8), NAMES)
    assert found.confidence.shape == found.labels.shape and found.confidence.dtype == torch.float16
    assert 1 / 3 - 0.34 < found.confidence.min() and found.confidence.max() <= 1
    shares = F.interpolate((seg.config.scale * found.logits).softmax(0)[None], (20, 30), mode="bilinear")[0]
    torch.testing.assert_close(found.confidence.float(), shares.gather(0, found.labels.long()[None])[0], atol=1e-3, rtol=0)
    for name, mean in found.class_confidence.items():
        assert mean == pytest.approx(found.confidence[found.labels == NAMES.index(name)].double().mean().item())


def test_confidence_of_a_large_image_is_that_of_its_working_size(monkeypatch):
    monkeypatch.setattr("dotseg.segmentation.pipeline.MAX_PIXELS", 300)
    with pytest.warns(UserWarning, match="is segmented at 30 x 10"):
        found = Segmenter(levels, itself, DiscrepancyConfig())(np.arange(2700).reshape(30, 90).astype(np.uint8), NAMES)
    small = label_confidence(found.logits, found.labels[1::3, 1::3], 40.0)
    torch.testing.assert_close(found.confidence[1::3, 1::3].float(), small, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.confidence, found.confidence[1::3, 1::3].repeat_interleave(3, 0).repeat_interleave(3, 1))


def test_confidence_where_classes_are_out():
    logits = torch.full((2, 2, 2), -torch.inf)
    logits[0, 0] = 0.3
    assert label_confidence(logits, torch.zeros(2, 2, dtype=torch.uint8), 10.0).tolist() == [[1, 1], [0, 0]]
    found = found_in(np.eye(3, dtype=int))
    with pytest.raises(DotsegError, match="no logits"):
        replace(found, logits=None).confidence  # noqa: B018
    assert replace(found, logits=None).report()["confidence"] == {} and replace(found, logits=None).to_supervision().confidence is None


# --- in Python ---


def test_supervision(tmp_path):
    import supervision

    labels = np.zeros((6, 9), int)
    labels[1:4, 2:7], labels[5, 8] = 2, 1
    found = found_in(labels)
    got = found.to_supervision()
    assert isinstance(got, supervision.Detections) and got.class_id.tolist() == [0, 1, 2] and list(got.data["class_name"]) == NAMES
    np.testing.assert_array_equal(got.mask, np.stack(list(found.masks().values())))
    assert got.xyxy[2].tolist() == [2, 1, 6, 3] and got.confidence == pytest.approx(list(found.class_confidence.values()))
    assert supervision.MaskAnnotator().annotate(found.image.copy(), got).shape == found.image.shape


def test_what_it_shows():
    from html.parser import HTMLParser

    found = found_in(np.eye(600, dtype=int), ['<script>alert("x")</script>', "a & b"])
    shown, seen = found._repr_html_(), []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.append((tag, dict(attributes)))

    Parser().feed(shown)
    assert {tag for tag, _ in seen} == {"b", "div", "figcaption", "figure", "img", "li", "span", "style", "ul"} and "a &amp; b" in shown
    assert all(attributes["src"].startswith("data:image/png;base64,") and attributes["alt"] for tag, attributes in seen if tag == "img")
    assert repr(found).startswith("Segmentation(an image, 600 x 600, 2 of 2 classes: <script>") and len(repr(found)) < 200
    from matplotlib.figure import Figure

    assert isinstance(found.plot(), Figure)


def test_a_plot_is_shown_once_a_cell(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    setup = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_formats import found_in; import numpy as np; out = found_in(np.eye(9, dtype=int))"
    cells = [setup, "out.plot()", "out.plot(); print('after')", "figure = out.plot()", "figure", "out"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    pictures = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert pictures == [0, 1, 1, 1, 1, 0]
    assert "<img" in notebook.cells[-1].outputs[0].data["text/html"]


def test_in_a_window(monkeypatch):
    "Where matplotlib has windows, a plot opens one."
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from dotseg.segmentation import segmenter

    opened = []

    class Manager:
        def show(self):
            opened.append("shown")

        @classmethod
        def start_main_loop(cls):
            opened.append("waited")

    class Canvas(FigureCanvasAgg):
        required_interactive_framework = "stand-in"

        @classmethod
        def new_manager(cls, figure, number):
            return Manager()

    true_show = segmenter.show_labels

    def in_a_window(*args):
        figure = true_show(*args)
        Canvas(figure)
        return figure

    monkeypatch.setattr(segmenter, "show_labels", in_a_window)
    found_in(np.eye(4, dtype=int)).plot()
    assert opened == ["shown", "waited"]


# --- runs ---


def draw(*names, value=200):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((6, 8, 3), value, np.uint8)
        picture[:, :3] = 0
        Image.fromarray(picture).save(name)


def run(*words, classes="dark, light"):
    return main(["segment", *words, "--classes", classes, "--preset", "fake", "--background", "off"])


def files(folder="out"):
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".dotseg")}


def stamps():
    return {name: (Path("out") / name).stat().st_mtime_ns for name in files()}


def test_each_form_is_done_for_itself(home, capsys):
    draw("in/a.png", "in/b.png")

    def redone(*words, **options):
        before = stamps() if Path("out").exists() else {}
        assert run("in", *words, **options) == 0
        return {name for name, stamp in stamps().items() if before.get(name) != stamp and name.endswith("/a.png") or before.get(name) != stamp and name == "a.png"}

    assert redone("--format", "grey") == {"grey/a.png"}
    assert redone("--format", "grey") == set()
    assert redone("--confidence") == {"a.png", "grey/a.png", "confidence/a.png"}, "what was there is written anew, so that all are of one run"
    assert redone("--format", "grey,palette", "--confidence") == set()
    assert redone(classes="light, dark") == {"a.png", "grey/a.png", "confidence/a.png"}, "nothing of older settings is left"
    assert json.loads(Path("out/a.json").read_text())["settings"]["classes"] == ["light", "dark"]
    Path("out/grey/a.png").unlink()
    assert redone(classes="light, dark") == set()
    assert redone("--format", "grey", classes="light, dark") == {"a.png", "grey/a.png", "confidence/a.png"}
    assert redone("--format", "binary", classes="light, dark") == {"a.png", "grey/a.png", "confidence/a.png"}
    next(Path("out/binary/a").iterdir()).unlink()
    assert redone("--format", "binary", classes="light, dark") == {"a.png", "grey/a.png", "confidence/a.png"}
    assert redone("--format", "binary", classes="light, dark") == set()
    assert redone("--overlay", classes="light, dark") and redone("--overlay", "--overlay-alpha", "0.2", classes="light, dark")
    assert redone("--overlay", "--overlay-alpha", "0.2", classes="light, dark") == set()


def test_a_class_that_is_gone_leaves_no_binary_mask(home):
    draw("in/a.png")
    assert run("in", "--format", "binary") == 0 and len(files("out/binary/a")) == 2
    draw("in/a.png", value=0)
    os.utime("in/a.png", (2**31, 2**31))  # newer than its masks
    assert run("in", "--format", "binary") == 0 and files("out/binary/a") == {"000-dark.png"}


def test_the_coco_file_of_a_run_has_all_its_images(home, capsys):
    draw("in/a.png", "in/sub/b.jpg")
    Path("in/torn.png").write_bytes(b"no image")
    assert run("in", "--format", "coco") == 1
    assert [image["file_name"] for image in reader_of(f"out/{COCO_FILE}").dataset["images"]] == ["a.png", "sub/b.jpg"]
    draw("in/torn.png", "in/c.png")
    first = stamps()
    assert run("in", "--format", "coco") == 0, "resumed: two are done"
    assert {name for name in first if first[name] != stamps()[name]} == {COCO_FILE}
    coco = reader_of(f"out/{COCO_FILE}")
    assert {image["file_name"]: image["id"] for image in coco.dataset["images"]}.keys() == {"a.png", "c.png", "torn.png", "sub/b.jpg"}
    assert sorted(coco.anns) == list(range(1, 9)) and sorted(coco.imgs) == [1, 2, 3, 4]
    assert run("in", "--format", "grey,coco") == 0
    coco = reader_of(f"out/{COCO_FILE}")
    for image in coco.dataset["images"]:
        labels = cv2.imread(f"out/grey/{Path(image['file_name']).with_suffix('.png')}", cv2.IMREAD_UNCHANGED)
        assert labels.shape == (image["height"], image["width"])
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            np.testing.assert_array_equal(coco.annToMask(annotation), labels == annotation["category_id"] - 1)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_leaves_nothing_half(home, monkeypatch, capsys, format, nth):
    draw("in/a.png", "in/b.png")
    from dotseg.segmentation import formats, segmenter

    written = []

    def failing(path, write):
        written.append(path)
        if len(written) == nth:
            raise OSError(28, "No space left on device", str(path))
        true_write(path, write)

    true_write = formats.atomic_write
    with monkeypatch.context() as patch:
        patch.setattr(formats, "atomic_write", failing)
        patch.setattr(segmenter, "atomic_write", failing)
        assert run("in", "--format", format, "--batch-size", "1") == 1
    assert "No space left" in capsys.readouterr().err and not any(name.endswith(".part") for name in files())
    done = sum(name in files() for name in ("a.json", "b.json"))
    assert run("in", "--format", format) == 0
    assert (f"{done} of 2 images were already done" in capsys.readouterr().err) == (done > 0)
    assert {"a.json", "b.json", "classes.txt"} <= files() and (format != "coco" or COCO_FILE in files())


def test_outputs_that_would_meet(home, capsys):
    draw("in/a.png", "in/grey/a.png", "in/binary/a/b.png")
    assert run("in") == 0
    assert run("in", "--format", "palette,grey") == 2 and "would both write grey/a.png" in capsys.readouterr().err.replace("\\", "/")
    assert run("in", "--format", "palette,binary") == 2 and "would both write binary/a/b.png" in capsys.readouterr().err.replace("\\", "/")


# --- what is found, and what is passed over ---


def test_patterns_and_lists(home, monkeypatch, capsys):
    draw("in/a.png", "in/b.jpg", "in/deep/a.png")
    assert run("in/**/*.png", "--out", "one") == 0 and {"a.png", "deep/a.png"} == {name for name in files("one") if name.endswith(".png")}
    assert run("in/[ab].*", "--out", "two") == 0 and {"a.png", "b.png"} == {name for name in files("two") if name.endswith(".png")}
    monkeypatch.setattr(sys, "stdin", io.StringIO("in/a.png\n\nin/b.jpg\n"))
    assert run("-", "--out", "three") == 0 and {"a.png", "b.png"} == {name for name in files("three") if name.endswith(".png")}
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("-") == 2 and "images: got none" in capsys.readouterr().err
    assert run("in/*.bmp") == 2 and "no file matches this pattern" in capsys.readouterr().err
    draw("in/c[1].png")
    assert run("in/c[1].png", "--out", "four") == 0 and "c[1].png" in files("four"), "a file of that name is no pattern"


def test_what_is_passed_over_is_listed(home, capsys):
    draw("in/a.png", "in/deep/b.png", "elsewhere/c.png")
    for name in ("x.jp2", "x.tga", "x.jfif", "x.nef", "x.mp4", ".hidden.jp2", "x.txt"):
        Path("in", name).touch()
    pages = [Image.new("RGB", (8, 6), shade) for shade in ("black", "white", "grey")]
    for name in ("g.gif", "t.tif", "w.webp"):
        pages[0].save(f"in/{name}", save_all=True, append_images=pages[1:], **({"lossless": True} if name == "w.webp" else {}))
    os.symlink(Path("elsewhere").absolute(), "in/link")
    assert run("in") == 0
    said = capsys.readouterr().err
    assert said.startswith("Left out (9):\n")
    for name, why in (("x.jp2", ".jp2 files are not searched for"), ("x.tga", "name the file to try it"), ("x.jfif", ""), ("x.nef", ""), ("x.mp4", "use --frames to segment its frames"),
                      ("link", "a link to a folder"), ("g.gif", "the first of its 3 frames is segmented"), ("t.tif", "the first of its 3 frames is segmented"), ("w.webp", "the first of its 3 frames is segmented")):
        assert [line for line in said.splitlines() if line.startswith(f"  {Path('in', name)}: ") and why in line], name
    assert run("in", "in/link") == 0 and "c.png" in files() and "Left out (8)" in capsys.readouterr().err
    assert run("in", "--quiet") == 0 and capsys.readouterr() == ("", "")


def test_a_folder_that_may_not_be_read(home, capsys, monkeypatch):
    draw("in/a.png", "in/shut/b.png")
    true_scan = os.scandir

    def scan(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return true_scan(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert run("in") == 0
    assert f"{Path('in/shut')}: a folder that cannot be read" in capsys.readouterr().err


def test_a_named_file_of_an_unsearched_type_is_read(home):
    Image.new("RGB", (8, 6), "white").save("x.jp2")
    Image.new("RGB", (8, 6), "white").save("y.tga")
    assert run("x.jp2", "y.tga") == 0 and {"x.png", "y.png"} <= files()


def test_json_lines(home, capsys):
    draw("in/a.png")
    Path("in/torn.png").write_bytes(b"no image")
    assert run("in", "--json", "--format", "palette,grey") == 1
    out, err = capsys.readouterr()
    rows = {row["image"]: row for row in map(json.loads, out.splitlines())}
    assert len(rows) == 2 == len(out.splitlines()) and "1 of 2 masks are in out" in err
    good, bad = rows[str(Path("in/a.png"))], rows[str(Path("in/torn.png"))]
    assert good["status"] == "written" and all(Path(path).is_file() for path in (*good["outputs"].values(), good["report"])) and set(good["outputs"]) == {"palette", "grey"}
    assert bad["status"] == "failed" and "not an image" in bad["reason"] and bad["outputs"] == {}
    assert run("in", "--json", "--quiet", "--format", "palette,grey") == 1
    out, err = capsys.readouterr()
    assert {json.loads(line)["status"] for line in out.splitlines()} == {"skipped", "failed"} and err.startswith("No mask for 1 of 2 images:")


def test_a_dry_run_loads_and_writes_nothing(home, capsys, monkeypatch):
    draw("in/a.png", "in/b.png")
    monkeypatch.setattr("dotseg.app.command_line.load", lambda args: pytest.fail("a model was loaded"))
    assert run("in", "--dry-run", "--format", "palette,coco") == 0
    assert capsys.readouterr().out.replace("\\", "/").splitlines() == ["in/a.png -> out/a.png, out/coco/a.json", "in/b.png -> out/b.png, out/coco/b.json"]
    assert not Path("out").exists()
    assert run("in", "--dry-run", "--json") == 0
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["planned", "planned"]


def test_quiet_says_nothing_but_what_failed(home, capsys, monkeypatch):
    monkeypatch.setattr("dotseg.segmentation.pipeline.MAX_PIXELS", 12)
    draw("a.png", "b.png")
    assert run("a.png", "--quiet") == 0 and capsys.readouterr() == ("", "")
    Path("b.png").write_text("no image")
    assert run("a.png", "b.png", "--quiet") == 1 and capsys.readouterr().err.startswith("No mask for 1 of 2 images:")


# --- frames ---


def film(path, shades=(0, 128, 255), size=(48, 64)):
    import av

    with av.open(str(path), "w") as made:
        stream = made.add_stream("mpeg4", rate=5)
        stream.height, stream.width = size
        for shade in shades:
            picture = np.full((*size, 3), shade, np.uint8)
            picture[:8, :8] = 255 - shade  # the upper left corner
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        made.mux(stream.encode())


def test_frames_are_images_of_their_own(home, capsys):
    Path("in").mkdir()
    film("in/film.mp4")
    draw("in/a.png")
    pages = [Image.new("RGB", (8, 6), shade) for shade in ("black", "white")]
    for name in ("g.gif", "t.tif", "w.webp"):
        pages[0].save(f"in/{name}", save_all=True, append_images=pages[1:], **({"lossless": True} if name == "w.webp" else {}))
    assert run("in", "--frames", "--format", "grey,coco") == 0
    assert {name for name in files("out/grey")} == {"a.png", *(f"film.f000{i}.png" for i in (1, 2, 3)), *(f"{n}.f000{i}.png" for n in "gtw" for i in (1, 2))}
    for n in "gtw":
        assert [np.asarray(Image.open(f"out/grey/{n}.f000{i}.png")).max() for i in (1, 2)] == [0, 1]
    assert json.loads(Path("out/g.f0002.json").read_text())["source"] == f"{Path('in/g.gif').resolve()}#0002"
    assert [image["file_name"] for image in reader_of(f"out/{COCO_FILE}").dataset["images"]][:2] == ["a.png", "film.f0001.png"]
    assert capsys.readouterr().out == "10 of 10 masks are in out\n"
    Path("out/film.f0002.json").unlink()
    before = stamps()
    assert run("in", "--frames", "--format", "grey,coco") == 0
    assert {name for name, stamp in stamps().items() if before.get(name) != stamp} == {"film.f0002.json", "grey/film.f0002.png", "coco/film.f0002.json", COCO_FILE}
    assert "9 of 10 images were already done" in capsys.readouterr().err


def test_a_film_that_breaks_off_keeps_what_came_before(home, capsys):
    film("film.mkv", range(0, 250, 10))
    whole = Path("film.mkv").read_bytes()
    Path("film.mkv").write_bytes(whole[: len(whole) // 2])
    Path("text.mp4").write_text("no film")
    assert run("film.mkv", "text.mp4", "--frames") == 1
    assert "text.mp4: cannot be read as an image" in capsys.readouterr().err and 2 <= len([name for name in files() if name.startswith("film.f") and name.endswith(".png")]) < 25


def test_frames_are_read_as_they_are_needed(home, monkeypatch):
    film("film.mp4", range(0, 200, 2))
    read, seen = [], []
    true_frames = read_frames

    def counting(path):
        for frame in true_frames(path):
            read.append(frame.number)
            yield frame

    monkeypatch.setattr("dotseg.segmentation.images.read_frames", counting)
    from dotseg.app.folders import find_images
    from dotseg.app.runs import segment_files

    seg = Segmenter(levels, itself, DiscrepancyConfig(jbu=False))
    for _ in segment_files(seg, find_images(["film.mp4"], Path("out"), frames=True), ["dark", "light"], Path("out"), batch_size=4, frames=True):
        seen.append(len(read))
    assert len(seen) == 100 and all(count <= i + 4 for i, count in enumerate(seen))


def test_a_frame_and_an_image_of_one_name(home, capsys):
    Image.new("RGB", (8, 6)).save("g.gif", save_all=True, append_images=[Image.new("RGB", (8, 6), "white")])
    draw("g.f0002.png")
    assert run("g.gif", "g.f0002.png", "--frames") == 2
    assert "would both have the name g.f0002" in capsys.readouterr().err


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_film_that_was_filmed_lying_is_upright(tmp_path, turn):
    film(tmp_path / "film.mp4", [0])
    data = bytearray((tmp_path / "film.mp4").read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a track header of version 0
    a, b = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]  # clockwise by so many degrees
    numbers = [a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    (tmp_path / "film.mp4").write_bytes(data)
    (frame,) = read_frames(tmp_path / "film.mp4")
    upright = np.rot90(np.pad(np.full((8, 8), 255, np.uint8), ((0, 40), (0, 56))), -turn // 90)
    assert frame.picture.shape[:2] == upright.shape
    assert abs(frame.picture.mean(-1) - upright).mean() < 12


@pytest.mark.parametrize("name, library, extra", [("x.heic", "pillow_heif", "heif"), ("x.jpg", "pillow_heif", "heif"), ("x.mp4", "av", "video")])
def test_without_a_reader(tmp_path, monkeypatch, name, library, extra):
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])  # as before another test registered it
    with pytest.raises(ImageError, match=rf"{name}: .* need {library}, which is not installed: pip install dotseg\[{extra}\]"):
        list(read_frames(path)) if name == "x.mp4" else load_image(path)


def test_heic_and_avif_in_a_folder(home):
    import pillow_heif

    Path("in").mkdir()
    pillow_heif.from_bytes("RGB", (64, 64), bytes([255]) * 64 * 64 * 3).save("in/a.heic")
    assert run("in", "--format", "grey") == 0 and np.asarray(Image.open("out/grey/a.png")).min() == 1
    if features.check("avif"):
        Image.new("RGB", (64, 64), "black").save("in/b.avif")
        assert run("in", "--format", "grey") == 0 and np.asarray(Image.open("out/grey/b.png")).max() == 0


def test_avif_without_an_avif_of_pillow(tmp_path, monkeypatch):
    (tmp_path / "x.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(100))
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "AVIF"])
    with pytest.raises(ImageError, match="x.avif: AVIF images need Pillow 11.3"):
        load_image(tmp_path / "x.avif")


def test_count_pages(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "g.gif", save_all=True, append_images=[Image.new("RGB", (8, 6), "white")])
    (tmp_path / "torn.gif").write_bytes((tmp_path / "g.gif").read_bytes()[:20])
    assert (count_pages(tmp_path / "g.gif"), count_pages(tmp_path / "torn.gif"), count_pages(tmp_path / "lost.gif")) == (2, 1, 1)


def test_supervision_reads_the_coco_file_of_a_run(home):
    import supervision

    draw("in/a.png", "in/sub/b.png")
    assert run("in", "--format", "grey,coco") == 0
    data = supervision.DetectionDataset.from_coco(images_directory_path="in", annotations_path=f"out/{COCO_FILE}", force_masks=True)
    assert data.classes == ["dark", "light"] and len(data) == 2
    for path, image, found in data:
        labels = skimage.io.imread(Path("out/grey") / Path(path).relative_to(Path("in").absolute()))
        assert image.shape == (6, 8, 3)
        for label, mask in zip(found.class_id, found.mask):
            np.testing.assert_array_equal(mask, labels == label)

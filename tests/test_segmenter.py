import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import PIL
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from dotseg.segmentation import pipeline as module
from dotseg.figures.palette import class_colours
from dotseg.method.errors import DotsegError
from dotseg.method.measures import MEASURES, MaximumVelocity, OptimalPath
from dotseg.method.refine import DiscrepancyConfig
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.models.checkpoints import Checkpoint, CheckpointError
from dotseg.models.opening import check_file, fingerprint
from dotseg.segmentation.images import ImageError, from_numbers, label_picture, load_image, to_rgb, atomic_write
from dotseg.segmentation.pipeline import working_size
from dotseg.segmentation.presets import PRESETS, Part, Preset
from dotseg.segmentation.segmenter import Segmenter

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)
NAMES = ["dark", "grey", "light"]
ORIENTATION = 0x112


class Levels:
    "A logit source: class c of k is the brightness c / (k - 1)."

    def __init__(self, grid=(4, 6)):
        self.grid, self.batches = grid, []

    def __call__(self, images, classes):
        self.batches.append(tuple(images.shape))
        light = F.interpolate(images.mean(1, keepdim=True), self.grid, mode="area")
        return 1 - (light - torch.linspace(0, 1, len(classes))[:, None, None]).abs()


class Itself:
    "An attention source: each patch attends to itself."

    def __call__(self, images, grid):
        return torch.eye(grid[0] * grid[1]).expand(len(images), -1, -1)


def fake(grid=(4, 6), **changes):
    return Segmenter(Levels(grid), Itself(), DiscrepancyConfig(**changes), {"logits": "levels", "attention": "itself"})


@pytest.fixture(scope="module")
def miniature():
    return Segmenter.from_preset("picturebook")


def stored(picture, tmp_path, name, **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


# --- what is read ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_exif_rotation(tmp_path, orientation, name):
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:8, :16] = 255  # a corner that tells all eight apart
    lay = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]  # how it lay in the camera, as Image.Transpose
    picture = Image.fromarray(upright)
    for step in lay:
        picture = picture.transpose(step)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = stored(picture, tmp_path, name, exif=exif)
    out = fake()(path, NAMES)
    assert out.labels.shape == upright.shape[:2] == out.image.shape[:2]
    assert (np.abs(out.image.astype(int) - upright) > 60).mean() < 0.02
    assert Image.open(out.save(tmp_path / "out")).size == (40, 24)
    np.testing.assert_array_equal(load_image(Image.open(path)), out.image)  # an open PIL image alike


GREYS = np.array([[0, 1, 127, 128, 254, 255]], np.uint8)
IN_THREE = np.repeat(GREYS[..., None], 3, -1)


def transparent_palette():
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.info["transparency"] = 0
    return picture


@pytest.mark.parametrize(
    "picture, want, name",
    [
        (Image.fromarray(GREYS), IN_THREE, "grey.png"),
        (Image.fromarray(IN_THREE), IN_THREE, "rgb.bmp"),
        (Image.fromarray(IN_THREE).convert("CMYK"), IN_THREE, "cmyk.tif"),
        (Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).convert("CMYK"), np.full((8, 8, 3), 200), "cmyk.jpg"),
        (Image.fromarray(GREYS).convert("P"), IN_THREE, "palette.png"),
        (Image.fromarray(GREYS).convert("P"), IN_THREE, "palette.gif"),
        (transparent_palette(), [[[255, 255, 255], [10, 20, 30]]], "holes.png"),
        (transparent_palette(), [[[255, 255, 255], [10, 20, 30]]], "holes.gif"),
        (Image.fromarray(GREYS.astype(np.uint16) * 257), IN_THREE, "deep.png"),
        (Image.fromarray(GREYS.astype(np.uint16) * 257), IN_THREE, "deep.tif"),
        (Image.frombytes("I;16B", (6, 1), (GREYS.astype(">u2") * 257).astype(">u2").tobytes()), IN_THREE, "big-endian.tif"),
        (Image.fromarray(np.stack([0 * GREYS, 255 - GREYS], -1)), IN_THREE, "la.png"),
        (Image.fromarray(np.dstack([0 * IN_THREE, 255 - GREYS])), IN_THREE, "rgba.png"),
        (Image.fromarray(GREYS > 127), (IN_THREE > 127) * 255, "bit.png"),
        (Image.fromarray(GREYS > 127), (IN_THREE > 127) * 255, "bit.pbm"),
        pytest.param(Image.fromarray(IN_THREE).convert("YCbCr"), IN_THREE, "ycbcr.tif", marks=pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="older Pillows do not read back what they write")),
        (Image.fromarray(np.full((1, 1, 3), 7, np.uint8)), [[[7, 7, 7]]], "pixel.png"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_every_mode(tmp_path, picture, want, name):
    path = stored(picture, tmp_path, name)
    for source in (path, str(path), Image.open(path)):
        got = load_image(source)
        assert got.dtype == np.uint8 and got.shape == np.shape(want)
        assert np.abs(got.astype(int) - want).max() <= (2 if "jpg" in name else 1 if "y" in name else 0)


@pytest.mark.parametrize("mode", "1 L P RGB RGBA CMYK YCbCr LAB HSV LA PA RGBX RGBa I I;16 I;16L I;16B".split())
def test_pil_images_of_every_mode(mode):
    got = to_rgb(Image.new(mode, (5, 3)))
    assert got.shape == (3, 5, 3) and got.dtype == np.uint8


def test_sixteen_bits_round_to_nearest():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    want = (every / 257).round().astype(np.uint8)
    for x in (every, every.astype(">u2"), torch.from_numpy(every)):
        np.testing.assert_array_equal(load_image(x)[..., 0], want)
    np.testing.assert_array_equal(load_image(Image.fromarray(every))[..., 0], want)
    np.testing.assert_array_equal(load_image(np.repeat(every[..., None], 3, -1))[..., 1], want)


def test_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    for name in ("x.gif", "x.tif", "x.webp", "x.png"):
        path = stored(frames[0], tmp_path, name, save_all=True, append_images=frames[1:], **({"lossless": True} if name == "x.webp" else {}))
        assert Image.open(path).n_frames == 3
        assert (load_image(path) == [255, 0, 0]).all()


@pytest.mark.parametrize(
    "x",
    [
        BYTES,
        np.asfortranarray(BYTES),
        BYTES[:, ::-1][:, ::-1],
        np.dstack([BYTES, np.full(BYTES.shape[:2], 255, np.uint8)]),
        BYTES / 255,
        (BYTES / 255).astype(np.float16),
        torch.from_numpy(BYTES).permute(2, 0, 1),
        torch.from_numpy(BYTES).permute(2, 0, 1) / 255,
        (torch.from_numpy(BYTES).permute(2, 0, 1) / 255).double().requires_grad_(),
    ],
    ids=["bytes", "fortran", "strided", "opaque", "float64", "float16", "tensor", "float tensor", "with gradient"],
)
def test_arrays_and_tensors(x):
    np.testing.assert_array_equal(load_image(x), BYTES)


def test_grey_arrays_and_tensors():
    grey = BYTES[..., 0]
    want = np.repeat(grey[..., None], 3, -1)
    for x in (grey, grey[..., None], torch.from_numpy(grey.copy()), torch.from_numpy(grey.copy())[None]):
        np.testing.assert_array_equal(load_image(x), want)
    np.testing.assert_array_equal(load_image(grey > 9)[..., 0], (grey > 9) * 255)
    np.testing.assert_array_equal(load_image(torch.from_numpy(grey > 9))[..., 0], (grey > 9) * 255)
    assert load_image(torch.rand(3, 2, 2).bfloat16()).shape == (2, 2, 3)


def test_alpha_is_over_white():
    got = load_image(np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 128]]], np.uint8))
    assert got.tolist() == [[[255, 255, 255], [10, 20, 30], [127, 127, 127]]]


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.full((4, 4, 3), 1.01), r"got floats from 1.01 to 1.01, expected \[0, 1\]"),
        (np.full((4, 4, 3), -0.1), "got floats from -0.1"),
        (np.full((4, 4, 3), 255.0), "divide by 255"),
        (np.full((4, 4, 3), np.nan), "got floats from nan"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 7, np.nan, 0.5), "got floats from nan"),
        (np.full((4, 4, 3), np.inf), "got floats from inf"),
        (torch.full((3, 4, 4), torch.nan), "got floats from nan"),
        (np.zeros((4, 4, 2), np.uint8), r"got an array of shape \(4, 4, 2\)"),
        (np.zeros((4, 4, 5), np.uint8), r"got an array of shape \(4, 4, 5\)"),
        (np.zeros((3, 40, 40), np.uint8), r"got an array of shape \(3, 40, 40\), .*; x.transpose\(1, 2, 0\)"),
        (torch.zeros(40, 50, 3), r"got a tensor of shape \(40, 50, 3\), .*; x.permute\(2, 0, 1\) puts the channels first"),
        (torch.zeros(1, 3, 40, 40), r"got a tensor of shape \(1, 3, 40, 40\), .*; several images go through stream"),
        (np.zeros(4, np.uint8), r"got an array of shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got an array of shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int64), "got int64"),
        (np.zeros((4, 4, 3), np.uint32), "got uint32"),
        (np.zeros((4, 4, 3), complex), "got complex"),
        (np.full((4, 4), "x"), "got <U1"),
        (Image.new("F", (4, 4)), "float32 pixels from 0 to 0: which number is white"),
        (Image.fromarray(np.array([[-1, 70000]], np.int32)), "int32 pixels from -1 to 70000: which number is white"),
        (None, "got NoneType"),
        (7, "got int"),
        ([[0, 1]], "got list"),
        (b"bytes", "got bytes"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_refused(bad, message):
    with pytest.raises(ImageError, match=f"^image: .*{message}"):
        load_image(bad)
    with pytest.raises(ImageError, match=message):
        fake()(bad, NAMES)


def png(picture=None):
    file = io.BytesIO()
    (picture or Image.fromarray(np.tile(BYTES, (9, 9, 1)))).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("half.png", png()[: len(png()) // 2], "cannot be read as an image: .*truncated"),
        ("text.png", b"not an image", "not an image"),
        ("empty.jpg", b"", "not an image"),
        ("header.png", png()[:8], "cannot be read as an image|not an image"),
        ("a\nb.png", b"", "not an image"),
        ("Bär 画像.png", b"?", "not an image"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as error:
        load_image(path)
    assert str(error.value).startswith(f"{path}: ")
    told = []
    good = stored(Image.fromarray(BYTES), tmp_path, "good.png")
    out = list(fake().stream([good, path, good], NAMES, on_error=lambda *args: told.append(args)))
    assert len(out) == 2 and [(item, type(e)) for item, e in told] == [(path, ImageError)]


def test_no_file_no_permission_no_image(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match=r"lost.png: no such file"):
        load_image(tmp_path / "lost.png")
    with pytest.raises(ImageError, match=r"Is a directory|Permission denied"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="null"):
        load_image("a\0b.png")

    def forbidden(path, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = stored(Image.fromarray(BYTES), tmp_path, "x.png")
    if os.name == "posix" and os.getuid():
        path.chmod(0)
    else:  # root may read everything
        monkeypatch.setattr(Image, "open", forbidden)
    with pytest.raises(ImageError, match=r"x.png: cannot be read as an image: Permission denied$"):
        load_image(path)


def test_an_open_image_that_breaks_off_is_an_image_error():
    with pytest.raises(ImageError, match="^image: cannot be read"):
        load_image(Image.open(io.BytesIO(png()[: len(png()) // 2])))


def test_too_many_pixels(tmp_path, monkeypatch):
    path = stored(Image.fromarray(BYTES), tmp_path, "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="x.png: over 200 pixels"):
        load_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_images_or_image_errors(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # a damaged size must not fill the memory of this test
    rng, file = np.random.default_rng(1), io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(BYTES).save(file, kind, **({} if kind in ("GIF", "BMP", "PPM") else {"exif": exif}))
    good, outcomes, path = np.frombuffer(file.getvalue(), np.uint8), set(), tmp_path / "x"
    for i in range(150):
        bad = good[: rng.integers(1, len(good) + 1)].copy()
        where = rng.integers(0, len(bad) if i % 2 else min(len(bad), 120), 4)
        bad[where] = rng.integers(0, 256, 4)
        path.write_bytes(bad.tobytes())
        try:
            got = load_image(path)
            assert got.dtype == np.uint8 and got.ndim == 3 and got.shape[-1] == 3
            outcomes.add("image")
        except ImageError:
            outcomes.add("error")
    assert "error" in outcomes


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16, np.float32, np.bool_]), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
@settings(max_examples=80, deadline=None)
def test_any_array_is_an_image_or_an_image_error(x):
    try:
        got = from_numbers(x)
    except ImageError:
        return
    assert got.dtype == np.uint8 and got.shape == (*x.shape[:2], 3)


# --- what comes out ---


def gradient(height, width):
    return np.repeat(np.linspace(0, 255, width).round().astype(np.uint8)[None, :, None], height, 0).repeat(3, -1)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (4000, 30), (30, 4000), (97, 61)])
def test_any_size(size):
    out = fake()(gradient(*size), NAMES)
    assert out.labels.shape == size and out.labels.dtype == torch.uint8
    assert out.scores.shape == (len(out.kept), *size)
    assert sum(out.areas.values()) == pytest.approx(1)
    assert list(out.areas.values()) == sorted(out.areas.values(), reverse=True)
    assert out.overlay().size == size[::-1]


@pytest.mark.parametrize("size", [(1, 1), (4000, 30), (30, 4000), (1, 300)])
def test_any_size_through_the_miniature(miniature, size):
    out = miniature(RNG.integers(0, 256, (*size, 3), dtype=np.uint8), ["sky", "grass"])
    assert out.labels.shape == size and out.scores.isfinite().all()


@pytest.mark.parametrize("mode", MEASURES)
def test_labels_are_the_best_scores(mode):
    out = fake(mode=mode, confidence_threshold=0.3)(gradient(40, 60), NAMES)
    best = torch.tensor(out.kept)[out.scores.argmax(0)]
    torch.testing.assert_close(out.labels, best.to(torch.uint8))


@pytest.mark.parametrize("k", [1, 2, 3, 17, 255, 256, 257, 1000])
def test_masks_reload_as_they_were(tmp_path, k):
    out = fake(grid=(1, 40), mode="logits", jbu=False)(gradient(3, 2 * k + 40), [f"class {i}" for i in range(k)])
    assert out.labels.dtype == (torch.uint8 if k <= 256 else torch.int32)
    mask = Image.open(out.save(tmp_path, "m"))
    assert mask.mode == ("P" if k <= 256 else "I;16")
    np.testing.assert_array_equal(np.asarray(mask), out.labels.numpy())
    if k <= 256:
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), class_colours(k)[out.labels.numpy()])
    report = json.loads((tmp_path / "m.json").read_text())
    assert report["settings"]["classes"] == out.classes and list(report["areas"]) == list(out.areas)


def test_every_index_survives_the_mask():
    for k in (2, 16, 256, 300, 65536):
        labels = torch.arange(k).reshape(2, -1)
        file = io.BytesIO()
        label_picture(labels, [str(c) for c in range(k)]).save(file, "PNG")
        np.testing.assert_array_equal(np.asarray(Image.open(file)), labels.numpy())
    with pytest.raises(ValueError, match="k: got 65537"):
        label_picture(labels, range(65537))


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


def test_the_report_is_complete_and_strict(tmp_path):
    path = stored(Image.fromarray(gradient(20, 30)), tmp_path, "scene.v2.png")
    seg = fake(mode="fused")
    out = seg(path, ["Bär", '"quoted"', "画像"])
    mask = out.save(tmp_path / "deep" / "er", format=["palette", "overlay"])
    assert mask == tmp_path / "deep" / "er" / "scene.v2.png"
    assert sorted(p.name for p in mask.parent.iterdir()) == [".dotseg", "classes.txt", "scene.v2.json", "scene.v2.overlay.png", "scene.v2.png"]
    report = json.loads((mask.parent / "scene.v2.json").read_bytes(), parse_constant=refuse_constant)
    image = report.pop("image")
    assert image == {"file": str(path.resolve()), "bytes": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns, "ctime_ns": path.stat().st_ctime_ns,
                     "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert report == {
        "software": "dotseg (report)", "source": str(path.resolve()), "size": [20, 30], "worked_at": [20, 30], "areas": out.areas, "kept": out.classes, "dropped": {}, "notes": [],
        "diagnostics": out.diagnostics.describe(), "settings": seg.settings(out.classes),
        "confidence": {name: round(mean, 4) for name, mean in out.class_confidence.items()}, "formats": ["palette", "overlay"], "overlay_alpha": 0.7,
        "bytes": {"palette": mask.stat().st_size, "overlay": (mask.parent / "scene.v2.overlay.png").stat().st_size},
    }
    config = report["settings"]["config"]
    assert config["mode"] == {"name": "fused", "path": vars(OptimalPath()), "velocity": vars(MaximumVelocity())}
    assert set(config) == set(DiscrepancyConfig.__dataclass_fields__)
    assert report["settings"]["models"] == {"logits": "levels", "attention": "itself"}
    assert report["settings"]["version"] == __import__("dotseg").__version__
    np.testing.assert_array_equal(np.asarray(Image.open(mask.parent / "scene.v2.overlay.png")), np.asarray(out.overlay()))


def test_results_keep_the_settings_they_were_made_with():
    seg = fake()
    before = seg(BYTES, NAMES)
    seg.config = DiscrepancyConfig(mode="path")
    after = seg(BYTES, NAMES)
    assert [o.settings["config"]["mode"]["name"] for o in (before, after)] == ["velocity", "path"]


def test_names_of_files(tmp_path):
    out = fake()(BYTES, NAMES)
    assert out.source is None and out.save(tmp_path).name == "mask.png"
    assert out.save(str(tmp_path), "a/b.c") == tmp_path / "a" / "b.c.png"
    assert (tmp_path / "a" / "b.c.json").exists()


# --- whole or not at all ---


class Interruption(BaseException):
    pass


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("bug"), KeyboardInterrupt(), Interruption()])
@pytest.mark.parametrize("old", [None, b"the old one"])
def test_write_whole_leaves_nothing_half(tmp_path, error, old):
    path = tmp_path / ("x" * 250)  # the longest name that most systems take, with what comes before it

    def half(file):
        file.write(b"half" * 10_000)
        file.flush()
        raise error

    if old:
        path.write_bytes(old)
    with pytest.raises(type(error)) as caught:
        atomic_write(path, half)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([old] if old else [])
    if isinstance(error, OSError):
        assert caught.value.filename == str(path) and caught.value.errno == errno.ENOSPC
    atomic_write(path, lambda file: file.write(b"new"))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"new"]


def test_files_are_as_readable_as_others(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "whole", lambda file: file.write(b""))
    assert (tmp_path / "plain").stat().st_mode == (tmp_path / "whole").stat().st_mode


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_save_that_fails_leaves_no_half_file_and_no_report(tmp_path, monkeypatch, which, error):
    out, calls, begun = fake()(BYTES, NAMES), [], png()[:30]
    true_save = Image.Image.save

    def failing(self, file, *args, **kwargs):
        calls.append(1)
        if len(calls) > which:
            file.write(begun)
            raise error
        true_save(self, file, *args, **kwargs)

    for with_old in (False, True):
        if with_old:
            out.save(tmp_path, "m", ["palette", "overlay"])
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "save", failing)
            with pytest.raises(type(error)):
                out.save(tmp_path, "m", ["palette", "overlay"])
        calls.clear()
        after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name != ".dotseg"}
        assert "m.json" not in after  # so that a run that goes on does this image again
        assert set(after) <= {"m.png", "m.overlay.png", "classes.txt"}
        for name, content in after.items():
            assert content == before.get(name, content)
            if name.endswith(".png"):
                Image.open(io.BytesIO(content)).load()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DotsegError, match="Not a directory"):
        fake()(BYTES, NAMES).save(tmp_path / "file" / "below")


# --- streams ---


def test_batches_equal_one_by_one(miniature):
    images = [draw_scene(i).image for i in range(5)]
    images.insert(2, images[0][:, :64])  # another size in between
    single = [miniature(image, CLASSES) for image in images]
    for batch_size in (1, 3, 8):
        batched = list(miniature.stream(iter(images), CLASSES, batch_size=batch_size))
        for one, other, image in zip(single, batched, images, strict=True):
            assert other.kept == one.kept
            torch.testing.assert_close(other.scores, one.scores, atol=1e-4, rtol=1e-3)
            assert (other.labels == one.labels).float().mean() > 0.999
            np.testing.assert_array_equal(other.image, image)


def test_batches_are_of_one_size_and_no_larger_than_asked():
    sizes = [(8, 9)] * 5 + [(9, 8)] + [(8, 9)] * 2
    seg = fake()
    out = list(seg.stream([np.full((*s, 3), i, np.uint8) for i, s in enumerate(sizes)], NAMES, batch_size=3))
    assert [shape[0] for shape in seg.logit_source.batches] == [3, 2, 1, 2]
    assert [int(o.image[0, 0, 0]) for o in out] == list(range(8))
    assert [tuple(o.labels.shape) for o in out] == sizes


def test_large_images_are_not_held_together():
    seg = fake(jbu=False)
    list(seg.stream([np.zeros((1500, 1500, 3), np.uint8)] * 4, NAMES))
    assert [shape[0] for shape in seg.logit_source.batches] == [2, 2]


class SmallCard(Levels):
    "As `Levels`, on a GPU with memory for so many images at a time."

    def __init__(self, room):
        super().__init__()
        self.room = room

    def __call__(self, images, classes):
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().__call__(images, classes)


@pytest.mark.parametrize("room, encoded", [(8, [8, 3]), (4, [4, 4, 3]), (3, [2] * 5 + [1]), (1, [1] * 11)])
def test_batches_shrink_to_what_fits_a_gpu(room, encoded):
    seg = Segmenter(SmallCard(room), Itself(), DiscrepancyConfig())
    images = [np.full((8, 9, 3), 20 * i, np.uint8) for i in range(11)]
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        out = list(seg.stream(images, NAMES))
    assert [int(o.image[0, 0, 0]) for o in out] == [20 * i for i in range(11)]
    assert [shape[0] for shape in seg.logit_source.batches] == encoded
    assert len(notes) == {8: 0, 4: 1, 3: 2, 1: 3}[room] and all("do not fit" in str(note.message) for note in notes)


def test_one_image_too_many_is_said():
    with pytest.raises(torch.OutOfMemoryError):
        Segmenter(SmallCard(0), Itself(), DiscrepancyConfig())(BYTES, NAMES)


def test_a_generator_is_read_as_needed():
    read = []

    def images():
        for i in range(10**9):
            read.append(i)
            yield BYTES

    results = fake().stream(images(), NAMES, batch_size=4)
    assert read == []
    for i in range(1, 10):
        next(results)
        assert len(read) == -(-i // 4) * 4


def test_errors_come_after_what_was_before_them():
    results = fake().stream([BYTES, BYTES, None, BYTES], NAMES)
    assert len([next(results), next(results)]) == 2
    with pytest.raises(ImageError):
        next(results)
    assert list(results) == []


def test_only_bad_images_and_no_images():
    told = []
    assert list(fake().stream([None, 3], NAMES, on_error=lambda item, error: told.append(item))) == []
    assert told == [None, 3]
    assert list(fake().stream([], NAMES)) == []


def test_errors_of_the_program_are_not_taken_for_bad_images():
    def broken(images, classes):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        list(Segmenter(broken, Itself()).stream([BYTES], NAMES, on_error=lambda *_: None))


@pytest.mark.parametrize(
    "images, options, message",
    [
        ("scene.png", {}, "images: got one image"),
        (Image.fromarray(BYTES), {}, "images: got one image"),
        ([BYTES], {"batch_size": 0}, "batch_size: got 0"),
        ([BYTES], {"batch_size": -1}, "batch_size: got -1"),
        ([BYTES], {"batch_size": 2.0}, "batch_size: got 2.0"),
        ([BYTES], {"classes": []}, "classes: got"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_arguments_of_a_stream_are_checked_at_once(images, options, message):
    with pytest.raises(ValueError, match=message):
        fake().stream(images, **({"classes": NAMES} | options))


# --- large images ---


def test_working_size():
    assert working_size((2048, 2048), 32) == (2048, 2048)
    for size in ((8000, 10000), (10000, 8000), (100, 10**6), (2049, 2048)):
        for k in (1, 32, 100, 5000):
            h, w = working_size(size, k)
            assert h * w <= min(module.MAX_PIXELS, module.MAX_SCORES / k)
            assert min(h, w) < 100 or h / w == pytest.approx(size[0] / size[1], rel=0.02)
    assert working_size((1, 1), 10**9) == (1, 1)


@pytest.mark.filterwarnings("ignore:an image of")
def test_large_labels_fall_on_their_pixels(monkeypatch):
    image = np.zeros((300, 400, 3), np.uint8)
    image[:, 100:] = 255
    monkeypatch.setattr(module, "MAX_PIXELS", 30_000)
    out = fake(grid=(4, 8))(image, ["dark", "light"])
    assert out.scores.shape == (2, 150, 200) and out.labels.shape == (300, 400)
    assert (out.labels.numpy() == (image[..., 0] > 0)).mean() > 0.99


def test_large_images_are_noted_once(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 100)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("default")
        list(fake(jbu=False).stream([BYTES] * 3, NAMES))
    assert [str(n.message) for n in notes] == ["an image of 18 x 12 pixels is segmented at 12 x 8; its mask has the full size"]


BIG = """
import sys, warnings
import numpy as np, torch
from watching import memory
from dotseg.segmentation.segmenter import Segmenter
warnings.simplefilter("ignore")

def levels(images, classes):
    light = torch.nn.functional.interpolate(images.mean(1, keepdim=True), (4, 5), mode="area")
    return 1 - (light - torch.linspace(0, 1, len(classes))[:, None, None]).abs()

def itself(images, grid):
    return torch.eye(grid[0] * grid[1]).expand(len(images), -1, -1)

segmenter = Segmenter(levels, itself)
segmenter(np.zeros((60, 80, 3), np.uint8), ["dark", "light"])
before = memory()
out = segmenter(sys.argv[1], ["dark", "light"])
out.save(sys.argv[2])
print((memory() - before) * 2**20 / out.labels.numel(), *out.labels.shape, out.areas["dark"])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs the resource module")
def test_eighty_megapixels_in_bounded_memory(tmp_path):
    picture = Image.new("RGB", (10_000, 8_000))
    picture.paste((255, 255, 255), (0, 0, 4_000, 8_000))
    path = stored(picture, tmp_path, "big.png", compress_level=1)
    command = [sys.executable, "-c", BIG, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])})
    growth, height, width, dark = map(float, done.stdout.split())
    assert (height, width) == (8_000, 10_000) and dark == pytest.approx(0.6, abs=0.001)
    assert growth < 14  # bytes a pixel: Pillow's copy takes 4, two arrays 6; the image alone would take 12 in float32
    assert Image.open(tmp_path / "out" / "big.png").size == (10_000, 8_000)


# --- names and settings ---


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "at least one name"),
        (["sky", ""], "none .*empty"),
        (["sky", " \t"], "none .*empty"),
        (["sky", None], "none .*empty"),
        (["sky", "grass", " sky"], "sky given more than once"),
        ("sky, grass", "expected a list of names"),
        (["sky", "zebra"], "does not know"),
    ],
)
def test_class_names_are_refused(miniature, names, message):
    image = draw_scene(0).image
    for call in (miniature, miniature.encode, lambda image, names: list(miniature.stream([image], names))):
        with pytest.raises(ValueError, match=message):
            call(image, names)


def test_class_names_are_stripped():
    assert fake()(BYTES, [" dark", "light\n"]).classes == ["dark", "light"]


def test_synonyms_are_one_class():
    found = fake()(BYTES, ["dark|black", "light"])
    assert found.classes == ["dark", "light"] and set(found.areas) <= {"dark", "light"}
    assert found.settings["classes"] == ["dark|black", "light"]


def test_encode_gives_what_the_method_takes(miniature):
    logits, attention = miniature.encode(draw_scene(0).image, CLASSES)
    assert logits.shape == (18, 16, 16) and attention.shape == (256, 256)
    assert logits.abs().max() <= 1
    torch.testing.assert_close(attention.sum(-1), torch.ones(256))
    assert not logits.requires_grad and not attention.requires_grad


def test_presets_say_what_is_wrong_before_they_load(monkeypatch):
    def never():
        raise AssertionError("built")

    monkeypatch.setitem(PRESETS, "never", Preset("", {}, never))
    for options, message in (
        ({"name": "none"}, "preset: got 'none', expected one of clip-b16-dinov2-reg, .*, never"),
        ({"mode": "fast"}, "mode: got 'fast'"),
        ({"speed": 1}, "speed: no such setting"),
        ({"device": "abacus"}, "device: got 'abacus'"),
        ({"device": "cuda:99"}, "device: got 'cuda:99'"),
        ({"dtype": "int8"}, "dtype: got 'int8', expected float32"),
        ({"dtype": torch.float64}, "dtype: got torch.float64"),
        ({"checkpoints": {"clip": "a.pt"}}, "checkpoints: no part clip"),
    ):
        with pytest.raises(ValueError, match=message):
            Segmenter.from_preset(**({"name": "never"} | options))


def test_presets_keep_their_configuration_where_nothing_is_changed(monkeypatch):
    mine = Preset("", {}, lambda: (Levels(), Itself()), DiscrepancyConfig(MaximumVelocity(tau=0.5), scale=7.0))
    monkeypatch.setitem(PRESETS, "mine", mine)
    segmenter = Segmenter.from_preset("mine", mode=OptimalPath(eps=0.2), device="cpu")
    assert segmenter.config == DiscrepancyConfig(OptimalPath(eps=0.2), scale=7.0)
    assert segmenter.models == {"preset": "mine", "dtype": "float32"}
    assert Segmenter.from_preset("mine", mode="velocity").config == mine.config == Segmenter.from_preset("mine").config
    assert Segmenter.from_preset("mine", mode="kl").config == DiscrepancyConfig("kl", scale=7.0) == replace(mine.config, mode="kl")
    assert Segmenter.from_preset("mine", mode="kl", scale_f=4.0).config.scale_f == 4


@pytest.mark.parametrize("says_what_it_reads", [True, False])
def test_a_preset_is_made_of_its_parts(monkeypatch, tmp_path, says_what_it_reads):
    def load(path, device, dtype):
        if says_what_it_reads:
            check_file("Eye", (path or tmp_path) / "eye.bin")
        seen.append((path, device, dtype))
        return Levels()

    seen = []
    parts = {"eye": Part(Checkpoint("Eye", ("nobody/eye",), ("eye.bin",), "DOTSEG_EYE", 0.5), load, None), "own": Part(None, load, None)}
    mine = Preset("", parts, lambda eye, own: (eye, Itself()))
    monkeypatch.setitem(PRESETS, "mine", mine)
    assert mine.gigabytes == 0.5
    (tmp_path / "eye.bin").write_bytes(b"weights")
    mark = fingerprint([tmp_path / "eye.bin"])
    made = Segmenter.from_preset("mine", "cpu", "bfloat16", {"eye": tmp_path}).models
    assert made == {"preset": "mine", "eye": str(tmp_path), "eye fingerprint": mark, "own": "in the package", "dtype": "bfloat16"} | ({"own fingerprint": mark} if says_what_it_reads else {})
    assert seen == [(tmp_path, "cpu", torch.bfloat16), (None, "cpu", torch.bfloat16)]
    with pytest.raises(CheckpointError, match="(?s)Eye is not available.*DOTSEG_EYE.*picturebook"):
        Segmenter.from_preset("mine", download=False)
    assert len(seen) == 2


def test_sources_of_the_wrong_shape_are_found_out():
    with pytest.raises(ValueError, match="logits: "):
        Segmenter(lambda images, classes: torch.zeros(1, 2, 4, 4), Itself())(BYTES, NAMES)
    with pytest.raises(ValueError, match="attention: "):
        Segmenter(Levels(), lambda images, grid: torch.eye(3)[None])(BYTES, NAMES)
    with pytest.raises(ValueError, match="logits: .*NaN"):
        Segmenter(lambda images, classes: Levels()(images, classes) * torch.nan, Itself())(BYTES, NAMES)


def test_plot_of_small_and_large(monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    for image in (BYTES, np.zeros((3000, 4, 3), np.uint8), np.zeros((1500, 1500, 3), np.uint8)):
        figure = fake(jbu=False)(image, NAMES).plot()
        assert len(figure.axes) == 2 and figure.axes[1].images[0].get_array().size <= 3 * 2**20

"Files that are no images, or not what they say: each is read upright or refused by name, in bounded memory and time."
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import attack_images
import numpy as np
import pytest
import torch
from PIL import Image

from dotseg.evaluation.datasets import read_mask
from dotseg.segmentation import images
from dotseg.segmentation.images import ImageError, from_numbers, load_image, read_frames


@pytest.fixture(autouse=True)
def alarm():
    "A hang is a failure, not a hang of the suite."
    signal.alarm(900)
    yield
    signal.alarm(0)


def attack(tmp_path, every, side):  # -> the cases, what became of them, the memory, what was printed as error
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "read").mkdir()
    made = attack_images.write(folder, every, side)
    done = subprocess.run([sys.executable, attack_images.__file__, folder], capture_output=True, text=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"the process ended with {done.returncode} at {lines[-1]}\n{done.stderr[-2000:]}"
    *found, (_, memory) = lines
    return made, {name: json.loads(what) for name, what in found}, json.loads(memory), done.stderr.splitlines()


def judge(tmp_path, made, found):  # -> number read, number refused
    refused = 0
    assert found.keys() == made.keys()
    whole = {name: want for name, (_, _, want) in made.items()}  # by the names of good files
    for name, (_, size, want) in made.items():
        for what, got in found[name].items():
            assert not isinstance(got, dict), (name, what, got)
            assert not isinstance(got, str) or (got.startswith(f"{tmp_path / 'in' / name}: ") and "\n" not in got and len(got) < 600), (name, got)
        got = found[name]["image"]
        if isinstance(got, str):
            refused += 1
            assert want is None or name.startswith("cut"), (name, got)
            continue
        (height, width, channels), dtype = got
        assert (channels, dtype) == (3, "uint8") and size in (None, (height, width)), (name, got)
        good = name.startswith(("good", "wrong"))
        assert want is not None or not good, (name, "is to be refused")
        want = whole.get(f"good-{name.partition('-')[2]}") if name.startswith("cut") else want  # half a picture is none
        if want is not None:
            assert np.abs(np.load(tmp_path / "read" / f"{name}.npy").astype(int) - want).mean() < 4, name
    return len(made) - refused, refused


def test_every_file_is_read_upright_or_refused_by_name(tmp_path):
    made, found, memory, said = attack(tmp_path, 9, 1000)
    read, refused = judge(tmp_path, made, found)
    assert len(made) > 300 and read > 100 and refused > 100
    assert memory["peak"] - memory["before"] < 600  # all at once, errors kept
    assert len(said) < len(made) / 5, said
    assert "of over 500 scans" in found["lie-scans.jpeg"]["image"]


@pytest.mark.slow
def test_every_file_of_the_whole_attack(tmp_path):
    made, found, memory, said = attack(tmp_path, 1, 13000)
    read, refused = judge(tmp_path, made, found)
    print(f"{len(made)} files: {read} read, {refused} refused, {memory['before']:.0f} MB before, peak {memory['peak']:.0f} MB, {len(said)} lines of warnings")
    assert len(made) > 4000 and len(said) < len(made) / 5


@pytest.mark.slow
def test_a_run_over_the_whole_attack(tmp_path):
    (tmp_path / "in").mkdir()
    made = attack_images.write(tmp_path / "in", side=1000)  # a mask of 169 megapixels takes its time, and is no other than one of a million
    start = time.time()
    command = [sys.executable, "-c", "import sys; from dotseg.app.command_line import main; sys.exit(main())", "segment", tmp_path / "in", "--classes", "sky, kite", "--preset", "picturebook", "--format", "palette", "--quiet", "--json", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    print(f"{len(made)} files, {time.time() - start:.0f} s, exit {done.returncode}", lines[-1:], done.stderr[-500:])
    assert done.returncode == 1 and "Traceback" not in done.stderr
    masks = sorted((tmp_path / "out").rglob("*.png"))
    for mask in masks:
        report = json.loads(mask.with_suffix(".json").read_text())
        assert list(read_mask(mask).shape) == report["size"]
    assert 600 < len(masks) < len(made) and not list((tmp_path / "out").rglob("*.part"))


BYTES = np.arange(256, dtype=np.uint16).reshape(16, 16)


@pytest.mark.parametrize("x", [BYTES, BYTES * 16, torch.from_numpy(BYTES), np.dstack([BYTES] * 3), Image.fromarray(BYTES), Image.fromarray(BYTES.astype(np.int32)), Image.fromarray(BYTES / np.float32(255))])
def test_numbers_of_unknown_range_are_refused_rather_than_black(x):
    with pytest.raises(ImageError, match="^image: .*which number is white\\? Say so in one of three ways: .*tag 281"):
        load_image(x)


@pytest.mark.parametrize("x", [BYTES / 255, (BYTES * 16) / 4080, BYTES.astype(np.uint8), BYTES * 257, Image.fromarray(BYTES * 257)])
def test_the_ways_to_state_a_range(x):
    np.testing.assert_array_equal(load_image(x)[..., 0], BYTES)


def test_black_is_black_in_every_range():
    assert load_image(np.zeros((4, 5), np.uint16)).max() == load_image(Image.new("I", (5, 4))).max() == 0


def test_sixteen_bits_with_one_shade_that_is_transparent(tmp_path):
    Image.fromarray(BYTES * 257).save(tmp_path / "x.png", transparency=257 * 7)
    want = np.where(BYTES == 7, 255, BYTES)
    np.testing.assert_array_equal(load_image(tmp_path / "x.png")[..., 0], want)


def held(error):  # the arrays and pictures that an error keeps alive
    found, errors = [], [error]
    while errors:
        one = errors.pop()
        errors += [e for e in (one.__context__, one.__cause__) if e is not None]
        trace = one.__traceback__
        while trace is not None:
            if "dotseg" in trace.tb_frame.f_code.co_filename or "PIL" in trace.tb_frame.f_code.co_filename:
                found += [x for x in trace.tb_frame.f_locals.values() if isinstance(x, (np.ndarray, Image.Image, io.BytesIO))]
            trace = trace.tb_next
    return found


@pytest.mark.parametrize("read", [load_image, read_mask, lambda path: list(read_frames(path))], ids=["image", "mask", "frames"])
@pytest.mark.parametrize("name", ["cut.jpeg", "cut.png", "floats.tiff", "colours.png", "text.png"])
def test_an_error_holds_no_pixels(tmp_path, read, name):
    content = {"floats.tiff": attack_images.good()["floats.tiff"][0], "text.png": b"text"}.get(name)
    if content is None:
        Image.fromarray(attack_images.picture()).save(file := io.BytesIO(), name[-4:].strip("."))
        content = file.getvalue()[: -len(file.getvalue()) // 3 if name.startswith("cut") else None]
    (tmp_path / name).write_bytes(content)
    if name == "colours.png" and read is not read_mask:
        return
    with pytest.raises(ImageError) as caught:
        read(tmp_path / name)
    assert held(caught.value) == [] and caught.value.__context__ is None


def test_memory_of_broken_files(tmp_path):
    Image.fromarray(np.kron(attack_images.picture(), np.ones((60, 60, 1), np.uint8))).save(file := io.BytesIO(), "JPEG")  # 4 megapixels, 16 MB
    (tmp_path / "x.jpg").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    used, errors = [], []
    for _ in range(12):
        try:
            load_image(tmp_path / "x.jpg")
        except ImageError as error:
            errors.append(error)
        used.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert len(errors) == 12 and used[-1] - used[1] < 40 * 2**20  # 160 when each keeps its picture


def test_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "pipe-too.png").symlink_to("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket has to be short
        server.bind("socket.png")
        os.chdir(here)
        for name in ("pipe.png", "zero.png", "pipe-too.png", "socket.png"):
            for read in (load_image, read_mask, lambda path: list(read_frames(path))):
                with pytest.raises(ImageError, match=f"{name}: not a regular file"):
                    read(tmp_path / name)
            assert images.count_pages(tmp_path / name) == 1


def test_files_of_many_bytes(tmp_path, monkeypatch):
    for name in ("x.png", "x.tiff"):
        Image.fromarray(attack_images.picture()).save(tmp_path / name)
    with open(tmp_path / "sparse.png", "wb") as file:
        file.write(b"RIFF\xf0\xff\xff\xffWEBPVP8 ")
        file.truncate(2**40)
    with pytest.raises(ImageError, match="sparse.png: over 1,073,741,824 bytes, which only a TIFF may have"):
        load_image(tmp_path / "sparse.png")
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ImageError, match="x.png: over 100 bytes"):
        load_image(tmp_path / "x.png")
    assert load_image(tmp_path / "x.tiff").shape == (28, 40, 3)


def test_a_later_page_that_is_too_large(tmp_path):
    pages = [Image.new("L", (8, 6)), Image.new("L", (70, 60))]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    content = bytearray((tmp_path / "x.tiff").read_bytes())
    for tag, old in ((256, 70), (257, 60)):
        at = next(i for i in range(len(content) - 12) if content[i : i + 2] == tag.to_bytes(2, "little") and content[i + 8 : i + 10] == old.to_bytes(2, "little"))
        content[at + 2 : at + 12] = (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + (60000).to_bytes(4, "little")
    (tmp_path / "x.tiff").write_bytes(content)
    frames = read_frames(tmp_path / "x.tiff")
    assert next(frames).picture.shape == (6, 8, 3)
    with pytest.raises(ImageError, match=r"x.tiff: over 178,956,970 pixels; make it smaller, or cut it in pieces"):
        next(frames)


@pytest.mark.parametrize("name", ["rgb.png", "photo.jpeg", "exif-6.jpeg", "photo.avif", "photo.heic", "rgb.tiff"])
def test_open_files(name):
    pytest.importorskip("pillow_heif")
    content, want = attack_images.good()[name] if name in attack_images.good() else pytest.skip(f"no {name} here")
    assert np.abs(load_image(io.BytesIO(content)).astype(int) - want).mean() < 4
    with pytest.raises(ImageError, match="^photo: "):
        images.read_picture(io.BytesIO(content[: len(content) // 2]), "photo")
    with pytest.raises(ImageError, match="^image: not an image"):
        load_image(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n"))


def test_what_people_pass_is_named_as_they_passed_it():
    with pytest.raises(ImageError, match=r"tensor of shape \(28, 40, 3\), .*x.permute\(2, 0, 1\)"):
        load_image(torch.from_numpy(attack_images.picture()))
    with pytest.raises(ImageError, match=r"array of shape \(3, 28, 40\), .*x.transpose\(1, 2, 0\)"):
        from_numbers(attack_images.picture().transpose(2, 0, 1))
    with pytest.raises(ImageError, match="^image: cannot be read as an image: .*meta"):
        load_image(torch.zeros(3, 8, 8, device="meta"))


def test_no_warning_for_a_good_file(tmp_path):
    for name, (content, want) in attack_images.good().items():
        if want is not None and "broken" not in name and "exif-99" not in name:
            (tmp_path / name).write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                load_image(tmp_path / name)

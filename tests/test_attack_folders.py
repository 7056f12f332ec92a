"What people, disks and kills do to the folders of `dotseg segment`; what is left is what an undisturbed run leaves, or is said."
import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from forking import begin
from forking import finish as end_of
from PIL import Image
from stand_ins import itself, levels

from dotseg.app import command_line, runs
from dotseg.app.command_line import main
from dotseg.app.folders import find_images
from dotseg.method.errors import DotsegError
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation import segmenter as segmenter_module
from dotseg.segmentation.presets import PRESETS, Preset
from dotseg.segmentation.records import FORMATS, form_of, place
from dotseg.segmentation.segmenter import Segmenter

NAMES = "dark, light"
posix = pytest.mark.skipif(os.name != "posix", reason="needs links, pipes, signals and processes that are copied")


def draw(*names, dark=3, value=255):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((6, 8, 3), value, np.uint8)
        picture[:, :dark] = 0
        Image.fromarray(picture).save(name)


def run(*words, classes=NAMES):
    return main(["segment", *map(str, words), "--classes", classes, "--preset", "fake", "--background", "off"])


def contents(folder="out"):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".dotseg")}


def labels(path):
    return np.asarray(Image.open(path))


# --- stale, in six ways ---


def test_the_same_name_in_another_working_folder(home, monkeypatch, capsys):
    draw("a/photos/1.png", dark=2), draw("b/photos/1.png", dark=6)
    for place_, code in (("a", 0), ("a", 0), ("b", 1)):
        monkeypatch.chdir(home / place_)
        assert run("photos/1.png", "--out", home / "out") == code
    assert (labels(home / "out/1.png") == 0).sum() == 12
    said = capsys.readouterr().err
    assert all(str(home / name / "photos/1.png") in said for name in "ab") and "--overwrite" in said
    assert run("photos/1.png", "--out", home / "out", "--overwrite") == 0 and (labels(home / "out/1.png") == 0).sum() == 36


def test_two_folders_into_one(home, capsys):
    draw("a/photos/1.png", "a/photos/2.png", dark=2), draw("b/photos/2.png", "b/photos/3.png", dark=6)
    assert run("a/photos") == 0
    before = contents()
    assert run("b/photos", "--json") == 1
    rows = {Path(row["image"]).name: row for row in map(json.loads, capsys.readouterr().out.splitlines()[1:])}
    assert (rows["2.png"]["status"], rows["3.png"]["status"]) == ("failed", "written")
    assert before.items() <= contents().items() and set(contents()) - set(before) == {"3.png", "3.json"}
    assert run("a/photos") == 0, "and the first has nothing to do"


def test_an_older_image_that_is_moved_over(home):
    draw("in/1.png"), draw("older.png", dark=6)
    os.utime("older.png", (10**9, 10**9))
    assert run("in") == 0
    os.replace("older.png", "in/1.png")
    assert run("in") == 0 and (labels("out/1.png") == 0).sum() == 36


@pytest.mark.parametrize("same", [True, False])
def test_another_file_with_the_size_and_time_of_the_old_one(home, capsys, same):
    picture = {dark: np.repeat(np.repeat(np.arange(8)[None, :, None] >= dark, 6, 0), 3, 2).astype(np.uint8) * 255 for dark in (3, 5)}
    Path("in").mkdir()
    Image.fromarray(picture[3]).save("in/1.bmp")
    os.utime("in/1.bmp", (10**9, 10**9))
    assert run("in") == 0
    Image.fromarray(picture[3 if same else 5]).save("other.bmp")
    os.utime("other.bmp", (10**9, 10**9))
    os.replace("other.bmp", "in/1.bmp")
    assert run("in") == 0
    assert ("1 of 1 images were already done" in capsys.readouterr().err) == same and (labels("out/1.png") == 0).sum() == (18 if same else 30)


@posix
def test_an_image_that_is_changed_in_place_at_once(home):
    "Its time may be that of before, by a clock that goes in steps: the hash decides."
    picture = {dark: np.repeat(np.repeat(np.arange(8)[None, :, None] >= dark, 6, 0), 3, 2).astype(np.uint8) * 255 for dark in (3, 5)}
    Path("in").mkdir()
    Image.fromarray(picture[3]).save("in/1.bmp")
    seen = os.stat("in/1.bmp")
    assert run("in") == 0
    Image.fromarray(picture[5]).save("in/1.bmp")
    os.utime("in/1.bmp", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert os.stat("in/1.bmp").st_ino == seen.st_ino and run("in") == 0 and (labels("out/1.png") == 0).sum() == 30


@pytest.mark.parametrize("fault", ["torn", "empty", "gone"])
def test_an_image_that_can_no_longer_be_read(home, capsys, monkeypatch, fault):
    draw("in/1.png", "in/2.png")
    assert run("in", "--overlay", "--confidence", "--format", "palette,binary") == 0
    before = contents()
    good = Path("in/2.png").read_bytes()
    if fault == "gone":  # between the search and its turn
        true_load = segmenter_module.load_image
        monkeypatch.setattr(segmenter_module, "load_image", lambda item: (Path("in/2.png").unlink(missing_ok=True), true_load(item))[1])
    else:
        Path("in/2.png").write_bytes(good[:40] if fault == "torn" else b"")
    draw("in/0.png")
    assert run("in") == 1
    assert "its old mask was removed" in capsys.readouterr().err or fault == "gone"
    assert {name for name in contents() if "2" in name.replace("002", "")} == set(), "no mask stands there as if it were current"
    monkeypatch.undo()
    os.chdir(home)
    monkeypatch.setitem(PRESETS, "fake", Preset("a stand-in", {}, lambda: (levels, itself), DiscrepancyConfig(jbu=False)))
    Path("in/2.png").write_bytes(good)
    Path("in/0.png").unlink(), Path("out/0.png").unlink(), Path("out/0.json").unlink()
    assert run("in", "--overlay", "--confidence", "--format", "palette,binary") == 0
    assert {name: data for name, data in contents().items() if not name.endswith(".json")} == {name: data for name, data in before.items() if not name.endswith(".json")}


def test_a_mask_whose_image_is_gone_is_said(home, capsys):
    "It may have been taken away because it is done, so its mask stays; but nobody is to think that it is of this run."
    draw("in/1.png", "in/2.png")
    assert run("in") == 0
    Path("in/2.png").unlink()
    assert run("in") == 0
    assert "note: 1 mask of earlier runs in out, whose images no longer exist" in capsys.readouterr().err and "2.png" in contents()
    draw("in/3.png"), Path("in/1.png").unlink()
    assert run("in", classes="light, dark") == 0
    assert "note: 2 masks of earlier runs in out, with other classes than classes.txt lists" in capsys.readouterr().err


@pytest.mark.parametrize("report", [True, False])
def test_no_form_is_left_of_other_settings(home, monkeypatch, report):
    "Also if a kill has left no report that lists them."
    draw("in/1.png")
    forms = "palette,grey,binary,overlay,confidence,coco,labelme"
    assert run("in", "--format", forms, "--out", "fresh", classes="light, dark") == 0
    assert run("in", "--format", forms) == 0
    if not report:
        Path("out/1.json").unlink()
    assert run("in", classes="light, dark") == 0
    fresh, found = contents("fresh"), contents()
    assert {name: found[name] for name in fresh if name not in ("1.json", "annotations.coco.json")} == {name: fresh[name] for name in fresh if name not in ("1.json", "annotations.coco.json")}
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)  # what cannot be made again goes
    assert run("in", classes=NAMES) == 0 and "coco/1.json" not in contents() and "labelme/1.json" in contents()


def test_a_film_that_has_become_shorter_leaves_no_frames(home):
    pages = [Image.new("RGB", (8, 6), shade) for shade in ("black", "white", "grey", "white")]
    pages[0].save("g.gif", save_all=True, append_images=pages[1:])
    assert run("g.gif", "--frames") == 0 and "g.f0004.png" in contents()
    pages[0].save("g.gif", save_all=True, append_images=pages[1:2])
    assert run("g.gif", "--frames") == 0 and {name for name in contents() if name.endswith(".png")} == {"g.f0001.png", "g.f0002.png"}


def test_output_folders_are_not_taken_for_photographs(home, capsys):
    draw("nest/1.png", "nest/deep/2.png")
    assert run("nest", "--out", "nest/m1") == 0
    for words in (["nest"], ["nest/**/*.png"]):
        capsys.readouterr()
        assert run(*words, "--out", "nest/m2") == 0
        said = capsys.readouterr()
        assert "2 of 2 masks are in" in said.out and f"{Path('nest/m1')}: an output folder of dotseg; name it to search it" in said.err
    assert run("nest/m1", "--out", "again") == 0 and "2 of 2 masks" in capsys.readouterr().out, "whoever names it has it"


# --- in Python ---


def test_what_another_image_left_is_not_overwritten_from_python(home):
    draw("a/x.png"), draw("b/x.png", dark=6)
    segment = Segmenter(levels, itself, DiscrepancyConfig(jbu=False))
    arrays = [np.full((6, 8, 3), value, np.uint8) for value in (0, 255)]
    first, second = segment.stream(arrays, ["dark", "light"])
    mask = first.save("out")
    with pytest.raises(DotsegError, match="was made of an image without a file, not of this image; give another folder or name"):
        second.save("out")
    assert (labels(mask) == 0).all() and first.save("out", format=["palette", "overlay"]) == mask, "its own it makes again"
    assert (labels(second.save("out", "second")) == 1).all() and (labels(second.save("out", overwrite=True)) == 1).all()
    first, second = segment.stream(["a/x.png", Path("b/x.png")], ["dark", "light"])
    first.save("out")
    with pytest.raises(DotsegError, match="a/x.png, not of .*b/x.png"):
        second.save("out")
    for folder in ("x.png", Path("new.JSON")):
        with pytest.raises(DotsegError, match="looks like a file; several files are written into a folder, so give save"):
            second.save(folder)
        assert not Path(folder).exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..", "a\0b"])
def test_no_name_leads_out_of_the_folder(home, name):
    found = Segmenter(levels, itself, DiscrepancyConfig(jbu=False))(np.zeros((6, 8, 3), np.uint8), ["../../dark", "/light"])
    with pytest.raises(DotsegError, match="leads out of the folder"):
        found.save("deep/out", name)
    assert not Path("deep").exists()
    found.save("deep/out", "a", "binary")
    assert {p.parent for p in Path(".").rglob("*") if p.is_file() and p.parent != Path(".")} == {Path("deep/out"), Path("deep/out/binary/a")}


@posix
def test_a_pattern_leads_no_mask_out_of_the_folder(home, capsys):
    draw("in/a/1.png", "1.png")
    assert run("in/*/../../1.png", "--out", "deep/out") == 2 and "write masks outside" in capsys.readouterr().err


# --- what is not ours ---


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("words", [(), ("--overwrite",)])
def test_ground_truth_stays(home, capsys, form, words):
    draw("in/1.png", "in/2.png")
    target = place("truth", "1", form)
    target = target / "000-dark.png" if form == "binary" else target
    target.parent.mkdir(parents=True)
    if target.suffix == ".png":
        Image.fromarray(np.full((6, 8), 3, np.uint8)).save(target)
    else:
        target.write_text('{"version": "5.5.0", "shapes": []}')
    before = contents("truth")
    assert run("in", "--out", "truth", "--format", f"palette,{form}", *words) == 1
    said = capsys.readouterr()
    assert "was not made by dotseg" in said.err and "move it away, or give another folder" in said.err and "1 of 2 masks" in said.out
    assert before.items() <= contents("truth").items() and not {"1.png", "1.json"} & set(contents("truth")) - set(before)


def test_foreign_files_of_a_run_stay(home, capsys):
    draw("in/1.png")
    Path("truth").mkdir()
    for name, words in (("classes.txt", []), ("annotations.coco.json", ["--format", "coco"])):
        Path("truth", name).write_text("someone's")
        assert run("in", "--out", "truth", "--overwrite", *words) == 2
        assert name in (said := capsys.readouterr().err) and "left unchanged" in said and contents("truth") == {name: b"someone's"} and not Path("truth/.dotseg").exists()
        Path("truth", name).unlink()
    Path("truth/page.png").write_text("someone's")
    assert main(["demo", "--out", "truth"]) == 2 and "page.png was not made by dotseg" in capsys.readouterr().err
    found = Segmenter(levels, itself, DiscrepancyConfig(jbu=False))(np.zeros((6, 8, 3), np.uint8), ["dark", "light"])
    Path("list").mkdir(), Path("list/classes.txt").write_text("someone's")
    with pytest.raises(DotsegError, match="classes.txt was not made by dotseg"):
        found.save("list")
    assert set(contents("list")) == {"classes.txt"}


def test_what_a_person_has_mended_by_hand_stays(home, capsys):
    draw("in/1.png")
    assert run("in", "--format", "palette,labelme") == 0
    document = json.loads(Path("out/labelme/1.json").read_text())
    mended = json.dumps({**{key: document[key] for key in document if key != "software"}, "software": document["software"]})  # as LabelMe saves it: what it does not know comes last
    Path("out/labelme/1.json").write_text(mended)
    assert run("in", "--format", "palette,labelme") == 1 and "labelme/1.json was not made by dotseg" in capsys.readouterr().err.replace("\\", "/")
    assert Path("out/labelme/1.json").read_text() == mended
    Path("out/labelme/1.json").unlink()
    Image.fromarray(labels("out/1.png")).save("out/1.png")
    assert run("in") == 1 and form_of("out/1.png") == ""


def test_two_forms_of_two_images_in_one_place(home, capsys):
    "a.overlay.png is an overlay of a, or the mask of a.overlay."
    draw("one/a.png", "two/a.overlay.png")
    assert run("two/a.overlay.png") == 0
    before = contents()
    assert run("one/a.png") == 0 and before.items() <= contents().items()
    assert run("one/a.png", "--overlay", "--overwrite") == 1
    assert "is the palette of another image" in capsys.readouterr().err and before["a.overlay.png"] == contents()["a.overlay.png"]


def test_marks_are_in_every_file(home):
    draw("in/1.png")
    assert run("in", "--format", ",".join(FORMATS)) == 0
    for path in (path for path in Path("out").rglob("*") if path.is_file() and path.name != "classes.txt" and not path.name.startswith(".")):
        assert form_of(path), path


# --- what is passed over ---


@posix
def test_links_pipes_and_devices(home, capsys):
    draw("in/1.png", "in/sub/2.png", "elsewhere/3.png")
    os.symlink("nowhere.png", "in/annex.png")
    os.symlink("self.png", "in/self.png")
    os.symlink(".", "in/loop"), os.symlink("..", "in/sub/up"), os.symlink(home / "elsewhere", "in/linked")
    os.symlink("/dev/zero", "in/zero.png"), os.mkfifo("in/pipe.png")
    os.symlink(home / "elsewhere/3.png", "in/good.png")
    passed = {"annex.png": "a broken link", "self.png": "a broken link", "loop": "a link to a folder", "sub/up": "a link to a folder", "linked": "a link to a folder",
              "zero.png": "not a regular file", "pipe.png": "not a regular file"}
    assert run("in") == 0, "what is passed over does not change the exit code"
    said = capsys.readouterr()
    assert said.out == "3 of 3 masks are in out\n" and "Left out (7):" in said.err
    for name, why in passed.items():
        assert f"  in/{name}: {why}" in said.err
    assert run("in/**/*.png", "--out", "other") == 0 and {name for name in contents("other") if name.endswith(".png")} == {"1.png", "sub/2.png", "good.png"}
    assert run("in/pipe.png", "in/1.png") == 0 and "in/pipe.png: not a regular file" in capsys.readouterr().err
    assert run("in/annex.png") == 2 and "found none to segment; 1 left out, such as in/annex.png: a broken link" in capsys.readouterr().err


@posix
def test_what_becomes_a_pipe_or_a_device_in_its_turn(home, monkeypatch, capsys):
    draw("in/1.png", "in/2.png", "in/3.png")
    assert run("in") == 0
    true_save = runs._save

    def save(found, *args):
        if found.source == "in/1.png":
            os.remove("in/2.png"), os.mkfifo("in/2.png")
            os.remove("in/3.png"), os.symlink("/dev/zero", "in/3.png")
        return true_save(found, *args)

    monkeypatch.setattr(runs, "_save", save)
    assert run("in", "--overwrite", "--batch-size", "1") == 1
    assert "in/2.png: not a regular file" in (said := capsys.readouterr()).err and "1 of 3 masks" in said.out


def as_nobody(call, *args):
    "In a process of a user who owns nothing, so that permissions count for root too; -> exit code, what went wrong."
    def work():
        if os.getuid() == 0:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        call(*args)

    return end_of(begin(work))


@pytest.fixture
def open_home(home):
    "A working folder that everyone may enter and write."
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    os.chdir(folder)
    yield folder
    os.chdir(home)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o777)
    shutil.rmtree(folder)


def write_said(path, *words, **options):  # run, and keep what is said and the exit code in a file
    import contextlib

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(*words, **options)
    Path(path).write_text(json.dumps([code, out.getvalue(), err.getvalue()]))


@posix
def test_folders_and_files_without_permission(open_home):
    draw("in/1.png", "in/shut/2.png", "in/listed/3.png", "in/secret.png")
    Path("in/shut").chmod(0), Path("in/listed").chmod(0o444), Path("in/secret.png").chmod(0)
    assert as_nobody(write_said, "said", "in") == (0, "")
    code, out, err = json.loads(Path("said").read_text())
    assert code == 1 and out == "1 of 2 masks are in out\n" and "in/secret.png: cannot be read as an image: Permission denied" in err
    assert "Left out (2):" in err and "in/shut: a folder that cannot be" in err and "in/listed: a folder that cannot be entered" in err


@posix
def test_outputs_that_may_not_be_written(open_home):
    draw("in/1.png", "in/sub/2.png")
    Path("shut").mkdir(), Path("shut").chmod(0o555)
    for out, code, words in (("shut", 2, "change the permissions"), ("shut/below", 2, "change the permissions")):
        assert as_nobody(write_said, "said", "in", "--out", out) == (0, "")
        found, _, err = json.loads(Path("said").read_text())
        assert found == code and words in err and "repeat the command to continue" not in err and not list(Path("shut").iterdir())
        Path("said").unlink()
    Path("out/sub").mkdir(parents=True), Path("out").chmod(0o777), Path("out/sub").chmod(0o555)
    assert as_nobody(write_said, "said", "in") == (0, "")
    code, out, err = json.loads(Path("said").read_text())
    assert code == 1 and out == "1 of 2 masks are in out\n" and "out/sub/2" in err and "No mask for 1 of 2 images" in err


# --- one path ends nothing ---


@posix
def test_names_of_all_kinds(home, capsys):
    strange = ["a" * 251, "new\nline", "\x1b[31mred\x1b[0m", "\u202egnp", os.fsdecode(b"\xff\xfe"), "-rf", "{}", "%s", "$x$", " ", "'\"", "😀", "a\\nb"]
    draw("in/plain.png")
    for name in strange:
        shutil.copy("in/plain.png", f"in/{name}.png")
    forms = "palette,grey,binary,coco,labelme,overlay,confidence"
    for _ in range(2):
        assert run("in", "--format", forms) == 1
        said = capsys.readouterr()
        assert f"{len(strange)} of {len(strange) + 1} masks are in out\n" == said.out and "File name too long" in said.err
        assert not set("\x1b\u202e\udcff") & set(said.err) and said.err.count("\n") == len(said.err.splitlines())
    assert {name for name in contents() if "/" not in name and name.endswith(".png") and ".overlay" not in name} == {f"{name}.png" for name in (*strange[1:], "plain")}
    assert len(json.loads(Path("out/annotations.coco.json").read_text())["images"]) == len(strange)
    assert run("in", "--json", "--out", "lines") == 1
    out = capsys.readouterr().out
    assert out.isascii() and {row["image"] for row in map(json.loads, out.splitlines())} == {f"in/{name}.png" for name in (*strange, "plain")}
    assert run("in", "--dry-run", "--out", "new") == 0 and not set("\x1b\u202e\udcff") & set(capsys.readouterr().out)
    assert not any(path.is_file() for path in home.iterdir()), "nothing beside the folders"


@posix
def test_classes_that_write_to_the_terminal(home, capsys):
    draw("in/1.png", "in/2.png")
    shown = "\x1b]0:owned\x07dark, \u202elight\x9b31m"
    assert run("in", "--format", "palette,coco,labelme,binary,overlay", "--json", classes=shown) == 0
    assert run("in", "--format", "palette", "--mode", "\x1b[31m", classes=shown) == 2
    assert run("in", classes=f"{shown}, {shown}") == 2
    with pytest.raises(SystemExit):
        run("in", "--\x1b[31m", classes=shown)
    said = capsys.readouterr()
    assert not set("\x1b\x07\x9b\u202e") & set(said.out + said.err)


def test_what_is_in_the_folder_of_masks(home, capsys):
    draw("in/1.png", "in/2.png", "in/3.png", "in/4.png")
    Path("out").mkdir()
    Path("out/1.json").write_text("[" * 200_000)
    Path("out/2.json").write_text("")
    Path("out/3.json").write_text('{"software": "dotseg (report)", "image": ' + "[" * 200_000)
    Path("out/5.json").write_text("{" * 10_000)
    assert run("in") == 1 and "3 of 4 masks are in out" in (said := capsys.readouterr()).out and "1.json was not made by dotseg" in said.err
    assert Path("out/1.json").read_text() == "[" * 200_000 and json.loads(Path("out/2.json").read_text())


@posix
def test_the_output_folder_is_deleted_midway(home, monkeypatch, capsys):
    draw(*(f"in/{i}.png" for i in range(8)))
    true_save, saved = runs._save, []

    def save(found, *args):
        saved.append(found.source)
        if len(saved) == 5:
            shutil.rmtree("out")
        return true_save(found, *args)

    monkeypatch.setattr(runs, "_save", save)
    assert run("in") == 1
    said = capsys.readouterr()
    assert said.out == "4 of 8 masks are in out\n" and "No mask for 4 of 8 images" in said.err and "its mask is no longer in out; repeat the command to make it again" in said.err
    assert len([name for name in contents() if name.endswith(".png")]) == 4 and Path("out/.dotseg").is_file()
    monkeypatch.setattr(runs, "_save", true_save)
    assert run("in") == 0 and "4 of 8 images were already done" in capsys.readouterr().err


# --- broken off ---


FORMS = ("--format", "palette,binary,coco", "--overlay")


@pytest.fixture
def undisturbed(home):
    "Images, what a run makes of them, and how often it puts a file in its place."
    draw("in/1.png", "in/sub/2.png")
    moves = []
    true_replace = os.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", lambda *args: (moves.append(args), true_replace(*args)))
        assert run("in", *FORMS, "--batch-size", "1", "--out", "whole") == 0
    return contents("whole"), len(moves)


def killed_at(nth, after, out="out"):
    "A run that kills itself before or after it puts its nth file in its place."
    count, true_replace = itertools.count(1), os.replace

    def replace(*args):
        last = next(count) == nth
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        true_replace(*args)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace
    sys.stdout = sys.stderr = open(os.devnull, "w")
    run("in", *FORMS, "--batch-size", "1", "--out", out)


def whole(folder):
    for path in (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".")):
        Image.open(path).load() if path.suffix == ".png" else json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()


@posix
def test_killed_at_every_file(undisturbed, request, capsys):
    "Also between the mask and its report. What is taken up again is the undisturbed result, and nothing is left half."
    wanted, moves = undisturbed
    points = [(nth, after) for nth in range(1, moves + 1) for after in (False, True)]
    for nth, after in points if request.config.getoption("--slow") else points[::3]:
        out = f"out{nth}{after}"
        assert end_of(begin(killed_at, nth, after, out))[0] == -signal.SIGKILL
        whole(out)
        assert run("in", *FORMS, "--out", out) == 0
        assert contents(out) == wanted, (nth, after)
        assert not list(Path(out).rglob(".*.part"))


@posix
def test_killed_at_random(home, request, capsys):
    draw(*(f"in/{i}.png" for i in range(12)))
    assert run("in", *FORMS, "--batch-size", "1", "--out", "whole") == 0
    times, chance = 20 if request.config.getoption("--slow") else 4, random.Random(0)
    for i in range(times):
        process = begin(killed_at, 10**9, False, f"out{i}")
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.uniform(0, 0.25))
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)
            process.join()
            whole(f"out{i}")
            process = begin(killed_at, 10**9, False, f"out{i}")
        end_of(process)
        assert contents(f"out{i}") == contents("whole") and not list(Path(f"out{i}").rglob(".*.part"))


@posix
def test_a_second_run_is_told_who_holds_the_folder(home, monkeypatch, capsys):
    draw("in/1.png", "in/2.png")
    true_load = segmenter_module.load_image

    def stand_still(item):
        Path("begun").touch()
        time.sleep(60)

    def first():
        segmenter_module.load_image = stand_still
        run("in")

    process = begin(first)
    while not Path("begun").exists() and process.exitcode is None:
        time.sleep(0.01)
    try:
        assert run("in") == 2
        said = capsys.readouterr().err
        assert "is in use by another run" in said and f"process {process.pid} on " in said and " since " in said and said.count("\n") == 1
        assert true_load is segmenter_module.load_image and contents() == {}
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert run("in") == 0, "the lock of a dead process hinders nobody"


@posix
def test_a_full_disk(home, request, capsys):
    small = home / "small"
    small.mkdir()
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (220, 220, 3), dtype=np.uint8)
        Path("in").mkdir()
        for i in range(12):
            Image.fromarray(np.roll(noise, i, 0)).save(f"in/{i}.png")
        assert run("in", "--overlay", "--out", "whole") == 0
        assert run("in", "--overlay", "--out", small / "out") == 1
        said = capsys.readouterr().err
        assert "No space left on device" in said and "repeat the command to continue" in said
        whole(small / "out")
        assert not list((small / "out").rglob(".*.part")) and 0 < len(list((small / "out").glob("*.json"))) < 12
        subprocess.run(["mount", "-o", "remount,size=9m", small], check=True)
        assert run("in", "--overlay", "--out", small / "out") == 0 and contents(small / "out") == contents("whole")
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        assert run("in", "--overlay", "--out", small / "out") == 2 and "Read-only" in capsys.readouterr().err
    finally:
        subprocess.run(["umount", small], check=True)


@posix
def test_few_file_descriptors(home):
    "Whatever fails is named; what is written is whole; with more of them the same command ends as if nothing had been."
    import resource

    draw(*(f"in/{i}.png" for i in range(6)))
    assert run("in", *FORMS, "--out", "whole") == 0

    def work(limit):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        write_said("said", "in", *FORMS)

    for limit in (20, 12, 8, 5):
        code, wrong = end_of(begin(work, limit))
        assert code == 0 or "Too many open files" in wrong or "OSError" in wrong, wrong
        if Path("out").exists():
            whole("out")
    assert run("in", *FORMS) == 0 and contents() == contents("whole")


def test_an_image_that_changes_while_it_is_segmented(home, monkeypatch):
    draw("in/1.png", "in/2.png")
    true_load = segmenter_module.load_image

    def load(item):
        found = true_load(item)
        if str(item) == str(Path("in/1.png")) and not Path("changed").exists():
            Path("changed").touch()
            draw("in/1.png", dark=6)
        return found

    monkeypatch.setattr(segmenter_module, "load_image", load)
    assert run("in") == 0 and json.loads(Path("out/1.json").read_text())["image"]["sha256"] is None
    assert run("in") == 0 and (labels("out/1.png") == 0).sum() == 36, "its mask was of the image as it had been"


def test_parts_that_a_kill_has_left_are_removed(home):
    draw("in/1.png")
    Path("out/sub").mkdir(parents=True)
    ours, theirs = [Path("out", name) for name in (f".{'0' * 32}.part", f"sub/.{'f' * 32}.part")], Path("out/film.part")
    for path in (*ours, theirs):
        path.write_text("half")
    assert run("in") == 0 and not any(path.exists() for path in ours) and theirs.exists()


# --- memory ---


def test_failures_keep_no_pictures(home):
    "A decoded image has 6 MB; that of forty broken ones must not stay, neither in the run nor in errors that somebody keeps."
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)).resize((2000, 1000)).save(picture, "JPEG")
    Path("in").mkdir()
    for i in range(40):
        Path(f"in/{i}.jpg").write_bytes(picture.getvalue()[: len(picture.getvalue()) * 9 // 10])
    segment, kept = Segmenter(levels, itself, DiscrepancyConfig(jbu=False)), []
    inputs = find_images(["in"], Path("out"))
    tracemalloc.start()
    try:
        outcomes = list(runs.segment_files(segment, inputs, ["dark", "light"], Path("out")))
        assert [outcome.status for outcome in outcomes] == ["failed"] * 40 and all(isinstance(outcome.reason, str) for outcome in outcomes)
        assert list(segment.stream([path for path, _ in inputs], ["dark", "light"], on_error=lambda item, error: kept.append(error))) == [] and len(kept) == 40
        assert tracemalloc.get_traced_memory()[0] < 3e6 and tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:113] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")])
def test_too_little_memory_is_said(home, monkeypatch, capsys, error):
    draw("in/1.png", "in/3.png")
    draw("in/2.png", dark=5)
    true_encode = segmenter_module.encode

    def encode(images, *args):
        if len(images) > 1 or any((image[:, :5] == 0).all() for image in images):
            raise error
        return true_encode(images, *args)

    monkeypatch.setattr(segmenter_module, "encode", encode)
    assert run("in") == 1
    said = capsys.readouterr()
    assert said.out == "2 of 3 masks are in out\n" and f"{Path('in/2.png')}: ran out of memory, 8 x 6 pixels and 2 names" in said.err and "continuing with 1" in said.err

    def full(*args):
        raise error

    monkeypatch.setattr(command_line, "load", full)
    assert run("in") == 2 and capsys.readouterr().err.startswith("dotseg: ran out of memory; close other programs")


def test_class_names_of_matplotlibs_mathematics(home):
    "They are names, in the figure too."
    names = ["$x$", "$\\frac{", "a$b", "_^$$"]
    found = Segmenter(levels, itself, DiscrepancyConfig(jbu=False))(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5, names)
    figure = found.plot()
    figure.savefig(io.BytesIO(), format="png")
    assert {text.get_text() for text in figure.legends[0].get_texts()} <= set(names) and found.overlay().size == (8, 6)

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dotseg import __version__
from dotseg.app import command_line as cli
from dotseg.app.command_line import main
from dotseg.app.folders import find_images
from dotseg.app.runs import is_done
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.segmentation import segmenter as segmenter_module
from dotseg.segmentation.images import READ
from dotseg.method.measures import MEASURES
from dotseg.segmentation.presets import PRESETS

SCRIPT = Path(sys.executable).parent / ("dotseg.exe" if os.name == "nt" else "dotseg")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}


def draw(*names, value=200):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(name)


def run(*words):
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, encoding="utf-8", env=ENVIRONMENT)


def fake(*words, classes="dark, light"):
    return main(["segment", *words, "--classes", classes, "--preset", "fake", "--background", "off"])


def files(folder):
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".dotseg")}


def stamps(folder):
    return {p.name: p.stat().st_mtime_ns for p in Path(folder).rglob("*.png")}


# --- the installed command ---


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"dotseg {__version__}\n")


def test_a_reader_that_leaves_is_no_error():
    command = subprocess.Popen([SCRIPT, "datasets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"})
    command.stdout.close()
    assert (command.wait(), command.stderr.read()) == (1, b"")
    command.stderr.close()


def test_demo_writes_what_it_says(home):
    done = run("demo")
    assert done.returncode == 0 and done.stderr == ""
    assert files("out") == {"page.png", "mask.png", "mask.overlay.png", "mask.json", "classes.txt"}
    for name in files("out") - {"page.png", "classes.txt"}:
        assert str(Path("out") / name) in done.stdout
    mask, report = np.asarray(Image.open("out/mask.png")), json.loads(Path("out/mask.json").read_text())
    assert mask.shape == (128, 128) and report["source"] == str(Path("out/page.png").resolve())
    for name, share in report["areas"].items():
        assert (mask == CLASSES.index(name)).mean() == share
        assert f"  {name:10}{share:6.1%} of the page" in done.stdout


STANDS_STILL = """
import sys, time
from dotseg.app.command_line import main
from dotseg.segmentation import segmenter

load_image = segmenter.load_image

def slow(item):
    if str(item) == "b.png":
        time.sleep(600)
    return load_image(item)

segmenter.load_image = slow
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_interrupted_and_taken_up_again(home):
    names = ["a.png", "b.png", "c.png"]
    for i in (0, 2):
        Image.fromarray(draw_scene(i).image).save(names[i])
    Path("b.png").write_bytes(Path("a.png").read_bytes())
    words = ["segment", *names, "--classes", ",".join(CLASSES), "--preset", "picturebook", "--batch-size", "1", "--overlay"]
    process = subprocess.Popen(
        [sys.executable, "-c", STANDS_STILL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in a shell's background job
    )
    while not Path("out/a.json").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert err.strip() == "dotseg: interrupted; all masks written so far are complete; repeat the command to continue"
    assert files("out") == {"a.png", "a.overlay.png", "a.json", "classes.txt"}
    Image.open("out/a.png").load()
    before = stamps("out")

    os.remove("b.png")
    Path("b.png").write_bytes(Path("a.png").read_bytes()[:2000])  # one that cannot be read
    done = run(*words)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stdout == "2 of 3 masks are in out\n"
    lines = done.stderr.splitlines()
    assert lines[:2] == ["1 of 3 images were already done in out", "No mask for 1 of 3 images:"]
    assert len(lines) == 3 and lines[2].startswith("  b.png: cannot be read as an image: ")
    assert files("out") == {f"{n}{e}" for n in "ac" for e in (".png", ".overlay.png", ".json")} | {"classes.txt"}
    assert {name: stamp for name, stamp in stamps("out").items() if name in before} == before


# --- which images ---


def test_a_folder_with_everything(home, capsys):
    draw("in/a.png", "in/b.jpg", "in/b.png", "in/sub/a.TIF", "in/x.y.png", "in/.hidden.png", "in/.cache/d.png", "in/Bär 1.png")
    Path("in/notes.txt").write_text("not for us")
    Path("in/broken.png").write_text("no image")
    (home / "in/folder.png").mkdir()
    assert fake("in", "--out", "masks") == 1
    out, err = capsys.readouterr()
    assert out == "6 of 7 masks are in masks\n"
    assert err == f"No mask for 1 of 7 images:\n  {Path('in/broken.png')}: not an image, or of a kind that is not read ({', '.join(READ)})\n"
    names = {"a", "b.jpg", "b.png", "sub/a", "x.y", "Bär 1"}
    assert files("masks") == {f"{name}{ending}" for name in names for ending in (".png", ".json")} | {"classes.txt"}
    assert Path("masks/classes.txt").read_text() == "dark\nlight\n"
    report = json.loads(Path("masks/sub/a.json").read_text())
    assert report["source"] == str(Path("in/sub/a.TIF").resolve()) and report["areas"] == {"light": 1.0}


def test_names_do_not_depend_on_how_a_file_is_named(home):
    draw("in/a.png")
    (path, name), = find_images(["in/a.png", "./in/a.png", "in/../in"][:2], Path("out"))
    assert (path, name) == (Path("in/a.png"), "a")
    (path, name), = find_images(["in", "in/a.png"], Path("out"))
    assert (path, name) == (Path("in/a.png"), "a")


def test_the_output_folder_is_not_searched(home, capsys):
    draw("a.png", "sub/b.png")
    for _ in range(2):
        assert fake(".", "--overlay") == 0
        assert files("out") == {f"{n}{e}" for n in ("a", "sub/b") for e in (".png", ".overlay.png", ".json")} | {"classes.txt"}
    assert "2 of 2 images were already done" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["lost.png"], "lost.png: no such file or folder"),
        (["void"], "void: no images in this folder"),
        (["one/a.png", "two/a.png"], "would both write a.png.png; name the folder that contains both"),
        (["one", "two"], "would both write a.png.png"),
        (["three", "--overlay"], "would both write x.overlay.png"),
        (["one", "--out", "one"], "out: one is the folder of the images"),
        (["one/a.png", "--out", "one"], "is an image and would be overwritten"),
        (["one/a.png", "--mode", "fast"], "mode: got 'fast', expected one of velocity"),
        (["one/a.png", "--preset", "huge"], "preset: got 'huge', expected one of clip-b16-dinov2-reg"),
        (["one/a.png", "--device", "abacus"], "device: got 'abacus'"),
        (["one/a.png", "--batch-size", "0"], "batch_size: got 0"),
        (["one/a.png", "--classes", ""], "classes: got [''], expected at least one name"),
        (["one/a.png", "--classes", "sky,,grass"], "classes: got ['sky', '', 'grass']"),
        (["one/a.png", "--classes", "sky, grass,sky"], "classes: sky given more than once"),
        (["one/a.png", "--classes", "sky, zebra", "--preset", "picturebook"], "does not know ['zebra']"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_mistakes_are_one_line(home, capsys, words, message):
    draw("one/a.png", "two/a.png", "three/x.png", "three/x.overlay.png")
    Path("void").mkdir()
    before = {name: (home / name).read_bytes() for name in files(".")}
    defaults = {"--preset": "fake", "--classes": "a, b"}
    rest = [word for pair in defaults.items() if pair[0] not in words for word in pair]
    assert main(["segment", *words, *rest]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("dotseg: ") and message in err.replace("\\", "/")
    assert {name: (home / name).read_bytes() for name in files(".")} == before


@pytest.mark.parametrize("word, near", [("--prset", "did you mean --preset?"), ("--xyz", "unrecognized arguments: --xyz")])
def test_an_unknown_option_is_answered_by_its_command(capsys, word, near):
    with pytest.raises(SystemExit, match="2"):
        main(["segment", "one", "--classes", "a", word, "fake"])
    said = capsys.readouterr().err
    assert said.startswith("usage: dotseg segment") and near in said and ("did you mean" in said) == ("mean" in near)


# --- what is done ---


def test_what_is_done_is_not_done_again(home, capsys):
    draw("in/a.png", "in/b.png")

    def redone(*words, **options):
        before = stamps("out")
        assert fake("in", *words, **options) == 0
        after = stamps("out")
        return sorted(name for name in after if name != "m" and before.get(name) != after[name])

    assert redone() == ["a.png", "b.png"]
    assert redone() == []
    assert "2 of 2 images were already done in out" in capsys.readouterr().err
    assert redone("--overwrite") == ["a.png", "b.png"]
    assert redone("--mode", "path") == ["a.png", "b.png"]
    assert redone("--mode", "path") == []
    assert redone(classes="dark,light") == ["a.png", "b.png"]
    assert redone(classes=" dark ,light") == []  # the same names
    assert redone(classes="light, dark") == ["a.png", "b.png"]
    assert redone("--overlay", classes="light, dark") == ["a.overlay.png", "a.png", "b.overlay.png", "b.png"]
    assert redone("--overlay", classes="light, dark") == []

    Path("out/a.json").unlink()
    assert redone("--overlay", classes="light, dark") == ["a.overlay.png", "a.png"]
    report = Path("out/b.json").read_bytes()
    for broken in (b"", report[:40], report[:-9], b'{"software": "dotseg (report)", "settings": 3}', b'{"software": "dotseg (report)", "image": ' + b"[" * 100_000):
        Path("out/b.json").write_bytes(broken)
        assert redone(classes="light, dark") == ["b.overlay.png", "b.png"]
    capsys.readouterr()
    for foreign in ("[]", "{", "null", '{"settings": 3}', "[" * 100_000, '{"version": "5.5.0", "shapes": []}'):
        Path("out/b.json").write_text(foreign)
        assert fake("in", classes="light, dark") == 1
        assert "b.json was not made by dotseg, so it was left unchanged" in capsys.readouterr().err and Path("out/b.json").read_text() == foreign
    Path("out/b.json").unlink()
    assert redone(classes="light, dark") == ["b.overlay.png", "b.png"]
    Path("out/b.png").unlink()
    assert redone(classes="light, dark") == ["b.overlay.png", "b.png"]
    draw("in/c.png")
    assert redone(classes="light, dark") == ["c.png"]


def test_another_image_of_the_same_name_is_not_done(home, capsys):
    draw("one/a.png", value=0)
    draw("two/a.png", value=255)
    assert fake("one") == 0
    assert np.asarray(Image.open("out/a.png")).max() == 0
    assert fake("two") == 1, "what another image left is not overwritten"
    assert np.asarray(Image.open("out/a.png")).max() == 0
    said = capsys.readouterr().err
    assert all(str(Path(name).resolve()) in said for name in ("one/a.png", "two/a.png")) and "--overwrite" in said
    assert fake("two", "--overwrite") == 0
    assert np.asarray(Image.open("out/a.png")).min() == 1
    settings = json.loads(Path("out/a.json").read_text())["settings"]
    assert is_done(Path("two/a.png"), Path("out"), "a", settings)
    seen = os.stat("two/a.png")
    for later in (5, -5):  # an image that is edited, and an older one that is moved over it
        os.utime("two/a.png", ns=(seen.st_atime_ns, seen.st_mtime_ns + later * 10**9))
        assert not is_done(Path("two/a.png"), Path("out"), "a", settings)
    os.utime("two/a.png", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert is_done(Path("two/a.png"), Path("out"), "a", settings)
    assert not is_done(Path("two/a.png"), Path("out"), "a", settings, ["palette", "overlay"])
    assert not is_done(Path("two/a.png"), Path("out"), "a", settings | {"version": "0"})


# --- a run that breaks off ---


@pytest.mark.parametrize(
    "error, code, message",
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, f"dotseg: [Errno {errno.ENOSPC}] No space left on device: "),
        (KeyboardInterrupt(), 130, "dotseg: interrupted; all masks written so far are complete"),
    ],
)
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_breaking_off_in_the_middle_of_a_file(home, capsys, monkeypatch, error, code, message, at):
    draw("in/a.png", "in/b.png")
    true_save, calls = Image.Image.save, []

    def failing(self, file, *args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            file.write(b"\x89PNG\r\n")
            raise error
        true_save(self, file, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", failing)
        assert fake("in", "--overlay", "--batch-size", "1") == code
    err = capsys.readouterr().err
    assert err.startswith(message) and err.count("\n") == 1
    if code == 1:
        assert ("a" if at < 3 else "b") + (".png" if at % 2 else ".overlay.png") in err
    for name in files("out"):
        assert name == "classes.txt" or name.endswith((".png", ".json")) and not name.startswith(".")
    for name in files("out") - {"classes.txt"}:
        Image.open(Path("out") / name).load() if name.endswith(".png") else json.loads((Path("out") / name).read_text())
    assert files("out") >= ({"a.png", "a.overlay.png", "a.json"} if at > 2 else set())
    assert ("a.json" in files("out"), "b.json" in files("out")) == (at > 2, False)
    assert fake("in", "--overlay") == 0
    assert files("out") == {f"{n}{e}" for n in "ab" for e in (".png", ".overlay.png", ".json")} | {"classes.txt"}
    assert (f"{int(at > 2)} of 2 images were already done" in capsys.readouterr().err) == (at > 2)


def test_an_output_that_is_a_file(home, capsys):
    draw("a.png")
    Path("out").write_text("precious")
    for out in ("out", "out/below"):
        assert fake("a.png", "--out", out) == 2
        said = capsys.readouterr().err
        assert "is a file" in said and "repeat the command to continue" not in said and Path("out").read_text() == "precious"
    for command in (["demo"], ["evaluate", "picturebook", "--preset", "fake", "--limit", "1"]):
        assert main([*command, "--out", "out"]) == 2
        assert "is a file" in capsys.readouterr().err and Path("out").read_text() == "precious"


def test_a_bug_keeps_its_traceback(home, monkeypatch):
    def broken(args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "load", broken)
    draw("a.png")
    with pytest.raises(RuntimeError, match="a bug"):
        fake("a.png")


def test_notes_are_short_and_the_hook_is_put_back(home, capsys, monkeypatch):
    import warnings

    before = warnings.showwarning
    monkeypatch.setattr("dotseg.segmentation.pipeline.MAX_PIXELS", 12)
    draw("a.png", "b.png")
    assert fake("a.png", "b.png") == 0
    assert capsys.readouterr().err == "note: an image of 8 x 6 pixels is segmented at 4 x 3; its mask has the full size\n"
    assert warnings.showwarning is before


# --- the other commands ---


def test_presets(home, capsys):
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == list(PRESETS)
    assert "  diffusion: Stable Diffusion 2" in "\n".join(lines) and "$DOTSEG_SD2" in "\n".join(lines)


def test_a_checkpoint_is_a_part_and_a_path(home, capsys):
    draw("a.png")
    for word, message in (("clip", "expected PART=PATH"), ("clip=", "expected PART=PATH"), ("nose=a", "no part nose"), ("clip=a b", "a b: no such file or folder")):
        assert main(["segment", "a.png", "--classes", "sky", "--preset", "clip-b16", "--checkpoint", word]) == 2
        assert message in capsys.readouterr().err
    assert not Path("out").exists() or not files("out")


def test_profile(capsys):
    assert main(["profile", "--preset", "picturebook", "--size", "128", "--names", "3"]) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    table = {row[0]: row[1:] for row in rows}
    assert {"logits", "attention: autoencoder", "attention: UNet", "discrepancy: O.P.", "discrepancy: M.V.", "upsampling"} < set(table)
    assert all(float(table[stage][0].split()[0]) > 0 for stage in ("logits", "attention: autoencoder", "attention: UNet"))
    assert all(float(table[stage][1].split()[0]) > 0 for stage in ("logits", "attention: autoencoder", "attention: UNet", "discrepancy: O.P."))
    assert all(float(row[3].split()[0]) > 0 for row in rows[2:])
    assert main(["profile", "--preset", "picturebook", "--dtype", "float8"]) == 2 and main(["profile", "--preset", "picturebook", "--device", "abacus"]) == 2
    assert main(["profile", "--preset", "none"]) == 2 and main(["profile", "--preset", "picturebook", "--size", "0"]) == 2


@pytest.mark.parametrize("command", [[], ["demo"], ["segment"], ["evaluate"], ["methods"], ["datasets"], ["prepare"], ["profile"], ["presets"]])
def test_help(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and f"usage: dotseg {' '.join(command)}" in out
    listed = re.search(r"--mode MODE +(.*?) \(default", out, re.DOTALL)
    assert bool(listed) == (command in (["demo"], ["segment"], ["evaluate"]))
    assert listed is None or tuple(name for name in re.findall(r"\w+", listed[1]) if name != "or") == tuple(MEASURES)


@pytest.mark.parametrize("words", [[], ["paint"], ["segment", "a.png"], ["prepare", "voc21"], ["methods", "--split", "train"]])
def test_misspelt_options(capsys, words):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2 and "error: " in capsys.readouterr().err


def test_methods(capsys):
    assert main(["methods", "--pages", "2", "--split", "validation"]) == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert len(rows) > 10 and all(line.count("|") == rows[0].count("|") for line in rows)
    assert "mIoU" in rows[0] and "2 validation pages" in out.splitlines()[-1]


@pytest.mark.parametrize("pages", ["0", "-1", "1000001"])
def test_methods_refuses(capsys, pages):
    assert main(["methods", "--pages", pages]) == 2
    assert capsys.readouterr().err.startswith("dotseg: n: got")


def two_halves(*names):
    "Images whose left half is dark, and their masks."
    for i, name in enumerate(names):
        for folder, dark, light in (("images", 0, 255), ("masks", 0, 1)):
            Path(folder).mkdir(exist_ok=True)
            x = np.full((6, 8, 3) if folder == "images" else (6, 8), light, np.uint8)
            x[:, : 4 + i] = dark
            Image.fromarray(x).save(f"{folder}/{name}.png")
    Path("classes.txt").write_text("dark; black\nlight\n")


def measure(*words):
    return main(["evaluate", "--images", "images", "--masks", "masks", "--classes", "classes.txt", "--preset", "fake", *words])


def test_evaluate_a_folder(home, capsys):
    two_halves("a", "b")
    assert measure("--out", "runs", "--save-masks", "--mode", "logits") == 0
    out = capsys.readouterr().out
    assert "2 images; " in out and "mIoU" in out and "dark" in out
    result = json.loads(Path("runs/result.json").read_text())
    assert sum(map(sum, result["matrix"])) == 2 * 48 and result["settings"]["models"]["preset"] == "fake"
    assert {"masks/a.png", "masks/b.png", "result.csv", "result.json", "result.png", "run.json"} < files("runs")

    Path("images/b.png").write_bytes(b"torn")
    assert measure("--out", "runs", "--mode", "logits") == 1
    assert "not counted: b: " in capsys.readouterr().err
    assert measure("--out", "runs", "--mode", "kl") == 2, "other settings in the same folder"
    assert "holds a run with other settings" in capsys.readouterr().err
    assert measure("--out", "runs", "--mode", "kl", "--fresh", "--limit", "1") == 0
    assert measure("--out", "unsure", "--mode", "logits", "--background-threshold", "1", "--limit", "1") == 0, "the first class is the background"
    assert [sum(column) for column in zip(*json.loads(Path("unsure/result.json").read_text())["matrix"])][0] > 24


def test_the_same_classes_in_segment_and_evaluate(home, capsys):
    "A list and a file with remarks in odd places give the same masks and the same figures; a void value is left out where asked."
    two_halves("a", "b")
    Path("odd.txt").write_bytes(b"\xef\xbb\xbf  # remark\r\ndark, black;\r\n\r\nlight # not heavy\r\n")
    for i, classes in enumerate(("dark|black,light", "odd.txt", "classes.txt")):
        assert main(["segment", "images", "--classes", classes, "--preset", "fake", "--out", f"out{i}"]) == 0
        assert measure("--classes", classes, "--out", f"run{i}", "--mode", "logits") == 0
        assert json.loads(Path(f"out{i}/a.json").read_text())["settings"]["classes"] == ["dark|black", "light"]
        assert Path(f"out{i}/a.png").read_bytes() == Path("out0/a.png").read_bytes()
        assert json.loads(Path(f"run{i}/result.json").read_text())["matrix"] == json.loads(Path("run0/result.json").read_text())["matrix"]
    capsys.readouterr()
    for command in (["segment", "images"], ["evaluate", "--images", "images", "--masks", "masks"]):
        for classes, message in (("lost.txt", "lost.txt: no such file"), ("dark; light", "two classes are separated by a comma")):
            assert main([*command, "--preset", "fake", "--out", "none", "--classes", classes]) == 2
            assert message in capsys.readouterr().err
    assert main(["segment", "images", "--preset", "fake", "--classes", "dark light", "--out", "one"]) == 0
    assert 'note: classes: "dark light" is taken as one class' in capsys.readouterr().err

    Image.fromarray(np.full((6, 8), 11, np.uint8)).save("masks/b.png")
    assert measure("--out", "void", "--mode", "logits") == 1 and "of value 11, expected 0 to 1, or 255" in capsys.readouterr().err
    assert measure("--out", "ignored", "--mode", "logits", "--ignore", "11", "--ignore", "12") == 0
    assert sum(map(sum, json.loads(Path("ignored/result.json").read_text())["matrix"])) == 48


def test_evaluate_by_a_named_protocol(home, capsys):
    two_halves("a")
    assert measure("--out", "named", "--mode", "logits", "--protocol", "proxyclip", "--short", "12", "--crop", "8", "--stride", "4") == 0
    result = json.loads(Path("named/result.json").read_text())
    assert result["settings"]["protocol"] == {"image_size": None, "short": 12, "crop": 8, "stride": 4, "background_threshold": None, "scale": 40.0, "mmseg": True}
    assert sum(map(sum, result["matrix"])) == 48 and result["summary"]["miou"] == result["summary"]["miou_in_truth"]


@pytest.mark.parametrize("words, message", [
    ([], "give a data set that `dotseg datasets` lists, or --images, --masks and --classes"),
    (["--images", "a", "--classes", "c"], "give a data set that"),
    (["picturebook", "--images", "a", "--masks", "b"], "give a data set that"),
    (["--images", "a", "--masks", "b"], "--classes: got none"),
    (["voc22"], "dataset: got 'voc22'"),
    (["voc21"], "root: got none"),
    (["voc21", "--root", "nowhere"], "nowhere: no such folder"),
    (["picturebook", "--crop", "3", "--limit", "1"], "crop, stride: got 3 and None"),
    (["picturebook", "--protocol", "mine"], "protocol: got 'mine', expected one of mmseg, sclip"),
    (["picturebook", "--protocol", "mmseg", "--image-size", "64"], "image_size: got 64 beside short 336"),
    (["picturebook", "--ignore", "3"], "--ignore: this option is for your own images and masks; picturebook states what it ignores"),
    (["--images", "a", "--masks", "b", "--classes", "c", "--ignore", "-3"], "ignored: got -3"),
])
def test_evaluate_refuses(home, capsys, words, message):
    assert main(["evaluate", *words, "--preset", "fake"]) == 2
    assert message in capsys.readouterr().err


def test_datasets(home, capsys):
    assert main(["datasets"]) == 0
    plain = capsys.readouterr().out
    assert "voc21" in plain and "1449 images,  21 classes" in plain
    for name in ("JPEGImages/x.jpg", "SegmentationClass/x.png", "ImageSets/Segmentation/val.txt"):
        Path("data/voc", name).parent.mkdir(parents=True, exist_ok=True)
        Path("data/voc", name).touch()
    assert main(["datasets", "--root", "data"]) == 0
    assert f"{Path('data/voc')}: 1 ImageSets/Segmentation/val.txt" in capsys.readouterr().out


def test_prepare(home, capsys):
    assert main(["prepare", "ade20k", "--root", "."]) == 2 and "needs no preparation" in capsys.readouterr().err
    raw = Path("city/gtFine/val/ulm/ulm_000000_000000_gtFine_labelIds.png")
    raw.parent.mkdir(parents=True)
    Image.fromarray(np.full((4, 4), 7, np.uint8)).save(raw)  # road
    assert main(["prepare", "cityscapes", "--root", "city"]) == 0
    assert "1 masks are in" in capsys.readouterr().out
    assert (np.asarray(Image.open(str(raw).replace("labelIds", "labelTrainIds"))) == 0).all()


def test_a_gpu_that_is_too_small(monkeypatch, capsys, tmp_path):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("dotseg.segmentation.segmenter.encode", full)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "needs more memory than the GPU has" in said and "--device cpu" in said and "2.00 GiB" in said

    def broken(*args):
        raise RuntimeError("something else")

    monkeypatch.setattr("dotseg.segmentation.segmenter.encode", broken)
    with pytest.raises(RuntimeError, match="something else"):
        main(["demo", "--out", str(tmp_path)])


def test_a_programming_error_keeps_its_traceback(home, monkeypatch):
    "Only what the user can mend becomes one line."
    def bug(*args):
        raise ValueError("not enough values to unpack")

    draw("a.png")
    monkeypatch.setattr("dotseg.segmentation.segmenter.encode", bug)
    with pytest.raises(ValueError, match="not enough values"):
        fake("a.png")


def test_what_the_library_logs_is_a_note(home, monkeypatch, capsys):
    import logging

    draw("a.png")
    label = segmenter_module.label
    monkeypatch.setattr(segmenter_module, "label", lambda *args: (logging.getLogger("dotseg").warning("a word"), label(*args))[1])
    assert fake("a.png") == 0
    assert "note: a word\n" in capsys.readouterr().err
    assert not logging.getLogger("dotseg").handlers  # main leaves none behind

"What breaks off an evaluation, or is in its way: it ends, says so, and the result in the end is that of a run that nothing happened to, to the byte."
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dotseg.evaluation.datasets import IGNORED, Dataset, DatasetSpec, load_folder
from dotseg.evaluation.runner import evaluate, record_line
from dotseg.method.errors import DotsegError
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation.outputs import hold_folder
from dotseg.segmentation.segmenter import Segmenter

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals, pipes and limits as Linux has them")
NAMES = [*"abcdefg", "town/h"]


def cheap(each=lambda: None):  # called before every image
    def logits(images, classes):
        each()
        small = F.adaptive_avg_pool2d(images, 4)
        return torch.stack([torch.cos(3 * small.sum(1) + c) for c in range(len(classes))], 1)

    return Segmenter(logits, None, DiscrepancyConfig(mode="logits", jbu=False))


@pytest.fixture(autouse=True)
def quick_figure(monkeypatch):
    "The numbers, where the figure would be: hundreds of runs are too many to draw."

    class Figure:
        def __init__(self, report):
            self.report = report

        def savefig(self, file, **options):
            file.write(json.dumps(self.report).encode())

    monkeypatch.setattr("dotseg.evaluation.runner.plot_classes", Figure)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    for name in NAMES:
        for kind, x in (("images", rng.integers(0, 256, (16, 20, 3))), ("masks", rng.choice([0, 1, 2, 255], (16, 20)))):
            path = place / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x.astype(np.uint8)).save(path)
    return place


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    "Images and masks, in the folder that is the current one."
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path()


def measure(files, out, each=lambda: None, **options):
    data = load_folder(files / "images", files / "masks", ["other", "cat", "dog"])
    return evaluate(cheap(each), data, out, **{"save_masks": True, "batch_size": 1, **options})


def outputs(folder):  # what a run leaves for people
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith((".dotseg", "counts-"))}


@pytest.fixture
def undisturbed(files):
    measure(files, files / "undisturbed")
    return outputs(files / "undisturbed")


def parts(folder):
    return list(folder.rglob("*.part"))


def killer(at):  # in the process that is to die: at the call of that number of a function of `os`, before or after it is done
    place, seen = int(at) // 2, []
    for module, name in ((os, "replace"), (os, "fsync")):
        plain = getattr(module, name)

        def call(*args, plain=plain):
            if len(seen) == place and not int(at) % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            result = plain(*args)
            seen.append(1)
            if len(seen) == place + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(module, name, call)


def doomed(files, out, at):
    killer(at)
    measure(files, out)


@linux
@pytest.mark.parametrize("at", [0, 5, 23, 44, pytest.param("all", marks=pytest.mark.slow)])
def test_killed_between_any_two_writes(files, undisturbed, at):
    "Before and after each flush and each rename: of the run file, the masks, their reports, and the results."
    count = 0
    for moment in range(1000) if at == "all" else [at]:
        out = files / f"killed-{moment}"
        process = forking.begin(doomed, files, out, moment)
        code, said = forking.finish(process)
        if at == "all" and code == 0:  # there are no more calls
            break
        assert code == -signal.SIGKILL, said
        measure(files, out)
        assert outputs(out) == undisturbed and not parts(out)
        count += 1
    print(f"{count} kills")
    assert count > (80 if at == "all" else 0)


@linux
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(files, undisturbed, kills):
    rng, died = np.random.default_rng(kills), 0
    whole = forking.begin(measure, files, files / "timed", lambda: time.sleep(0.01))
    begun = time.monotonic()
    assert forking.finish(whole)[0] == 0
    span = time.monotonic() - begun
    for i in range(kills):
        out = files / f"killed-{i}"
        process = forking.begin(measure, files, out, lambda: time.sleep(0.01))
        time.sleep(rng.uniform(0.1, 0.9) * span)
        process.kill()
        died += forking.finish(process)[0] == -signal.SIGKILL
        measure(files, out)
        assert outputs(out) == undisturbed and not parts(out)
    print(f"{died} of {kills} were killed before their end")
    assert died


def mount(folder, options):
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("may not mount")


@pytest.fixture
def small_disk(files):
    place = files / "disk"
    mount(place, "size=1m")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@linux
def test_disk_full(files, undisturbed, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2**20 - 10 * 4096))  # a few pages are left
    with pytest.raises(OSError, match="No space left on device"):
        measure(files, small_disk / "run")
    assert not parts(small_disk) and not (small_disk / "run/result.json").exists()
    filler.unlink()
    measure(files, small_disk / "run")
    assert outputs(small_disk / "run") == undisturbed


@linux
def test_read_only_output(files, undisturbed):
    place = files / "disk"
    mount(place, "size=1m")
    try:
        measure(files, place / "run")
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        for out in ("run", "new"):
            with pytest.raises(OSError, match=f"Read-only file system: .*{out}"):
                measure(files, place / out)
        assert outputs(place / "run") == undisturbed
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@linux
def test_few_file_descriptors(files, undisturbed):
    def starved():
        used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, used + 5))
        measure(files, files / "starved")

    assert forking.finish(forking.begin(starved)) == (0, "")
    assert outputs(files / "starved") == undisturbed


def once(do, at=3):  # an `each` that does something before the image of that number
    seen = []

    def each():
        seen.append(1)
        if len(seen) == at:
            do()

    return each


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("fault", ["vanishes", "is cut", "becomes a folder", "becomes a pipe", "becomes a device", "becomes a loop"])
def test_a_file_that_changes_midway_is_left_out_and_taken_up(files, undisturbed, kind, fault):
    path = files / kind / "g.png"
    whole, stamp = path.read_bytes(), path.stat()

    def change():
        path.unlink()
        if fault == "is cut":
            path.write_bytes(whole[: len(whole) // 2])
        elif fault == "becomes a folder":
            path.mkdir()
        elif fault == "becomes a pipe":
            os.mkfifo(path)
        elif fault == "becomes a device":
            path.symlink_to("/dev/zero")
        elif fault == "becomes a loop":
            path.symlink_to(path)

    with pytest.warns(UserWarning, match=r"left out: .*g\.png"):
        result = measure(files, files / "run", once(change))
    assert list(result.excluded) == ["g"] and result.images == len(NAMES) - 1
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(whole)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    measure(files, files / "run")
    assert outputs(files / "run") == undisturbed


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_that_changes_after_it_was_read_is_counted_anew(files, kind):
    "The note of what was counted is of the file as it was before it was read."
    path = files / kind / "c.png"
    measure(files, files / "run", once(lambda: Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)))
    measure(files, files / "run")
    measure(files, files / "clean")
    assert outputs(files / "run") == outputs(files / "clean")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_another_file_of_the_same_size_and_time_is_counted_anew(files, kind):
    "As when an older file is moved over it; the same file, unpacked anew, is not."
    path = files / kind / "c.bmp"
    (files / kind / "c.png").unlink()
    Image.fromarray(np.zeros((16, 20) + (3,) * (kind == "images"), np.uint8)).save(path)
    seen = []
    measure(files, files / "run")
    stamp, old = path.stat(), path.read_bytes()
    for content, counted in ((old, 0), (old[:-3] + b"\1" + old[-2:], 1)):
        path.with_suffix(".new").write_bytes(content)
        os.utime(path.with_suffix(".new"), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        os.replace(path.with_suffix(".new"), path)
        seen.clear()
        measure(files, files / "run", lambda: seen.append(1))
        assert len(seen) == counted
    measure(files, files / "clean")
    assert outputs(files / "run") == outputs(files / "clean")


def test_no_mask_of_before_stands_beside_a_result(files):
    measure(files, files / "run")
    own = files / "run/masks/mine.png"
    own.write_bytes(b"of the user")
    (files / "masks/a.png").write_bytes((files / "masks/b.png").read_bytes())  # counted anew, without its mask
    (files / "images/b.png").write_bytes(b"")  # left out
    with pytest.warns(UserWarning):
        measure(files, files / "run", save_masks=False)
    assert not {"masks/a.png", "masks/a.json", "masks/b.png", "masks/b.json"} & set(outputs(files / "run")) and (files / "run/masks/c.png").exists()
    with pytest.warns(UserWarning):
        measure(files, files / "run", save_masks=False, fresh=True)
    assert {path.name for path in (files / "run/masks").rglob("*.png")} == {"mine.png"} and own.exists()


@pytest.mark.parametrize("save_masks", [True, False])
@pytest.mark.parametrize("what", ["run", "run/masks", "run/counts-0.txt"])
def test_output_deleted_midway(files, undisturbed, what, save_masks):
    if what == "run/masks" and not save_masks:
        pytest.skip("there are none")
    gone = files / what
    with pytest.raises((DotsegError, OSError), match="run"):
        measure(files, files / "run", once(lambda: shutil.rmtree(gone) if gone.is_dir() else gone.unlink()), save_masks=save_masks)
    assert not (files / "run/result.json").exists()
    result = measure(files, files / "run", save_masks=save_masks)
    assert result.images == len(NAMES)
    assert outputs(files / "run") == (undisturbed if save_masks else {name: data for name, data in undisturbed.items() if not name.startswith("masks/")})


@pytest.mark.parametrize("damage", ["empty", "cut", "gone", "no report", "empty report"])
def test_a_saved_mask_that_is_not_whole_is_made_again(files, undisturbed, damage):
    measure(files, files / "run")
    mask = files / "run/masks/town/h.png"
    if damage == "empty":
        mask.write_bytes(b"")
    elif damage == "cut":
        mask.write_bytes(mask.read_bytes()[:-20])
    elif damage == "gone":
        mask.unlink()
    else:
        mask.with_suffix(".json").unlink() if damage == "no report" else mask.with_suffix(".json").write_text("")
    measure(files, files / "run")
    assert outputs(files / "run") == undisturbed


@linux
@pytest.mark.parametrize("name", ["run.json", "counts-0.txt", "counts-9.txt", ".dotseg"])
@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_read(files, undisturbed, name, what):
    measure(files, files / "run")
    path = files / "run" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path) if what == "pipe" else path.symlink_to("/dev/zero") if what == "device" else path.mkdir()
    process = forking.begin(measure, files, files / "run")
    code, said = forking.finish(process, 20)
    if name == ".dotseg" and what != "folder":  # it is replaced
        assert code == 0, said
    else:
        assert code == 1 and name in said.splitlines()[-1] and ("DotsegError" in said or "IsADirectoryError" in said)
    path.rmdir() if path.is_dir() else path.unlink()
    measure(files, files / "run")
    assert outputs(files / "run") == undisturbed


@pytest.mark.parametrize("text", [b"", b"[1]", b"1", b"{", b"[" * 10**5, b'{"a":' * 10**5, b"\x80\xff\x00", b"null"])
def test_a_run_file_that_says_nothing(files, undisturbed, text):
    measure(files, files / "run")
    (files / "run/run.json").write_bytes(text)
    with pytest.raises(DotsegError, match=r"run\.json does not say what was counted there \(.+\); begin afresh \(--fresh\)"):
        measure(files, files / "run")
    (files / "run/result.json").write_bytes(text)  # nobody reads it
    measure(files, files / "run", fresh=True)
    assert outputs(files / "run") == undisturbed


@pytest.mark.parametrize("counts", [torch.tensor([0] * 10**4 + [1]), torch.tensor([-1] * 5)])
def test_records_that_do_not_fit_are_not_taken(files, undisturbed, counts):
    measure(files, files / "run")
    path = files / "run/counts-0.txt"
    for line in path.read_bytes().splitlines()[1:]:
        name, stamp, *_ = json.loads(line.split(b" ", 1)[1])
        path.open("ab").write(record_line(name, stamp, counts))
    measure(files, files / "run")
    assert outputs(files / "run") == undisturbed


@pytest.mark.parametrize("text", ["[" * 10**5, "of the user", '{"bytes": 1}'])
def test_a_report_that_is_not_ours_stays(files, text):
    path = files / "run/masks/a.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.warns(UserWarning, match=r"left out: .*a\.json was not made by dotseg"):
        result = measure(files, files / "run")
    assert list(result.excluded) == ["a"] and path.read_text() == text


# two runs at once

def test_a_second_run_is_refused_and_the_first_is_whole(files, undisturbed):
    def second():
        with pytest.raises(DotsegError, match=f"run is in use by another run .process {os.getpid()} on .* since "):
            measure(files, files / "run", fresh=True)

    measure(files, files / "run", once(second))
    assert outputs(files / "run") == undisturbed


@linux
def test_a_run_whose_process_is_dead_holds_nothing(files, undisturbed):
    def hold():
        with hold_folder(files / "run"):
            (files / "run/held").touch()
            time.sleep(600)

    process = forking.begin(hold)
    while not (files / "run/held").exists():
        time.sleep(0.02)
    with pytest.raises(DotsegError, match=f"process {process.pid} "):
        measure(files, files / "run")
    process.kill()
    process.join()
    (files / "run/held").unlink()
    measure(files, files / "run")
    assert outputs(files / "run") == undisturbed


def test_a_failed_run_lets_go_of_its_folder(files):
    def fail():
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        measure(files, files / "run", fail)
    measure(files, files / "run")


# what the result says, and when it is there

def test_an_older_result_does_not_stand_beside_a_run_that_goes_on(files):
    measure(files, files / "run")
    for fresh in (False, True):
        seen = []
        (files / "masks/a.png").write_bytes((files / "masks/b.png").read_bytes())
        measure(files, files / "run", lambda: seen.append((files / "run/result.json").exists()), fresh=fresh)
        assert seen and not any(seen) and (files / "run/result.json").exists()


def test_numbers_are_there_when_the_figure_fails(files, monkeypatch):
    def fail(report):
        raise RuntimeError("no display")

    monkeypatch.setattr("dotseg.evaluation.runner.plot_classes", fail)
    with pytest.raises(RuntimeError):
        measure(files, files / "run")
    assert json.loads((files / "run/result.json").read_text())["images"] == len(NAMES) and (files / "run/result.csv").exists()


@pytest.mark.parametrize("values, said", [([0, 255], None), ([255], None), ([0, 1, 255], ""), ([0, 1], ""), ([0], "")])
def test_masks_of_0_and_255(files, values, said):
    "What nobody said does not count is said, and is no reason for a figure over what is left."
    rng = np.random.default_rng(1)
    for name in NAMES:
        Image.fromarray(rng.choice(values, (16, 20)).astype(np.uint8)).save(files / "masks" / f"{name}.png")
    data = lambda **options: load_folder(files / "images", files / "masks", ["other", "cat"], **options)
    share = 0 if 255 not in values else 1 / len(values)
    if said is None:
        seen = []
        with pytest.raises(DotsegError, match=rf"masks: {100 * share:.0f}\..% of the pixels of the masks have a value that no class has \(255\); .*--ignore 255") as error:
            evaluate(cheap(lambda: seen.append(1)), data(), files / "run")
        assert not seen and "divide them by 255" in str(error.value) and not (files / "run/result.json").exists()
        if values == [255]:
            with pytest.raises(DotsegError, match="classes that occur: none"):
                evaluate(cheap(), data(ignored=[255]), files / "run2")
            return
    result = evaluate(cheap(), data(ignored=[255]) if said is None else data(), files / "run", fresh=said is None)
    written = json.loads((files / "run/result.json").read_text())["summary"]
    pixels = len(NAMES) * 16 * 20
    assert sum(result.ignored.values()) == pixels - written["pixels"] and result.ignored[255] == pytest.approx(share * pixels, rel=0.1)
    assert written["ignored"] == ({"255": result.ignored[255]} if share else {})


def test_masks_of_which_only_the_first_look_right(files):
    "What a look at some of the masks misses, the count of all finds."
    for i in range(40):
        for kind in ("images", "masks"):
            shutil.copy(files / kind / "a.png", files / kind / f"x{i}.png")
            if kind == "masks" and i:
                Image.fromarray(np.uint8([[0] * 20, [255] * 20] * 8)).save(files / kind / f"x{i}.png")
    for name in NAMES:
        Image.fromarray(np.zeros((16, 20), np.uint8)).save(files / "masks" / f"{name}.png")
    Image.fromarray(np.uint8([[0] * 20] * 15 + [[1] * 20])).save(files / "masks/x0.png")
    with pytest.raises(DotsegError, match="masks: 4"):
        measure(files, files / "run")
    assert not (files / "run/result.json").exists()


# names

def test_no_name_leads_out_of_the_folder(tmp_path):
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    spec = DatasetSpec("mine", "", (("a",), ("b",)), "", "", {0: 0, 1: 1, 255: IGNORED})
    for name in ("../../out", "/tmp/dotseg-out", "a/../../../out"):
        with pytest.raises(DotsegError, match="name"):
            evaluate(cheap(), Dataset(spec, [(name, image, mask)]), tmp_path / "deep/run", save_masks=True)
    assert {p.name for p in tmp_path.iterdir()} == {"deep"} and not Path("/tmp/dotseg-out.png").exists()


def test_odd_names_of_files(files, capsys):
    "A line end, an escape sequence, bytes that are no UTF-8, and 250 of them: measured, or named in plain characters."
    for name in ("new\nline", "\x1b[2Jcleared", "\udcff", "x" * 250, "\u202egpj"):
        for kind in ("images", "masks"):
            shutil.copy(files / kind / "a.png", files / kind / f"{name}.png")
    (files / "images/broken\x1b[31m.png").write_bytes(b"")
    shutil.copy(files / "masks/a.png", files / "masks/broken\x1b[31m.png")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = measure(files, files / "run", save_masks=False)
    assert result.images == len(NAMES) + 5 and len(result.excluded) == 1
    assert "left out: " in str(said[0].message) and all(str(note.message).isprintable() for note in said)
    again = measure(files, files / "run", lambda: pytest.fail("counted twice"), save_masks=False)
    assert torch.equal(again.matrix, result.matrix)


@pytest.mark.parametrize("way", ["long", "folder"])
def test_a_mask_that_cannot_be_called_so_is_left_out(files, way):
    name = "a" if way == "folder" else "x" * 251
    if way == "folder":
        (files / "run/masks/a.png/in").mkdir(parents=True)
    else:
        for kind in ("images", "masks"):
            shutil.copy(files / kind / "a.png", files / kind / f"{name}.png")
    with pytest.warns(UserWarning, match="left out: "):
        result = measure(files, files / "run")
    assert list(result.excluded) == [name] and result.images == len(list(files.glob("images/**/*.png"))) - 1


def test_not_enough_memory_is_said(files, monkeypatch):
    def exhausted(*args, **kwargs):
        raise MemoryError

    data = load_folder(files / "images", files / "masks", ["other", "cat", "dog"])
    monkeypatch.setattr("dotseg.evaluation.datasets.open_picture", exhausted)
    with pytest.raises(ValueError, match=r"a\.png: there is not enough memory"):
        data[0].values()


def test_threads_that_measure_into_one_folder(files):
    results = []

    def work():
        try:
            results.append(measure(files, files / "run").images)
        except DotsegError as error:
            results.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert len(results) == 3 and all(result == len(NAMES) or "is in use" in result for result in results) and len(NAMES) in results

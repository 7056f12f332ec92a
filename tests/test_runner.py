import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dotseg.evaluation.datasets import load_dataset, load_folder
from dotseg.evaluation.metrics import confusion_matrix
from dotseg.evaluation.protocol import Protocol, by_protocol
from dotseg.evaluation.processes import local_device, processes
from dotseg.evaluation.runner import begin_run, evaluate, read_records, record_line
from dotseg.method.errors import DotsegError
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation.segmenter import Segmenter

PROGRAM = """
import os, sys, torch
import torch.nn.functional as F
from dotseg.evaluation import processes
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.runner import evaluate
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation.segmenter import Segmenter

torch.set_num_threads(1)
processes.SILENCE = float(os.environ.get("SILENCE", 60))
seen = 0

def logits(images, classes):
    global seen
    seen += 1
    if os.environ.get("VICTIM", "0") == os.environ.get("RANK", "0") and seen == int(os.environ.get("AT", 0)):
        if os.environ["HOW"] == "raise":
            raise RuntimeError("the disk is on fire")
        os.kill(os.getpid(), {"kill": 9, "stop": 19}[os.environ["HOW"]])
    small = F.adaptive_avg_pool2d(images, 8)
    return torch.stack([torch.cos(3 * small.sum(1) + c) for c in range(len(classes))], 1)

if __name__ == "__main__":
    result = evaluate(Segmenter(logits, None, DiscrepancyConfig(mode="logits")), load_dataset("picturebook")[:11], sys.argv[1], batch_size=1)
    print(f"rank {os.environ.get('RANK')} counted {result.images} computed {seen} matrix {hash(str(result.matrix.tolist()))}")
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def cheap(config=DiscrepancyConfig(mode="logits"), models=None):
    def logits(images, classes):
        logits.seen += 1
        small = F.adaptive_avg_pool2d(images, 8)
        return torch.stack([torch.cos(3 * small.sum(1) + c) for c in range(len(classes))], 1)

    logits.seen = 0
    return Segmenter(logits, None, config, models)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    "What one process gives that nothing happens to."
    folder = tmp_path_factory.mktemp("alone")
    evaluate(cheap(), load_dataset("picturebook")[:11], folder)
    return (folder / "result.json").read_text()


def run(program, folder, *words, **variables):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **variables}
    return subprocess.run([*(words or [sys.executable]), program, folder], capture_output=True, text=True, env=env, timeout=600)


@pytest.fixture
def files(tmp_path):
    "Five images of several sizes with masks of three classes, 255 ignored; one in a folder of its own."
    rng = np.random.default_rng(0)
    for i, (h, w) in enumerate([(20, 30), (30, 20), (17, 23), (20, 30), (8, 9)]):
        name = f"town/{i}" if i == 4 else f"{i}"
        for kind, x in (("images", rng.integers(0, 256, (h, w, 3))), ("masks", rng.choice([0, 1, 2, 255], (h, w)))):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x.astype(np.uint8)).save(tmp_path / kind / f"{name}.png")
    return tmp_path


def folder_of(files, **options):
    return load_folder(files / "images", files / "masks", ["other", "cat|tom", "dog"], **options)


# one process

def test_counts_are_those_of_the_masks(files):
    segmenter, dataset = cheap(), folder_of(files)
    result = evaluate(segmenter, dataset, files / "run", save_masks=True)
    matrix = torch.zeros(3, 3, dtype=torch.int64)
    for example in dataset:
        image, labels = example.read()
        mask = torch.tensor(np.array(Image.open(files / "run/masks" / f"{example.name}.png")))
        assert torch.equal(mask, by_protocol(segmenter)(image, dataset.spec.prompts).labels)
        matrix += confusion_matrix(torch.tensor(labels), mask, 3)
    assert torch.equal(result.matrix, matrix) and result.images == 5 and not result.excluded
    assert (files / "run/masks/town/4.json").exists()


def test_result_file(files):
    segmenter = cheap(models={"preset": "cheap", "clip": "some/id@abc"})
    result = evaluate(segmenter, folder_of(files), files / "run")
    written = json.loads((files / "run/result.json").read_text())
    assert written["matrix"] == result.matrix.tolist() and written["images"] == 5 and written["excluded"] == {}
    assert written["settings"]["models"] == {"preset": "cheap", "clip": "some/id@abc"}
    assert written["settings"]["protocol"]["short"] is None and written["settings"]["config"]["mode"] == {"name": "logits"}
    assert written["summary"] == result.report["summary"] and [row["class"] for row in written["classes"]] == ["other", "cat", "dog"]
    assert len((files / "run/result.csv").read_text().splitlines()) == 4


def test_figure_of_the_classes(files):
    evaluate(cheap(), folder_of(files), files / "run")
    with Image.open(files / "run/result.png") as figure:
        assert figure.format == "PNG" and min(figure.size) > 100 and len(figure.convert("L").getcolors()) > 10


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_with_the_running_mean(files, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    result = evaluate(cheap(), folder_of(files), files / "run")
    last = sys.stderr.getvalue().split("\r")[-1]
    assert "5/5" in last and f"mIoU={100 * result.report['summary']['miou']:.2f}%" in last


def test_taken_up_without_computing(files):
    first, second = cheap(), cheap()
    result = evaluate(first, folder_of(files), files / "run")
    assert first.logit_source.seen == 5
    assert torch.equal(evaluate(second, folder_of(files), files / "run").matrix, result.matrix)
    assert second.logit_source.seen == 0


def test_slices_share_records(files):
    segmenter = cheap()
    evaluate(segmenter, folder_of(files)[:2], files / "run")
    assert evaluate(segmenter, folder_of(files), files / "run").images == 5 and segmenter.logit_source.seen == 5
    assert evaluate(segmenter, folder_of(files)[3:], files / "run").images == 2 and segmenter.logit_source.seen == 5


def test_masks_asked_for_later(files):
    segmenter = cheap()
    evaluate(segmenter, folder_of(files), files / "run")
    result = evaluate(segmenter, folder_of(files), files / "run", save_masks=True)
    assert segmenter.logit_source.seen == 10 and result.images == 5 and len(list(files.glob("run/masks/**/*.png"))) == 5
    evaluate(segmenter, folder_of(files), files / "run")
    evaluate(segmenter, folder_of(files), files / "run", save_masks=True)
    assert segmenter.logit_source.seen == 10


def test_changed_mask_is_counted_anew(files):
    segmenter = cheap()
    evaluate(segmenter, folder_of(files), files / "run")
    Image.fromarray(np.full((30, 20), 255, np.uint8)).save(files / "masks/1.png")
    again = evaluate(segmenter, folder_of(files), files / "run")
    assert segmenter.logit_source.seen == 6 and torch.equal(again.matrix, evaluate(cheap(), folder_of(files), files / "other").matrix)


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("damage", ["empty", "torn", "size", "gone"])
def test_unreadable_is_left_out_by_name_until_it_is_repaired(files, kind, damage):
    path, dataset = files / kind / "1.png", folder_of(files)
    whole = path.read_bytes()
    if damage == "size":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="left out: "):
        result = evaluate(cheap(), dataset, files / "run")
    assert result.images == 4 and list(result.excluded) == ["1"] and json.loads((files / "run/result.json").read_text())["excluded"] == result.excluded
    path.write_bytes(whole)
    repaired = evaluate(cheap(), dataset, files / "run")
    assert repaired.images == 5 and not repaired.excluded
    assert torch.equal(repaired.matrix, evaluate(cheap(), dataset, files / "other").matrix)


def test_nothing_readable(files):
    for path in (files / "images").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="of 5 images of images none could be read, such as "), pytest.warns(UserWarning):
        evaluate(cheap(), folder_of(files), files / "run")
    assert not (files / "run/result.json").exists()


@pytest.mark.parametrize("change", ["mode", "models", "protocol", "classes", "values", "threshold"])
def test_other_settings_are_refused(files, change):
    evaluate(cheap(), folder_of(files), files / "run")
    segmenter, dataset, protocol = cheap(), folder_of(files), Protocol()
    if change == "mode":
        segmenter = cheap(DiscrepancyConfig(mode="kl"))
    elif change == "models":
        segmenter = cheap(models={"clip": "another"})
    elif change == "protocol":
        protocol = Protocol(crop=8, stride=4)
    elif change == "classes":
        dataset = load_folder(files / "images", files / "masks", ["other", "cat", "dog"])
    elif change == "values":
        dataset = folder_of(files, ignored=[255, 7])
    else:
        dataset = folder_of(files, background_threshold=0.1)
    with pytest.raises(ValueError, match="holds a run with other settings .*(mode|clip|crop|classes|label_map|threshold).* was .*afresh"):
        evaluate(segmenter, dataset, files / "run", protocol)
    result = evaluate(segmenter, dataset, files / "run", protocol, fresh=True)
    assert result.images == 5 and segmenter.logit_source.seen >= 5
    assert torch.equal(result.matrix, evaluate(segmenter, dataset, files / "clean", protocol).matrix)


def test_foreign_run_file(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DotsegError, match="was None, is 1"):
        begin_run(tmp_path, {"a": 1})
    begin_run(tmp_path, {"a": 1}, fresh=True)
    begin_run(tmp_path, {"a": 1})


def test_background(files):
    "Where a set has a threshold, unsure pixels are class 0; without a background a threshold is refused."
    all_unsure = evaluate(cheap(), folder_of(files, background_threshold=1.0), files / "unsure", Protocol(scale=0.1))
    assert all_unsure.matrix[:, 1:].sum() == 0 and all_unsure.settings["protocol"]["background_threshold"] == 1.0
    none = evaluate(cheap(), folder_of(files, background_threshold=0.5), files / "none", Protocol(background_threshold=0.0))
    assert torch.equal(none.matrix, evaluate(cheap(), folder_of(files), files / "run").matrix)
    with pytest.raises(ValueError, match="background_threshold: got 0.1, but images has no background"):
        evaluate(cheap(), folder_of(files), files / "x", Protocol(background_threshold=0.1))


def test_batches_change_no_prediction(tmp_path):
    "Eight pages at a time, with real models: the same masks, to the byte, and the same counts."
    segmenter, pages = Segmenter.from_preset("picturebook", device="cpu"), load_dataset("picturebook")[:8]
    results = [evaluate(segmenter, pages, tmp_path / str(size), save_masks=True, batch_size=size) for size in (1, 3, 8)]
    for other in results[1:]:
        assert torch.equal(other.matrix, results[0].matrix) and torch.equal(other.boundary, results[0].boundary)
    for mask in (tmp_path / "1" / "masks").glob("*.png"):
        assert all((tmp_path / size / "masks" / mask.name).read_bytes() == mask.read_bytes() for size in "38")


# records

def test_a_file_cut_anywhere_gives_whole_records(tmp_path):
    counts = [torch.tensor([0, 3, 0, i, 1]) for i in range(4)]
    lines = [record_line(f"imäge {i}\n", [[i, 2], None, False], c) for i, c in enumerate(counts)]
    whole, ends = b"\n" + b"".join(lines), np.cumsum([1, *map(len, lines)])
    for cut in range(len(whole) + 1):
        (tmp_path / "counts-0.txt").write_bytes(whole[:cut] + b"\n" + lines[0])  # a later run goes on behind what is torn
        found = {name: x for (name, _), x in read_records(tmp_path).items()}
        assert len(found) == max(1, int((ends[1:] - 1 <= cut).sum()))
        for i, c in enumerate(counts):
            if (x := found.get(f"imäge {i}\n")) is not None:
                assert torch.equal(torch.zeros(5, dtype=torch.int64).index_put((torch.tensor(x[0]),), torch.tensor(x[1])), c)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 60))
def test_damaged_records_are_not_taken(tmp_path_factory, noise, at):
    folder = tmp_path_factory.mktemp("noise")
    line = record_line("a", [1], torch.tensor([0, 1, 2]))
    (folder / "counts-3.txt").write_bytes(line[:at] + noise + line[at:])
    found = read_records(folder)
    assert all(x.tolist() == [[1, 2], [1, 2]] for x in found.values()) and set(found) <= {("a", "[1]")}


@pytest.mark.parametrize("how", ["half a line", "no end", "zeros"])
def test_resume_from_a_torn_file(files, how):
    result = evaluate(cheap(), folder_of(files), files / "run")
    path = files / "run/counts-0.txt"
    text = path.read_bytes()
    path.write_bytes({"half a line": text[:-20], "no end": text[:-1], "zeros": text[:-20] + bytes(4096)}[how])
    segmenter = cheap()
    assert torch.equal(evaluate(segmenter, folder_of(files), files / "run").matrix, result.matrix)
    assert segmenter.logit_source.seen == (0 if how == "no end" else 1)
    assert evaluate(segmenter, folder_of(files), files / "run").images == 5 and segmenter.logit_source.seen == (0 if how == "no end" else 1)


def test_records_of_another_number_of_processes(files):
    "Every image is recorded in two files: it counts once."
    result = evaluate(cheap(), folder_of(files), files / "run")
    text = (files / "run/counts-0.txt").read_bytes()
    (files / "run/counts-1.txt").write_bytes(text)
    (files / "run/counts-7.txt").write_bytes(text + text)
    segmenter = cheap()
    assert torch.equal(evaluate(segmenter, folder_of(files), files / "run").matrix, result.matrix) and segmenter.logit_source.seen == 0


# many processes

def test_killed_and_taken_up(program, expected, tmp_path):
    assert run(program, tmp_path, AT="7", HOW="kill").returncode == -9
    assert len(read_records(tmp_path)) == 6 and not (tmp_path / "result.json").exists()
    assert "counted 11 computed 5 " in run(program, tmp_path).stdout
    assert (tmp_path / "result.json").read_text() == expected


@pytest.mark.parametrize("n", [1, 2, 3])
def test_torchrun_gives_the_same(program, expected, tmp_path, n):
    done = run(program, tmp_path, *TORCHRUN, str(n))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result.json").read_text() == expected
    rows = sorted(done.stdout.split("rank ")[1:])
    assert [int(row.split()[4]) for row in rows] == [len(range(r, 11, n)) for r in range(n)]  # shares without overlap or padding
    assert len({row.split()[-1] for row in rows}) == 1  # every process has the whole matrix


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_a_process_that_dies_ends_the_run(program, expected, tmp_path, how):
    "And what was counted is kept, for another number of processes."
    done = run(program, tmp_path, *TORCHRUN, "3", VICTIM="1", AT="2", HOW=how)
    spent = time.time() - (tmp_path / "counts-1.txt").stat().st_mtime  # since its first image was written down; it dies at its second
    assert done.returncode != 0 and spent < 60 and not (tmp_path / "result.json").exists()
    if how == "raise":
        assert "Traceback (most recent call last):" in done.stderr and "RuntimeError: the disk is on fire" in done.stderr
    else:
        assert "Signal 9 (SIGKILL)" in done.stderr and "rank      : 1" in done.stderr
    kept = len(read_records(tmp_path))
    assert f"counted 11 computed {11 - kept} " in run(program, tmp_path).stdout
    assert (tmp_path / "result.json").read_text() == expected


def test_the_command_under_torchrun(tmp_path):
    "As users start it; one of the pages is a surplus for two processes."
    command = [Path(sys.executable).with_name("dotseg"), "evaluate", "picturebook", "--preset", "picturebook", "--mode", "logits", "--limit", "3", "--device", "cpu", "--out"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    several = subprocess.run([*TORCHRUN, "2", "--no-python", *command, tmp_path / "two"], capture_output=True, text=True, env=env, timeout=600)
    single = subprocess.run([*command, tmp_path / "one"], capture_output=True, text=True, env=env, timeout=600)
    assert several.returncode == single.returncode == 0, several.stderr + single.stderr
    assert (tmp_path / "two/result.json").read_text() == (tmp_path / "one/result.json").read_text()
    assert several.stdout.count("3 images; ") == 1 and several.stdout.replace("two", "one") == single.stdout


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_run(program, expected, tmp_path):
    "Stopped, not dead: the others say which it is, and torchrun ends it."
    done = run(program, tmp_path, *TORCHRUN, "2", VICTIM="1", AT="2", HOW="stop", SILENCE="4")
    spent = time.time() - (tmp_path / "counts-1.txt").stat().st_mtime  # since its first image; torchrun gives what it ends half a minute
    assert done.returncode != 0 and spent < 60 and "number 1 of 0 to 1 has had no heartbeat for 4 seconds" in done.stderr
    assert "counted 11 computed 4 " in run(program, tmp_path).stdout  # 6 of the first, 1 of the second
    assert (tmp_path / "result.json").read_text() == expected


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


@pytest.mark.parametrize("how, victim, said", [("kill", 1, "number 1 of 0 to 1 has had no heartbeat"), ("stop", 1, "number 1 of 0 to 1 has had no heartbeat"),
                                               ("stop", 0, "the store does not answer")])
def test_without_torchrun_the_others_notice(tmp_path, monkeypatch, how, victim, said):
    "Started by hand, as other launchers do: nobody stops the survivor, so it must see for itself that its peer is gone, though it be the one that keeps the store."
    monkeypatch.setattr("dotseg.evaluation.processes.SILENCE", 3.0)
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}

    def work(rank):
        segmenter, seen = cheap(), []

        def logits(images, classes):
            seen.append(1)
            if rank == victim and len(seen) == 3:
                os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[how])
            return segmenter.logit_source(images, classes)

        evaluate(Segmenter(logits, None, DiscrepancyConfig(mode="logits")), load_dataset("picturebook")[:11], tmp_path, batch_size=1)

    both = [forking.begin(work, rank, RANK=str(rank), **place) for rank in (0, 1)]
    try:
        code, error = forking.finish(both[1 - victim])
        assert code == 1 and "DotsegError: processes: " in error and said in error
        assert both[victim].exitcode == (-9 if how == "kill" else None)
    finally:
        for process in both:
            process.kill()
            process.join()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_never_comes(monkeypatch, rank):
    monkeypatch.setattr("dotseg.evaluation.processes.PATIENCE", 2.0)
    for name, value in {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}.items():
        monkeypatch.setenv(name, value)
    begun = time.monotonic()
    with pytest.raises(DotsegError, match="processes: some have not come"), processes() as group:
        group.gather(None)
    assert time.monotonic() - begun < 60


def test_one_process_of_a_group(monkeypatch, files):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}.items():
        monkeypatch.setenv(name, value)
    counts = torch.tensor([2**62, 1])
    torch.distributed.init_process_group("gloo")
    try:
        for _ in range(2):
            with processes() as group:
                assert (group.rank, group.ranks) == (0, 1) and group.gather("x") == ["x"] and torch.equal(group.add_up(counts), counts)
                assert evaluate(cheap(), folder_of(files), files / "run").images == 5  # in the same group, within the other
    finally:
        torch.distributed.destroy_process_group()
    with processes() as group:  # of the environment
        assert (group.rank, group.ranks) == (0, 1) and torch.equal(group.add_up(counts), counts)


def test_local_device(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert local_device() is None and local_device("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert local_device() == "cuda:1" and local_device("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="device: process 2 has no GPU, because there are 2"):
        local_device()


def test_protocol_is_written_with_the_threshold_of_the_set(files):
    result = evaluate(cheap(), folder_of(files, background_threshold=0.25), files / "run")
    assert Protocol(**result.settings["protocol"]) == replace(Protocol(), background_threshold=0.25)

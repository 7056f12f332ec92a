import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dotseg.app.ray_workers import TRIES, _Tally, _Worker, segment_folder
from dotseg.evaluation.datasets import load_folder
from dotseg.evaluation.runner import evaluate
from dotseg.miniature.picturebook import CLASSES, draw_scene
from dotseg.segmentation.images import load_image
from dotseg.segmentation.outputs import hold_folder
from dotseg.segmentation.segmenter import Segmenter

ray = pytest.importorskip("ray")
SCRIPT = Path(sys.executable).with_name("dotseg.exe" if os.name == "nt" else "dotseg")
OPTIONS = dict(preset="picturebook", workers=2, device="cpu")


KILLER = """
import os
import signal
from pathlib import Path

import PIL.Image

plain = PIL.Image.open


def open(file, *args, **options):
    lives = Path(f"{file if isinstance(file, (str, os.PathLike)) else getattr(file, 'name', '')}.lives")
    if lives.is_file() and (left := int(lives.read_text())):
        lives.write_text(str(left - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(file, *args, **options)


PIL.Image.open = open
"""  # in the processes of Ray: an image beside which there is a file of lives kills its reader as often


@pytest.fixture(scope="module", autouse=True)
def started(tmp_path_factory):
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    place = tmp_path_factory.mktemp("site")
    (place / "sitecustomize.py").write_text(KILLER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    "A folder with pages, some of them below, one lying on its side, one of another size, one torn; and what the command line makes of it."
    folder = tmp_path_factory.mktemp("book")
    (folder / "in/sub").mkdir(parents=True)
    note = Image.Exif()
    note[0x0112] = 6
    for i, name in enumerate(("a.png", "b.png", "sub/a.png", "sub/c.png", "turned.png", "wide.png")):
        page = Image.fromarray(draw_scene(i, 96 if name == "wide.png" else 128).image)
        page.save(folder / "in" / name, **({"exif": note} if name == "turned.png" else {}))
    (folder / "in/torn.png").write_bytes((folder / "in/a.png").read_bytes()[:2000])
    words = ["segment", "in", "--classes", ",".join(CLASSES), "--preset", "picturebook", "--device", "cpu", "--out", "single", "--overlay", "--background", "off"]
    done = subprocess.run([SCRIPT, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "6 of 7 masks are in single\n", done.stderr
    return folder


@pytest.fixture
def here(book, monkeypatch):
    monkeypatch.chdir(book)
    return book


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".dotseg")}


def stamps(folder):
    return {p.name: p.stat().st_mtime_ns for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".dotseg")}


def test_same_bytes_as_the_command_line(here):
    with pytest.warns(UserWarning, match=r"1 of 7 images have no mask:\n  in.torn\.png: cannot be read as an image"):
        rows = segment_folder(["in"], CLASSES, "many", format=["palette", "overlay"], **OPTIONS)
    assert contents("many") == contents("single") and len(contents("many")) == 19
    assert [Path(row["path"]).as_posix() for row in rows] == ["in/a.png", "in/b.png", "in/sub/a.png", "in/sub/c.png", "in/torn.png", "in/turned.png", "in/wide.png"]
    assert {row["path"]: row["status"] for row in rows if row["status"] != "written"} == {str(Path("in/torn.png")): "failed"}
    assert all(set(row) == {"path", "status", "message"} and bool(row["message"]) == (row["status"] == "failed") for row in rows)

    before = stamps("many")
    (here / "many/sub/c.json").unlink()  # as if broken off before its report
    with pytest.warns(UserWarning, match="1 of 7 images"):
        rows = segment_folder(["in"], CLASSES, "many", format=["palette", "overlay"], **OPTIONS | dict(workers=1))
    assert [row["status"] for row in rows] == ["skipped", "skipped", "skipped", "written", "failed", "skipped", "skipped"]
    assert {name for name, stamp in stamps("many").items() if before[name] != stamp} == {"c.png", "c.overlay.png", "c.json"}
    assert contents("many") == contents("single")


def test_the_reader_of_ray_does_not_turn(here):
    "Why the workers get paths: a mask of what this reader gives would not lie on the page."
    stored = ray.data.read_images(str(here / "in/turned.png")).take(1)[0]["image"]
    assert (stored == np.asarray(Image.open("in/turned.png"))).all() and (np.rot90(stored, -1) == load_image("in/turned.png")).all()


def test_a_data_set(here):
    "The same masks as the evaluation saves."
    for name in ("a.png", "sub/c.png", "wide.png"):
        for place in ("set", "truth"):
            (here / place / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "set" / name).write_bytes((here / "in" / name).read_bytes())
        Image.new("L", Image.open(here / "in" / name).size).save(here / "truth" / name)
    dataset = load_folder("set", "truth", CLASSES)
    rows = segment_folder([str(example.image) for example in dataset], dataset.spec.prompts, "by ray", **OPTIONS | dict(workers=1))
    evaluate(Segmenter.from_preset("picturebook", "cpu"), dataset, "run", save_masks=True)
    assert {row["status"] for row in rows} == {"written"}
    pictures = [{Path(name).name: data for name, data in contents(place).items() if name.endswith(".png")} for place in ("by ray", "run/masks")]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 3


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("lives", [1, pytest.param(1000, marks=pytest.mark.slow)])
def test_an_image_that_kills_its_worker(here, lives):
    "One that kills a process, and then is read; and one that kills whoever reads it, and is given up. The others lose nothing."
    folder, out = f"deadly-{lives}", Path(f"survived-{lives}")
    (here / folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png", "turned.png", "wide.png"):
        (here / folder / name).write_bytes((here / "in" / name).read_bytes())
    counter = here / folder / "b.png.lives"
    counter.write_text(str(lives))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        rows = segment_folder([folder], CLASSES, out, **OPTIONS)
    notes = [str(note.message) for note in said if note.category is UserWarning]
    lost = {"b.png"} if lives > 1 else set()
    assert {Path(row["path"]).name for row in rows if row["status"] == "failed"} == lost
    assert [note.startswith("1 of 5 images have no mask:") and "3 processes died while segmenting it" in note for note in notes] == [True] * len(lost)
    assert lives - int(counter.read_text()) == (3 if lost else 1)
    single = contents("single")
    assert {name: data for name, data in contents(out).items() if name.endswith(".png")} == {name: single[name] for name in ({"a.png", "b.png", "sub/c.png", "turned.png", "wide.png"} - lost)}
    assert not list((here / out).rglob("*.part"))


def test_a_piece_that_is_begun_again(here, monkeypatch):
    "As it goes on in the processes: the image that kills is tried three times, the others are done once each."
    tally, done = _Tally(), []

    def segment(worker, names):
        done.append(list(names))
        if any("killer" in path for path in names):
            raise KeyboardInterrupt  # dead
        return dict.fromkeys(names, ("written", ""))

    monkeypatch.setattr(_Worker, "segment", segment)
    worker = _Worker(here, ["sky"], Path("never"), "picturebook", {}, 8, ["palette"], False, lambda what, x: getattr(tally, what)(x))
    piece = {"path": ["a", "killer", "b"], "name": ["a", "killer", "b"]}
    for _ in range(TRIES):
        with pytest.raises(KeyboardInterrupt):
            worker(piece)
    rows = worker(piece)
    assert rows["status"] == ["written", "failed", "written"] and rows["message"][1].startswith("killer: 3 processes died")
    assert done == [["a", "killer", "b"], ["a"], ["killer"], ["killer"], ["b"]]
    assert worker(piece) == rows and len(done) == 5


def test_the_folder_is_held_by_the_driver(here):
    with hold_folder("busy"), pytest.raises(ValueError, match=f"busy is in use by another run .process {os.getpid()} "):
        segment_folder(["in/a.png"], CLASSES, "busy", **OPTIONS)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(paths="in"), "paths: got 'in', expected a list"),
        (dict(paths=["lost"]), "lost: no such file or folder"),
        (dict(classes=["sky", "sky"]), "classes: sky given more than once"),
        (dict(workers=0), "workers: got 0"),
        (dict(batch_size=1.5), "batch_size: got 1.5"),
        (dict(out="in"), "is the folder of the images"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_mistakes(here, change, message):
    with pytest.raises(ValueError) as error:
        segment_folder(**(dict(paths=["in"], classes=["sky"], out="never", **OPTIONS) | change))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (here / "never").exists()


def nothing_begun(what, x):
    return [(0, None)] * len(x) if what == "look" else None


@pytest.mark.parametrize("change, message", [(dict(preset="huge"), "preset: got 'huge', expected one of"), (dict(options={"colour": "red"}), "colour: no such setting")])
def test_a_worker_refuses(here, change, message):
    given = dict(home=here, classes=["sky"], out=Path("never"), preset="picturebook", options={}, batch_size=8, formats=["palette"], overwrite=False, tally=nothing_begun) | change
    assert [row for row in _Worker(**given)({"path": ["in/a.png"], "name": ["a"]})["message"] if row.startswith(message)]


def test_what_a_worker_refuses_is_raised_in_one_line(here):
    with pytest.raises(ValueError, match=r"^prompt .* does not know \['zebra'\][^\n]*$"):
        segment_folder(["in"], ["sky", "zebra"], "refused", **OPTIONS | dict(workers=1))
    assert not contents("refused")


def test_what_goes_wrong_in_a_worker_is_told_in_its_own_words(here, monkeypatch):
    monkeypatch.setattr(_Worker, "segment", lambda *args: 1 / 0)
    given = dict(home=here, classes=["sky"], out=Path("never"), preset="picturebook", options={}, batch_size=8, formats=["palette"], overwrite=False, tally=nothing_begun)
    row = _Worker(**given)({"path": ["in/a.png"], "name": ["a"]})
    assert row["status"] == ["broken"] and "ZeroDivisionError" in row["message"][0]
    monkeypatch.setattr("dotseg.app.ray_workers._rows", lambda *args: iter([{"path": "in/a.png", "status": "broken", "message": row["message"][0]}]))
    with pytest.raises(RuntimeError, match=r"a worker failed over in/a\.png:\nTraceback"):
        segment_folder(["in/a.png"], ["sky"], "never", **OPTIONS)


def test_without_ray(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r"pip install dotseg\[ray\]"):
        segment_folder(["in"], ["sky"], "never", **OPTIONS)

"""No command and no page of the documentation asks the network for anything, as long as no checkpoint has to be fetched.

Python reports every connection and every look-up of a name to its audit hooks, below whatever a library makes of its errors. A child that
a command starts goes unheard, so that none may be started.
"""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dotseg.miniature.picturebook import CLASSES, draw_scene

ROOT = Path(__file__).parent.parent
ASKS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostby", "urllib.Request")
STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system")
LIBRARIES = {"ldconfig", "gcc", "cc", "ld", "objdump"}  # what ctypes asks where a shared library lies
COMMANDS = ["demo", "segment", "presets", "methods", "evaluate", "tune", "datasets", "prepare", "profile"]
HEAR = f"""
import sys, os.path
heard = []
def hear(event, arguments):
    if event.startswith({STARTS}) and os.path.basename(os.fspath(arguments[0])) not in {LIBRARIES}:
        heard.append(f"{{event}} {{arguments}}")
    if event.startswith({ASKS}):
        heard.append(f"{{event}} {{arguments}}")
        raise OSError("the network was asked: " + heard[-1])
sys.addaudithook(hear)
"""
RUN = """
import dotseg
from dotseg.app.command_line import main
codes = []
for words in {commands}:
    try:
        codes.append(main(words))
    except SystemExit as end:
        codes.append(end.code)
"""
EXPLORE = """
from dotseg.miniature.picturebook import draw_scene
explorer = dotseg.Explorer(dotseg.Segmenter.from_preset("picturebook", device="cpu"), draw_scene(3).image, ["sky", "grass"])
explorer.controls["eps"].value = 0.2
codes.append(0 if explorer._repr_mimebundle_() else 1)
"""
STAGE = """
import sys
sys.path.insert(0, "docs")
import stage
from reference import MODULES
{code}
codes = []
"""


def listen(code, cwd):
    "Run code in a Python of its own; what it left in `codes`, and what it asked of the network."
    done = subprocess.run([sys.executable, "-c", f"{HEAR}\n{code}\nimport json\nprint()\nprint(json.dumps([codes, heard]))"], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    codes, heard = json.loads(done.stdout.splitlines()[-1])
    return codes, heard, done.stdout + done.stderr


@pytest.mark.parametrize("code, event", [
    ("socket.create_connection(('127.0.0.1', 9), 1)", "socket.getaddrinfo"),
    ("socket.socket().connect(('127.0.0.1', 9))", "socket.connect"),
    ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')", "urllib.Request"),
    ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
])
def test_whoever_asks_is_heard_even_if_the_error_is_swallowed(code, event, tmp_path):
    _, heard, _ = listen(f"import socket\ncodes = []\ntry:\n    {code}\nexcept Exception:\n    pass", tmp_path)
    assert heard and heard[0].startswith(event)


def test_import_and_the_help_of_every_command(tmp_path):
    from dotseg.app.command_line import parser

    (listed,) = (action.choices for action in parser()._actions if action.dest == "command")
    assert sorted(listed) == sorted(COMMANDS)
    codes, heard, _ = listen(RUN.format(commands=[["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]), tmp_path)
    assert heard == [] and codes == [0] * 11


def test_every_command_without_a_checkpoint_and_the_explorer(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(4):
        page = draw_scene(number)
        Image.fromarray(page.image).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(page.labels.astype("uint8")).save(tmp_path / "masks" / f"{number}.png")
    own = ["--images", "images", "--masks", "masks", "--classes", ",".join(CLASSES), "--preset", "picturebook"]
    commands = [
        ["demo"], ["segment", "images", "--classes", "sky, grass", "--preset", "picturebook", "--out", "masked"], ["evaluate", *own, "--out", "measured"],
        ["tune", *own], ["methods", "--pages", "1"], ["presets"], ["datasets", "--root", "."], ["profile", "--preset", "picturebook", "--size", "64"],
    ]
    codes, heard, said = listen(RUN.format(commands=commands) + EXPLORE, tmp_path)
    assert heard == [], said
    assert codes == [0] * (len(commands) + 1), said
    assert all((tmp_path / path).is_file() for path in ("out/mask.png", "masked/0.png", "measured/result.json", "settings.json"))


def test_pages_of_the_documentation():
    _, heard, _ = listen(STAGE.format(code="names = stage.linkable(MODULES)\nfor page in ('index', 'method/01_sinkhorn'):\n    stage.stage(page + '.ipynb', names)"), ROOT)
    assert heard == []


@pytest.mark.slow
def test_all_of_the_documentation():
    _, heard, _ = listen(STAGE.format(code="assert len(stage.sources()) > 100"), ROOT)
    assert heard == []

"""Install the lowest versions that settings.ini admits, all extras included, and run the fast tests on them: `make lowest`.

uv chooses them: the lowest of what is named there, the newest of what that needs in turn. Where it has to go above a lower bound,
because another requirement asks for more, that bound promises a version that nobody can have, and has to be raised.
"""
import json
import os
import re
import subprocess
import sys
import venv
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "build" / "lowest"
PYTHON = PLACE / "bin" / "python"
SLOW = [  # together as long as all the others, and no other library's
    "test_training.py", "test_runner.py::test_the_command_under_torchrun", "test_runner.py::test_a_process_that_dies_ends_the_run",
    "test_runner.py::test_without_torchrun_the_others_notice", "test_sinkhorn.py::test_the_beta_warning_of_torch_stays_inside",
    "test_command_line.py::test_interrupted_and_taken_up_again", "test_segmenter.py::test_eighty_megapixels_in_bounded_memory",
    "test_ray_workers.py::test_same_bytes_as_the_command_line", "test_ray_workers.py::test_an_image_that_kills_its_worker",
    "test_command_line.py::test_demo_writes_what_it_says",
]

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
stated = {key.removesuffix("requirements").rstrip("_"): words.split() for key, words in config["DEFAULT"].items() if key.endswith("requirements")}


def run(*command, **options):
    return subprocess.run([PYTHON, "-m", *command], **{"cwd": ROOT, "check": True, **options})


def plain(version):
    "2.6 and 2.6.0 are one version, and so are 1.3 and 1.3.0.post0."
    return re.sub(r"(\.0|\.post\d+)+$", "", version)


venv.create(PLACE, clear=True, with_pip=True)
run("pip", "install", "--quiet", "uv==0.13.9")
extras = ",".join(filter(None, stated))
run("uv", "pip", "install", "--quiet", "--python", PYTHON, "--resolution", "lowest-direct", "--editable", f".[{extras}]")
run("pip", "check")

found = json.loads(run("pip", "list", "--format", "json", capture_output=True).stdout)
found = {re.sub("[-_.]+", "-", package["name"]).lower(): package["version"] for package in found}
high = []
for requirement in sorted({word for words in stated.values() for word in words}):
    if bound := re.match(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)", requirement):
        version = found[re.sub("[-_.]+", "-", bound[1]).lower()]
        print(f"{bound[1]} {version}")
        if plain(version) != plain(bound[2]):
            high.append(f"{requirement} cannot be had below {version}")
if high:
    sys.exit("settings.ini: " + "; ".join(high))

paths = f"{PLACE / 'bin'}{os.pathsep}{os.environ['PATH']}"
variables = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": paths}
sys.exit(run("pytest", "-q", "tests", *(f"--deselect=tests/{name}" for name in SLOW), env=variables, check=False).returncode)

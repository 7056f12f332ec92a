"""Write locks/*.txt, the files that the Makefile installs: every package in the version of constraints.txt, with the hashes of its files.

uv resolves for all systems and all Pythons from 3.11.0 on, so that one file serves Linux, macOS and Windows. If a version of constraints.txt
needs a later Python, uv says so: write an older one there. Only wheels are admitted: what is installed is what was hashed, and nothing is compiled, with tools that no hash covers, on the way.
"""
import shlex
import subprocess
import tomllib
import venv
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "build" / "lock"
PYTHON = PLACE / "bin" / "python"
UV = "uv==0.13.9"
BELOW = {"dev": ["base"], "docs": ["base"], "browser": ["dev", "docs"], "bench": ["dev"]}  # file, named after an extra -> those that it starts with
HEAD = "# Written by tools/lock.py (make lock). For pip install --require-hashes -r.\n"

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
settings = config["DEFAULT"]
requirements, blocks = {}, {}  # by the name of a file, all that stands in it or below


def resolve(words):
    "The packages that the words ask for, one block of text each: its name, version and marker, then its hashes."
    command = [PYTHON, "-m", "uv", "pip", "compile", "-", "--quiet", "--universal", "--python-version", "3.11.0", "--only-binary", ":all:"]
    command += ["--generate-hashes", "--constraint", "constraints.txt", "--no-header", "--no-annotate", "--default-index", "https://pypi.org/simple"]
    text = subprocess.run(command, input="\n".join(words), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return ("\n" + text.rstrip()).replace("\n    --hash", "\f").replace("\n", "\0").replace("\f", "\n    --hash").split("\0")[1:]


def write(name, needed, below=()):
    "A file of what is needed, on top of others, whose blocks it leaves out."
    requirements[name] = [word for other in below for word in requirements[other]] + needed
    under = {block for other in below for block in blocks[other]}
    own = resolve(requirements[name])
    blocks[name] = under | set(own)
    lines = [*(f"-r {other}.txt" for other in below), *(block for block in own if block not in under)]
    (ROOT / "locks" / f"{name}.txt").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


venv.create(PLACE, clear=True, with_pip=True)
subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", UV], check=True)
write("build", ["pip", *tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]])
write("base", shlex.split(settings["requirements"]))
for extra, below in BELOW.items():
    write(extra, shlex.split(settings[f"{extra}_requirements"]), below)

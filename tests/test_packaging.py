"What pyproject.toml and settings.ini both say agrees, and what is built carries all of it."
import email
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import dotseg

ROOT = Path(dotseg.__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
SETTINGS = ConfigParser(delimiters=["="])
SETTINGS.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
STATUS = {"1": "1 - Planning", "2": "2 - Pre-Alpha", "3": "3 - Alpha", "4": "4 - Beta", "5": "5 - Production/Stable", "6": "6 - Mature", "7": "7 - Inactive"}
EXTRAS = [key.removesuffix("_requirements") for key in SETTINGS if key.endswith("_requirements")]


def test_what_is_locked_runs_on_the_oldest_python():
    "pip would not find soupsieve 4.1.2 for Python 3.11.2, so that `make test` failed there."
    locked = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    found = [dist for dist in distributions() if canonicalize_name(dist.name) in {canonicalize_name(name) for name in locked}]
    oldest = f"{SETTINGS['min_python']}.0"
    assert len(found) > 100
    assert [f"{dist.name} {dist.version}" for dist in found if oldest not in SpecifierSet(dist.metadata.get("Requires-Python") or "")] == []


def test_pyproject_says_what_settings_say():
    assert PROJECT["name"] == SETTINGS["lib_name"]
    assert PROJECT["description"] == SETTINGS["description"]
    assert PROJECT["requires-python"] == f">={SETTINGS['min_python']}"
    assert (PROJECT["license"], SETTINGS["license"]) == ("Apache-2.0", "apache2")  # as SPDX and as nbdev write it
    assert PROJECT["authors"] == [{"name": SETTINGS["author"], "email": SETTINGS["author_email"]}]
    assert PROJECT["keywords"] == SETTINGS["keywords"].split()
    expected = {f"Development Status :: {STATUS[SETTINGS['status']]}", f"Intended Audience :: {SETTINGS['audience']}",
                f"Natural Language :: {SETTINGS['language']}", f"Programming Language :: Python :: {SETTINGS['min_python']}"}
    assert expected <= set(PROJECT["classifiers"])
    assert PROJECT["urls"]["Homepage"] == SETTINGS["git_url"]
    assert PROJECT["urls"]["Documentation"] == SETTINGS["doc_host"] + SETTINGS["doc_baseurl"]
    assert PROJECT["urls"]["Changelog"] == f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}/CHANGELOG.md"
    assert PROJECT["urls"]["Issues"] == f"{SETTINGS['git_url']}/issues"


def test_the_citation_names_this_version_licence_and_paper():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == SETTINGS["version"] == dotseg.__version__
    assert re.search(r"^license: (.*)$", citation, re.M)[1] == PROJECT["license"]
    assert PROJECT["urls"]["Paper"] == f"https://arxiv.org/abs/{re.search(r'value: arXiv:(.*)', citation)[1]}"


def test_the_pythons_that_are_claimed_are_those_that_are_tested():
    workflow = (ROOT / ".github/workflows/test.yml").read_text("utf-8")
    tested = re.findall(r'"([\d.]+)"', re.search(r"matrix: \{python: (.*)\}", workflow)[1])
    assert tested == [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: \d\.\d+$", line)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "A source distribution, the wheel made from that, and what was said meanwhile; from a copy, so that nothing is left in the checkout."
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "settings.ini", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "dotseg", copy / "dotseg", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation"], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (source,), (wheel,) = (copy / "dist").glob("*.tar.gz"), (copy / "dist").glob("*.whl")
    return tarfile.open(source).getnames(), zipfile.ZipFile(wheel), done.stdout + done.stderr


def of_wheel(built, name):
    (path,) = (path for path in built[1].namelist() if path.endswith(f".dist-info/{name}"))
    return built[1].read(path).decode()


def test_the_metadata_of_the_wheel(built):
    metadata = email.message_from_string(of_wheel(built, "METADATA"))
    assert (metadata["Name"], metadata["Version"]) == (SETTINGS["lib_name"], SETTINGS["version"])
    assert metadata["Summary"] == SETTINGS["description"]
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["License-File"] == "LICENSE"
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    assert dict(line.split(", ") for line in metadata.get_all("Project-URL")) == PROJECT["urls"]
    assert metadata["Description-Content-Type"] == "text/markdown" and metadata.get_payload().startswith("# dotseg")


def test_the_requirements_of_the_wheel_are_those_of_settings(built):
    metadata = email.message_from_string(of_wheel(built, "METADATA"))
    assert sorted(metadata.get_all("Provides-Extra")) == sorted(EXTRAS)
    stated = [Requirement(text) for text in SETTINGS["requirements"].split()]
    for extra in EXTRAS:
        stated += [Requirement(f'{text}; extra == "{extra}"') for text in SETTINGS[f"{extra}_requirements"].split()]
    assert {Requirement(text) for text in metadata.get_all("Requires-Dist")} == set(stated)


def test_the_commands_of_the_wheel(built):
    entries = ConfigParser(delimiters=["="])
    entries.read_string(of_wheel(built, "entry_points.txt"))
    assert dict(entries["console_scripts"]) == {"dotseg": "dotseg.app.command_line:main"}
    assert dict(entries["nbdev"]) == {"dotseg": "dotseg._modidx:d"}


def test_the_files_of_the_package_are_in_the_wheel_and_no_others(built):
    files = {path for path in built[1].namelist() if ".dist-info/" not in path}
    assert files == {path.relative_to(ROOT).as_posix() for path in (ROOT / "dotseg").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {"dotseg/py.typed", "dotseg/__init__.pyi", "dotseg/miniature/weights/clip.safetensors", "dotseg/evaluation/data/voc21.txt"} <= files


def test_the_source_distribution_can_be_built_again(built):
    names = {path.partition("/")[2] for path in built[0]}
    assert {"pyproject.toml", "settings.ini", "setup.py", "README.md", "LICENSE", "CHANGELOG.md"} <= names


def test_building_warns_of_nothing(built):
    assert not re.search(r"^!!$|deprecat|_MissingDynamic", built[2], re.M | re.I)


# what is installed

LOCKS = {path.stem: path.read_text("utf-8") for path in (ROOT / "locks").glob("*.txt")}
CONSTRAINTS = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split())}


def locked(name):
    "The requirements of a lock and of those that it starts with, and their versions by name."
    found = [Requirement(line.removesuffix(" \\")) for line in re.findall(r"^(?!-r|#)\S.*$", LOCKS[name], re.M)]
    return found + [requirement for other in re.findall(r"^-r (\w+)\.txt$", LOCKS[name], re.M) for requirement in locked(other)]


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_package_of_a_lock_is_pinned_and_hashed(name):
    blocks = re.sub(r"^(#|-r ).*\n", "", LOCKS[name], flags=re.M)
    assert blocks and re.fullmatch(r"(\S+==\S+( ; [^\n]*)? \\\n(    --hash=sha256:[0-9a-f]{64} \\\n)*    --hash=sha256:[0-9a-f]{64}\n)+", blocks)
    for requirement in locked(name):
        version = CONSTRAINTS.get(canonicalize_name(requirement.name))
        assert version is None or str(requirement.specifier) == f"=={version}", f"{requirement}: constraints.txt has {version}; make lock"


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_lock_has_all_that_is_asked_for(name):
    words = {"build": ["pip", *BUILD["requires"]], "base": SETTINGS["requirements"].split()}.get(name) or SETTINGS[f"{name}_requirements"].split()
    pinned = {canonicalize_name(requirement.name): requirement for requirement in locked(name)}
    for wanted in map(Requirement, words):
        (pin,) = pinned[canonicalize_name(wanted.name)].specifier
        assert wanted.specifier.contains(pin.version), f"{wanted}: the lock has {pin}; make lock"


def test_the_makefile_installs_nothing_without_hashes():
    lines = re.findall(r"^\t.*(?:pip install|\(INSTALL\)).*$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    plain = [line for line in lines if "$(INSTALL) locks/" not in line]
    assert {re.search(r"locks/(\w+)", line)[1] for line in lines if line not in plain} == set(LOCKS)
    assert len(plain) == 2 and "--no-deps --no-build-isolation --editable ." in plain[0] and "--upgrade pip" in plain[1]  # the package, and `make lock`
    assert "INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --requirement\n" in (ROOT / "Makefile").read_text("utf-8")


def test_actions_are_pinned_by_commit():
    uses = re.findall(r"uses: (.*)", "".join(path.read_text("utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")))
    assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use) for use in uses)

"The live page without a browser: its modules under node, if that is here, its data, and its script."
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from live_cases import ANSWER, SEEDS, STATES, compare, livepage, text

from dotseg.miniature.picturebook import draw_scene

RUN = """
import {{ readFileSync }} from "node:fs";
import {{ unpack }} from "{live}/data.js";
import {{ Page }} from "{live}/refine.js";
import {{ parse, settings, write }} from "{live}/state.js";
const {{ manifest, pages, texts }} = JSON.parse(readFileSync(0, "utf-8")), api = {{ manifest, parse, settings, Page, unpack }};
const found = {{ written: texts.map(text => write(parse(text, manifest), manifest)) }};
for (const seed of pages) found[seed] = JSON.parse(await ({answer})(api, readFileSync(`{live}/pages/${{seed}}.bin`), texts));
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    "What node says of every page and state."
    if shutil.which("node") is None:
        pytest.skip("node is not installed; tests/browser/test_live.py asks Chromium the same")
    script = tmp_path_factory.mktemp("node") / "run.mjs"
    script.write_text(RUN.format(live=livepage.LIVE, answer=ANSWER))
    told = json.dumps({"manifest": livepage.manifest(), "pages": SEEDS, "texts": [text(state) for state in STATES]})
    run = subprocess.run(["node", script], input=told, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("seed", SEEDS)
def test_modules_agree_with_python(answers, seed):
    for state, got in zip(STATES, answers[str(seed)]):
        compare(seed, state, got)


def test_what_an_address_says_is_written_again(answers):
    for state, written in zip(STATES, answers["written"]):
        said = {key: value for key, value in state.items() if (key, value) not in (("mode", "path"), ("mode", "logits"))}
        assert dict(pair.split("=") for pair in written.split("&") if pair) == {key: str(value) for key, value in said.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_page_is_that_of_its_seed(seed):
    image, truth, logits, attention = livepage.unpack((livepage.LIVE / "pages" / f"{seed}.bin").read_bytes())
    scene = draw_scene(seed)
    assert 1_500_000 <= seed < 1_500_150
    assert (image == scene.image).all() and (truth == scene.labels).all()
    assert (attention.max(1) == 1).all() and attention.min() >= 0 and np.abs(logits).max() <= 1


def test_packing_loses_no_more_than_it_says():
    rng = np.random.default_rng(0)
    image, truth = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8), rng.integers(0, 18, (128, 128)).astype(np.uint8)
    logits, attention = rng.uniform(-1, 1, (18, 16, 16)), rng.random((256, 256)) ** 4 + 1e-9
    got = livepage.unpack(livepage.pack(image, truth, logits, attention))
    assert (got[0] == image).all() and (got[1] == truth).all()
    assert np.abs(got[2] - logits).max() <= 0.5 / 32767 + 1e-12
    assert np.abs(got[3] - attention / attention.max(1, keepdims=True)).max() <= 0.5 / 255 + 1e-12


def test_what_the_models_say_is_what_is_stored():
    from dotseg import Segmenter
    from dotseg.miniature.picturebook import CLASSES

    logits, attention = Segmenter.from_preset("picturebook").encode(draw_scene(SEEDS[0]).image, CLASSES)
    _, _, stored, share = livepage.unpack((livepage.LIVE / "pages" / f"{SEEDS[0]}.bin").read_bytes())
    assert np.abs(logits.numpy() - stored).max() < 1e-4
    assert np.abs((attention / attention.amax(1, keepdim=True)).numpy() - share).max() < 1.01 / 255


def test_pages_weigh_little_and_the_script_is_whole(tmp_path):
    assert sum(file.stat().st_size for file in (livepage.LIVE / "pages").glob("*.bin")) < 600_000
    livepage.build(tmp_path)
    script = (tmp_path / "live" / "live.js").read_text()
    assert not re.search(r"^(import|export)\b", script, re.M) and "https:" not in script.replace("http://www.w3.org/2000/svg", "")
    assert {file.name for file in (tmp_path / "live").iterdir()} == {"live.js", "live.css", *(f"{seed}.js" for seed in SEEDS)}
    known = {file.stem for file in livepage.LIVE.glob("*.js")}
    assert known == set(livepage.MODULES)

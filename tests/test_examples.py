"Each public name has an example in the reference, and each example runs by itself in an empty folder."
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))
from reference import EXAMPLES, MODULES, public, read_examples  # noqa: E402

FULL = [(module, code) for module in MODULES for code in dict.fromkeys(read_examples(module).values())]
LONG = re.compile(r'train_unet|measure_methods|measure_answers|\["(methods|tune|profile)"|tune\(|create_model')  # two seconds or more each


@pytest.mark.parametrize("module", MODULES)
def test_each_name_has_an_example_that_uses_it(module):
    examples = read_examples(module)
    assert set(public(module)) == set(examples)
    assert [name for name, code in examples.items() if not re.search(rf"\b{name}\b", code.partition("import ")[2])] == []


def test_examples_are_short():
    long = {code.splitlines()[-1]: n for _, code in FULL if (n := sum(bool(line.strip()) for line in code.splitlines())) > 15 and "train_clip" not in code}
    assert not long  # what trains the miniatures is one example of eight names


@pytest.mark.parametrize("module", sorted({module for module, _ in FULL}))
def test_examples_run(module, request, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MPLBACKEND", "agg")
    for i, (_, code) in enumerate(pair for pair in FULL if pair[0] == module):
        if LONG.search(code) and not request.config.getoption("--slow"):
            continue
        folder = tmp_path / str(i)
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["python"])
        try:
            exec(compile(code, f"{EXAMPLES.name}/{module}: {code.splitlines()[-1]}", "exec"), {"__name__": "__main__"})
        except SystemExit as end:
            assert not end.code, code

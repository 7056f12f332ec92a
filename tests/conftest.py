import pytest

FLAGS = {  # marker and option: what needs it
    "slow": "full-size models with random weights, minutes and gigabytes each",
    "browser": "the built site and widgets in Chromium",
}


def pytest_addoption(parser):
    for flag, what in FLAGS.items():
        parser.addoption(f"--{flag}", action="store_true", help=f"also run the tests marked {flag}: {what}")


def pytest_configure(config):
    for flag, what in FLAGS.items():
        config.addinivalue_line("markers", f"{flag}: {what}; run with --{flag}")


def pytest_collection_modifyitems(config, items):
    for flag, what in FLAGS.items():
        if not config.getoption(f"--{flag}"):
            for item in items:
                if item.get_closest_marker(flag):
                    item.add_marker(pytest.mark.skip(reason=f"{what}; run with --{flag}"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    "An empty working folder, and a preset that needs no models."
    from stand_ins import itself, levels

    from dotseg.method.refine import DiscrepancyConfig
    from dotseg.segmentation.presets import PRESETS, Preset

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "fake", Preset("a stand-in", {}, lambda: (levels, itself), DiscrepancyConfig(jbu=False)))
    return tmp_path

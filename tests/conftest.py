import pytest


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow: full-size models, minutes and gigabytes each")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: full-size models with random weights; run with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="full-size models; run with --slow"))

"What pyproject.toml leaves open is read from `settings.ini`, the one place where the version, the requirements and the commands stand."
import shlex
from configparser import ConfigParser

import setuptools

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

setuptools.setup(
    version=cfg["version"],
    install_requires=shlex.split(cfg["requirements"]),
    extras_require={key.removesuffix("_requirements"): shlex.split(value) for key, value in cfg.items() if key.endswith("_requirements")},
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
)

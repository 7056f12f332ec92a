"Everything is read from `settings.ini`, the one place where names, versions and requirements stand."
import shlex
from configparser import ConfigParser
from pathlib import Path

import setuptools

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
extras = {name: shlex.split(cfg[f"{name}_requirements"]) for name in ("dev", "docs", "browser", "bench", "ray")}

setuptools.setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    license="Apache-2.0",
    url=cfg["git_url"],
    author=cfg["author"],
    author_email=cfg["author_email"],
    description=cfg["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"],
    packages=setuptools.find_packages(include=[cfg["lib_name"], cfg["lib_name"] + ".*"]),
    package_data={cfg["lib_name"]: ["miniature/weights/*", "evaluation/data/*.txt", "py.typed", "*.pyi"]},
    install_requires=shlex.split(cfg["requirements"]),
    extras_require=extras,
    python_requires=">=" + cfg["min_python"],
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)

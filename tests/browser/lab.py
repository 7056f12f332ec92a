"JupyterLab and voila behind addresses of their own, with nothing of the user's settings and nothing from outside."
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
QUIET = {"fetchNews": "false", "checkForUpdates": False}


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def wait_for(url, server, seconds=90):
    end = time.time() + seconds
    while time.time() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=30).status
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"no answer from {url}")


def private(home):
    "An environment in which Jupyter reads and writes only below `home`."
    parts = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
             "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
    return {**os.environ, **{name: str(home / part) for name, part in parts.items()}, "PATH": f"{BIN}:{os.environ['PATH']}"}


@contextmanager
def serving(command, home, url):
    "Inside this `with` a server runs; its log is `home`/log."
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=private(home), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def lab(home, root):
    "JupyterLab on the folder `root`; gives the address of its API, with the token."
    port, token = free_port(), secrets.token_hex(16)
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
               f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}", "--LabApp.news_url=None",
               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"]
    return serving([str(BIN / "jupyter"), "lab", *options], home, f"http://127.0.0.1:{port}/api/status?token={token}")


def voila(home, notebook):
    "The notebook as an app; gives its address."
    port, token = free_port(), secrets.token_hex(16)
    options = ["--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}", f"--token={token}"]
    return serving([str(BIN / "voila"), str(notebook), *options], home, f"http://127.0.0.1:{port}/?token={token}")

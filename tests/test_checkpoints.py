"""`find_checkpoint` against a server on this machine that speaks the hub's protocol; readers of bad files are in the notebook."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dotseg.models.checkpoints import Checkpoint, CheckpointError, check_complete, checkpoint_errors, find_checkpoint

REVISION = "89abcdef0123456789abcdef0123456789abcdef"
FILES = {"config.json": b"{}", "unet/model.safetensors": b"w" * 200_000, "unet/model.bin": b"x" * 900_000, "README.md": b"read me"}


class Hub(BaseHTTPRequestHandler):
    repositories: dict = {}
    requests: list = []

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.requests.append((self.command, self.path))
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = self.repositories.get("/".join(parts[2:4]))
            if files is None:
                return self.answer(401, b'{"error": "Repository not found"}', X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            if parts[4:5] == ["tree"]:
                tree = [{"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()} for name, body in files.items()]
                return self.answer(200, json.dumps(tree).encode(), Content_Type="application/json")
            info = {"id": "/".join(parts[2:4]), "sha": REVISION, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(200, json.dumps(info).encode(), Content_Type="application/json")
        files, name = self.repositories.get("/".join(parts[:2]), {}), "/".join(parts[4:])
        if name not in files:
            return self.answer(404, X_Error_Code="EntryNotFound")
        return self.answer(200, files[name], ETag=f'"{hashlib.sha256(files[name]).hexdigest()}"', X_Repo_Commit=REVISION)


@pytest.fixture
def hub(tmp_path):
    "Runs `find_checkpoint` in a process whose hub is a server of ours; gives its output, and what the server was asked."
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.repositories, Hub.requests = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    checkpoint = "Checkpoint('Net', ('first/net', 'second/net'), ('config.json', 'unet/*.safetensors'), 'DOTSEG_NET', 0.1)"

    def find(arguments="", before="", **environment):
        code = f"from dotseg.models.checkpoints import *\n{before}\nfound = find_checkpoint({checkpoint}{arguments})\nprint(found.name, found.path)"
        env = os.environ | {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
                            "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"} | environment
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    yield find
    server.shutdown()
    server.server_close()


def test_a_download_says_what_it_costs_and_takes_what_is_needed(hub, tmp_path):
    Hub.repositories = {"first/net": FILES}
    done = hub()
    assert done.returncode == 0, done.stderr
    name, path = done.stdout.split()
    assert name == f"first/net@{REVISION[:8]}"
    assert "Net: downloading 0.00 GB in 2 files from first/net to " in done.stderr
    got = {str(p.relative_to(path)) for p in (tmp_path / "hf").glob("hub/models--first--net/snapshots/*/**/*") if p.is_file()}
    assert got == {"config.json", os.path.join("unet", "model.safetensors")}

    before = len(Hub.requests)
    again = hub()
    assert again.stdout == done.stdout and "downloading" not in again.stderr
    assert len(Hub.requests) == before, "what is on the disk needs no network"


def test_the_mirror_is_taken_if_the_first_is_gone(hub):
    Hub.repositories = {"second/net": FILES}
    done = hub()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("second/net@")


def test_a_mirror_that_lacks_files_does_not_count(hub):
    Hub.repositories = {"first/net": {"config.json": b"{}"}}
    done = hub()
    assert done.returncode == 1
    message = done.stderr[done.stderr.index("CheckpointError") :]
    assert "first/net: " in message and "second/net: " in message and "DOTSEG_NET" in message and "picturebook" in message


def test_whoever_names_an_id_wants_that_one(hub):
    Hub.repositories = {"first/net": FILES}
    for done in (hub(", 'my/net'"), hub(DOTSEG_NET="my/net")):
        assert done.returncode == 1
        assert "my/net: " in done.stderr and "first/net: " not in done.stderr
    Hub.repositories["my/net"] = FILES
    assert hub(DOTSEG_NET="my/net").stdout.startswith("my/net@")


def test_a_revision_is_asked_for_and_recorded(hub):
    Hub.repositories = {"first/net": FILES, "my/net": FILES}
    for arguments, path in ((", 'my/net@v2'", "/api/models/my/net/revision/v2"), ("", "/api/models/first/net/revision/main")):
        Hub.requests.clear()
        done = hub(arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0].endswith(f"@{REVISION[:8]}")
        assert any(asked.startswith(path) for _, asked in Hub.requests)
    pinned = "Checkpoint('Net', ('first/net@v3',), ('config.json',), 'DOTSEG_NET', 0.1)"
    Hub.requests.clear()
    assert hub(before=f"Checkpoint_, find_ = Checkpoint, find_checkpoint\nfind_checkpoint = lambda checkpoint: find_({pinned.replace('Checkpoint', 'Checkpoint_')})").returncode == 0
    assert any("first/net/revision/v3" in asked for _, asked in Hub.requests)


def test_nothing_is_asked_of_the_network_unless_it_may_be(hub):
    Hub.repositories = {"first/net": FILES}
    done = hub(", download=False")
    assert done.returncode == 1 and "not in the hub's cache: first/net, second/net" in done.stderr
    done = hub(HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and "is not available" in done.stderr
    assert Hub.requests == []


def test_a_disk_that_is_too_small_is_found_out_before(hub, tmp_path):
    Hub.repositories = {"first/net": FILES}
    before = "import shutil\nshutil.disk_usage = lambda path: shutil._ntuple_diskusage(10, 9, 1)"
    done = hub(before=before)
    assert done.returncode == 1 and "0.00 GB are needed and 0.00 GB are free" in done.stderr and "HF_HOME" in done.stderr
    assert not any(command == "GET" and "resolve" in path for command, path in Hub.requests)


def test_a_folder_from_the_environment(monkeypatch, tmp_path):
    net = Checkpoint("Net", ("first/net",), ("config.json",), "DOTSEG_NET", 0.1)
    monkeypatch.setenv("DOTSEG_NET", str(tmp_path))
    assert find_checkpoint(net).path == tmp_path
    monkeypatch.setenv("DOTSEG_NET", "")
    with pytest.raises(CheckpointError, match="not in the hub's cache"):
        find_checkpoint(net, download=False, cache=tmp_path)


def test_memory_is_not_the_files_fault():
    with pytest.raises(MemoryError), checkpoint_errors("Net", "file"):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), checkpoint_errors("Net", "file"):
        raise KeyboardInterrupt


def test_weights_that_were_not_there():
    check_complete("Net", "file", {"missing_keys": [], "unexpected_keys": ["old.buffer"], "mismatched_keys": set()})
    with pytest.raises(CheckpointError, match="2 of its weights are missing or have another shape, such as a.weight"):
        check_complete("Net", "file", {"missing_keys": ["a.weight"], "mismatched_keys": [("b", 1, 2)]})

# %% CheckpointError
from dotseg.models.checkpoints import Checkpoint, CheckpointError, find_checkpoint
from fastcore.test import expect_fail

example = Checkpoint("Example Net", ("nobody/example-net", "mirror/example-net"), ("config.json", "unet/*.safetensors"), "DOTSEG_EXAMPLE", 1.7)
with expect_fail(CheckpointError, contains="Example Net: /no/such/folder: no such file or folder, and no id"):
    find_checkpoint(example, "/no/such/folder")


# %% Checkpoint
from dotseg.models.checkpoints import Checkpoint

example = Checkpoint("Example Net", ("nobody/example-net", "mirror/example-net"), ("config.json", "unet/*.safetensors"), "DOTSEG_EXAMPLE", 1.7)


# %% Found
from pathlib import Path

from dotseg.models.checkpoints import Checkpoint, Found, find_checkpoint

Path("model.safetensors").touch()
found = find_checkpoint(Checkpoint("Example Net", ("example/net",), ("*.safetensors",), "EXAMPLE_NET", 0.1), "model.safetensors")
assert isinstance(found, Found)
print(found.path, found.name)


# %% find_checkpoint
import tempfile
from dotseg.models.checkpoints import Checkpoint, find_checkpoint
from fastcore.test import test_eq
from pathlib import Path

example = Checkpoint("Example Net", ("nobody/example-net", "mirror/example-net"), ("config.json", "unet/*.safetensors"), "DOTSEG_EXAMPLE", 1.7)
work = tempfile.TemporaryDirectory()
folder = Path(work.name) / "my-net"
folder.mkdir()
test_eq(find_checkpoint(example, folder).path, folder)


# %% checkpoint_errors
from dotseg.models.checkpoints import CheckpointError, checkpoint_errors

try:
    with checkpoint_errors("Example Net", "model.safetensors"):
        raise KeyError("weight")  # whatever a library raises
except CheckpointError as error:
    print(error)


# %% check_complete
from dotseg.models.checkpoints import CheckpointError, check_complete

report = {"missing_keys": ["head.weight"], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
try:
    check_complete("Example Net", "folder", report)
except CheckpointError as error:
    print(error)


# %% read_tensors
import tempfile
import torch
from dotseg.models.checkpoints import CheckpointError, read_tensors
from fastcore.test import expect_fail
from pathlib import Path

work = tempfile.TemporaryDirectory()
folder = Path(work.name) / "my-net"
folder.mkdir()
net, other = torch.nn.Linear(3, 4), torch.nn.Linear(3, 5)
torch.save(net.state_dict(), folder / "good.pt")
bare, net = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "Example Net"
wrapped = {
    "bare": bare,
    "state_dict": {"epoch": 3, "state_dict": bare},
    "model": {"model": bare, "optimizer": {"step": 7}},
    "both": {"model": {"state_dict": bare}},
    "data parallel": {f"module.{name}": x for name, x in bare.items()},
    "compiled": {f"_orig_mod.{name}": x for name, x in bare.items()},
    "both ways": {"model": {f"module._orig_mod.{name}": x for name, x in bare.items()}}}
with tempfile.TemporaryDirectory() as place:
    for name, saved in wrapped.items():
        torch.save(saved, Path(place) / "wrapped.pt")
        got = read_tensors(net, Path(place) / "wrapped.pt")
        assert got.keys() == bare.keys() and all(torch.equal(got[key], bare[key]) for key in bare), name
    for nothing in ([1, 2], {"epoch": 3}, {"model": {}}):
        torch.save(nothing, Path(place) / "nothing.pt")
        with expect_fail(CheckpointError, contains="it holds no weights by name"):
            read_tensors(net, Path(place) / "nothing.pt")

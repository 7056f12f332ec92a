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

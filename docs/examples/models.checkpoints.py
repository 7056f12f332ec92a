# %% CheckpointError
from dotseg.models.checkpoints import Checkpoint, CheckpointError, find_checkpoint
from fastcore.test import expect_fail

example = Checkpoint("Example Net", ("nobody/example-net", "mirror/example-net"), ("config.json", "unet/*.safetensors"), "DOTSEG_EXAMPLE", 1.7)
with expect_fail(CheckpointError, contains="Example Net: /no/such/folder: no such file or folder, and no id"):
    find_checkpoint(example, "/no/such/folder")


# %% Checkpoint
from dotseg.models.checkpoints import Checkpoint

example = Checkpoint("Example Net", ("nobody/example-net", "mirror/example-net"), ("config.json", "unet/*.safetensors"), "DOTSEG_EXAMPLE", 1.7)


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

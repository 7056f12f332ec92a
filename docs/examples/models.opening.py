# %% SMALL, LARGE
from dotseg.models.opening import LARGE, SMALL

print(f"{SMALL:,} bytes of a configuration, {LARGE:,} of a vocabulary")


# %% check_file
from pathlib import Path

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_file

Path("config.json").write_text("{}")
print(check_file("Example Net", "config.json", most=100))
try:
    check_file("Example Net", ".")
except CheckpointError as error:
    print(error)


# %% files_read, fingerprint
import torch

from dotseg.models.opening import files_read, fingerprint, read_tensors

torch.save({"weight": torch.ones(2, 3)}, "net.pt")
with files_read() as files:
    read_tensors("Example Net", "net.pt")
print([file.name for file in files], fingerprint(files))


# %% read_json
from pathlib import Path

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import read_json

Path("config.json").write_text('{"width": 768}')
print(read_json("Example Net", "config.json"))
Path("config.json").write_text('{"width": 768, "auto_map": {"AutoModel": "net.Net"}}')
try:
    read_json("Example Net", "config.json")
except CheckpointError as error:
    print(error)


# %% check_config
from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_config

print(check_config("Example Net", "config.json", {"num_hidden_layers": 12, "_name_or_path": "somewhere"}))
try:
    check_config("Example Net", "config.json", {"num_hidden_layers": 10**6})
except CheckpointError as error:
    print(error)


# %% check_size
from pathlib import Path

import torch

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_size

Path("weights.safetensors").write_bytes(bytes(100))
try:
    check_size("Example Net", "folder", torch.nn.Linear(1000, 1000, device="meta"), [Path("weights.safetensors")])
except CheckpointError as error:
    print(error)


# %% check_finite
import torch

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_finite

net = torch.nn.Linear(2, 3)
check_finite("Example Net", "net.pt", net)
net.weight.data[1, 0] = torch.nan
try:
    check_finite("Example Net", "net.pt", net)
except CheckpointError as error:
    print(error)


# %% check_weights
from pathlib import Path

import torch

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_weights

torch.save({"weight": torch.ones(2, 3)}, "net.pt")
print(check_weights("Example Net", "net.pt"))
Path("net.safetensors").write_bytes(bytes([255] * 8))  # a header of 2**64 bytes
try:
    check_weights("Example Net", "net.safetensors")
except CheckpointError as error:
    print(error)


# %% read_tensors
import torch

from dotseg.models.opening import read_tensors

torch.save({"epoch": 3, "state_dict": {"module.weight": torch.ones(2, 3)}}, "net.pt")
print(read_tensors("Example Net", "net.pt"))


# %% indexed_files
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from dotseg.models.opening import indexed_files

save_file({"weight": torch.ones(2, 3)}, "a.safetensors")
Path("index.json").write_text(json.dumps({"weight_map": {"weight": "a.safetensors"}}))
print(indexed_files("Example Net", Path("index.json"), ".safetensors"))


# %% weight_files
from pathlib import Path

import torch
from safetensors.torch import save_file

from dotseg.models.opening import weight_files

save_file({"weight": torch.ones(2, 3)}, "model.safetensors")
print(weight_files("Example Net", Path("."), ["model.fp16.safetensors", "model.safetensors"]))


# %% check_tokenizer
import json
from pathlib import Path

from dotseg.models.checkpoints import CheckpointError
from dotseg.models.opening import check_tokenizer

Path("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
check_tokenizer("Example Net", Path("."))
Path("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MyTokenizer"}))
try:
    check_tokenizer("Example Net", Path("."))
except CheckpointError as error:
    print(error)

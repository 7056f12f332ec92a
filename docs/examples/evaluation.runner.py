# %% record_line
import torch

from dotseg.evaluation.runner import record_line

print(record_line("photo", [1, 2], torch.tensor([0, 5, 0, 7])))  # checksum, name, stamp, places, counts


# %% read_records
from pathlib import Path

import torch

from dotseg.evaluation.runner import read_records, record_line

first, second = (record_line(name, [1, 2], torch.tensor([0, 5, 0, 7])) for name in ("a", "b"))
Path("counts-0.txt").write_bytes(first + second[:-9] + b"\n")  # the second line is torn
print(read_records(Path(".")))


# %% begin_run
from pathlib import Path

from dotseg.evaluation.runner import begin_run
from dotseg.method.errors import DotsegError

begin_run(Path("."), {"dataset": "voc21", "config": {"mode": "path", "tau": 0.3}})
begin_run(Path("."), {"dataset": "voc21", "config": {"mode": "path", "tau": 0.3}})  # goes on
try:
    begin_run(Path("."), {"dataset": "voc21", "config": {"mode": "velocity", "tau": 0.3}})
except DotsegError as error:
    print(error)


# %% Evaluation
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.runner import Evaluation, evaluate
from dotseg.segmentation.segmenter import Segmenter

found = evaluate(Segmenter.from_preset("picturebook", device="cpu"), load_dataset("picturebook")[:2], "run")
assert isinstance(found, Evaluation)
print(found.images, found.matrix.shape)


# %% evaluate
import tempfile
from dataclasses import replace
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.runner import evaluate
from dotseg.models.clip import ClipLogits
from dotseg.segmentation.segmenter import Segmenter

def as_it_is(segmenter):  # the arg max over CLIP's patches as they leave its last block
    clip = segmenter.logit_source
    logits = ClipLogits(clip.model, clip.prompts.tokenize, "origin", residual=True, image_size=clip.image_size)
    return Segmenter(logits, None, replace(segmenter.config, mode="logits", jbu=False), segmenter.models | {"logits": "origin"})
with tempfile.TemporaryDirectory() as folder:
    result = evaluate(as_it_is(Segmenter.from_preset("picturebook")), load_dataset("picturebook")[:4], folder)

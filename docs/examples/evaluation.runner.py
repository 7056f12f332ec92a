# %% record_line
import tempfile
import torch
from dotseg.evaluation.runner import read_records, record_line
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    first, second = (record_line(name, [1, 2], torch.tensor([0, 5, 0, 7])) for name in ("a", "b"))
    Path(folder, "counts-0.txt").write_bytes(first + second[:-9] + b"\n" + second.replace(b"7", b"8") + b"\n\n")
    found = read_records(Path(folder))


# %% read_records
import tempfile
import torch
from dotseg.evaluation.runner import read_records, record_line
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    first, second = (record_line(name, [1, 2], torch.tensor([0, 5, 0, 7])) for name in ("a", "b"))
    Path(folder, "counts-0.txt").write_bytes(first + second[:-9] + b"\n" + second.replace(b"7", b"8") + b"\n\n")
    found = read_records(Path(folder))


# %% begin_run
import tempfile
import torch
from dotseg.evaluation.runner import begin_run, read_records, record_line
from fastcore.test import test_eq
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    first, second = (record_line(name, [1, 2], torch.tensor([0, 5, 0, 7])) for name in ("a", "b"))
    Path(folder, "counts-0.txt").write_bytes(first + second[:-9] + b"\n" + second.replace(b"7", b"8") + b"\n\n")
    found = read_records(Path(folder))
with tempfile.TemporaryDirectory() as folder:
    test_eq(begin_run(Path(folder), {"dataset": "voc21", "config": {"mode": "path", "tau": 0.3}}), None)
    test_eq(begin_run(Path(folder), {"dataset": "voc21", "config": {"mode": "path", "tau": 0.3}}), None)
    complaint = begin_run(Path(folder), {"dataset": "voc21", "config": {"mode": "velocity", "tau": 0.3}})


# %% processes, gather, sum_counts
import torch

from dotseg.evaluation.runner import gather, processes, sum_counts

with processes() as (rank, ranks):  # one process, unless torchrun has started several
    print(rank, ranks, gather("mine"), sum_counts(torch.tensor([1, 2]), "cpu"))


# %% local_device
from dotseg.evaluation.runner import local_device

print(local_device("cpu"))


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

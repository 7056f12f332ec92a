# %% class_report
import torch

from dotseg.evaluation.reports import class_report

report = class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"])
print(report["summary"])


# %% report_text
import tempfile
import torch
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.reports import report_text
from dotseg.evaluation.runner import begin_run, evaluate, read_records, record_line
from dotseg.segmentation.segmenter import Segmenter
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
segmenter = Segmenter.from_preset("picturebook", device="cpu")
pages = load_dataset("picturebook")[:8]
place = tempfile.TemporaryDirectory()
folder = Path(place.name, "run")
result = evaluate(segmenter, pages, folder, save_masks=True)
print(report_text(result.report))


# %% report_csv
import torch

from dotseg.evaluation.reports import class_report, report_csv

report = class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"])
print(report_csv(report))


# %% plot_classes
import tempfile
import torch
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.reports import plot_classes
from dotseg.evaluation.runner import begin_run, evaluate, read_records, record_line
from dotseg.segmentation.segmenter import Segmenter
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
segmenter = Segmenter.from_preset("picturebook", device="cpu")
pages = load_dataset("picturebook")[:8]
place = tempfile.TemporaryDirectory()
folder = Path(place.name, "run")
result = evaluate(segmenter, pages, folder, save_masks=True)
plot_classes(result.report)

"Counts against loops and against other libraries, invariants, and errors, over shapes and dtypes."
import csv
import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from dotseg.evaluation.metrics import (
    bands, bootstrap_difference, boundary_iou, boundary_matrix, class_accuracy, confusion_matrix, grouping_auc, iou, mean_iou, pixel_accuracy)
from dotseg.evaluation.reports import class_report, plot_classes, report_csv, report_text
from dotseg.method.background import mark_background


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**31))
def test_counts_are_those_of_a_loop(k, height, width, seed):
    g = torch.Generator().manual_seed(seed)
    truth, guess = torch.randint(-1, k + 1, (height, width), generator=g), torch.randint(0, k, (height, width), generator=g)
    slow = torch.zeros(k, k, dtype=torch.int64)
    for t, p in zip(truth.flatten().tolist(), guess.flatten().tolist()):
        if 0 <= t < k:
            slow[t, p] += 1
    assert torch.equal(confusion_matrix(truth, guess, k), slow)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_whole_dtype_counts_alike(dtype):
    truth, guess = torch.tensor([[0, 1, 255]]), torch.tensor([[0, 0, 1]])
    assert confusion_matrix(truth.to(dtype), guess.to(dtype), 2).tolist() == [[1, 0], [1, 0]]


def test_perfect_and_hopeless():
    truth = torch.tensor([[0, 1, 2]])
    assert mean_iou(confusion_matrix(truth, truth, 3)) == 1
    assert mean_iou(confusion_matrix(truth, truth.roll(1), 3)) == 0
    assert iou(confusion_matrix(truth, truth, 4))[3].isnan()


def test_a_clear_difference_excludes_zero_and_noise_does_not():
    g = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (40, 16, 16), generator=g)

    def noisy(share, seed):
        wrong = torch.rand(truth.shape, generator=torch.Generator().manual_seed(seed)) < share
        return confusion_matrix(truth, torch.where(wrong, (truth + 1) % 3, truth), 3)

    difference, low, high = bootstrap_difference(noisy(0.1, 1), noisy(0.3, 2), draws=300)
    assert low < difference < high and low > 0
    _, low, high = bootstrap_difference(noisy(0.2, 3), noisy(0.2, 4), draws=300)
    assert low < 0 < high


def test_auc_does_not_see_the_diagonal_nor_monotone_changes():
    g = torch.Generator().manual_seed(0)
    affinity, labels = torch.rand(30, 30, generator=g), torch.randint(0, 4, (30,), generator=g)
    value = grouping_auc(affinity, labels)
    assert abs(value - 0.5) < 0.1
    assert grouping_auc(affinity.exp(), labels) == value
    assert grouping_auc(affinity + 9 * torch.eye(30), labels) == pytest.approx(value, abs=1e-12)
    assert grouping_auc(affinity - 9 * torch.eye(30), labels) == pytest.approx(value, abs=1e-12)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="predicted"):
        confusion_matrix(torch.zeros(2, 2).long(), torch.full((2, 2), 5), 3)
    with pytest.raises(ValueError, match="second"):
        bootstrap_difference(torch.zeros(3, 2, 2), torch.zeros(3, 4, 4))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_counts_are_those_of_scikit_learn_and_torchmetrics(k, height, width, seed):
    sklearn = pytest.importorskip("sklearn.metrics")
    torchmetrics = pytest.importorskip("torchmetrics.classification")
    g = torch.Generator().manual_seed(seed)
    truth, guess = torch.randint(0, k, (3, height, width), generator=g), torch.randint(0, k, (3, height, width), generator=g)
    void = torch.where(torch.rand(truth.shape, generator=g) < 0.3, 255, truth)
    ours, kept = confusion_matrix(void, guess, k).sum(0), void != 255
    assert torch.equal(torchmetrics.MulticlassConfusionMatrix(k, ignore_index=255)(guess, void), ours)
    if kept.any():
        assert (sklearn.confusion_matrix(void[kept], guess[kept], labels=range(k)) == ours.numpy()).all()
        assert pixel_accuracy(ours).item() == pytest.approx(sklearn.accuracy_score(void[kept], guess[kept]))
        there = set(void[kept].tolist())
        for labels, found in ((there, mean_iou(ours, in_truth=True)), (there | set(guess[kept].tolist()), mean_iou(ours))):
            assert found.item() == pytest.approx(sklearn.jaccard_score(void[kept], guess[kept], labels=sorted(labels), average="macro", zero_division=0))
        assert torchmetrics.MulticlassJaccardIndex(k, ignore_index=255)(guess, void).item() == pytest.approx(mean_iou(ours).item(), abs=1e-6)


def test_sums_of_a_large_set_are_exact():
    huge = torch.tensor([[2**40 + 1, 1], [0, 2**40]])
    assert huge.dtype == torch.int64
    assert iou(huge)[0].item() == (2**40 + 1) / (2**40 + 2) < 1
    assert pixel_accuracy(huge).item() < 1 and class_accuracy(huge).tolist() == [(2**40 + 1) / (2**40 + 2), 1]


def test_nothing_counted_is_nan_not_zero():
    empty = confusion_matrix(torch.full((2, 2), 255), torch.zeros(2, 2).long(), 3)
    assert empty.sum() == 0
    assert mean_iou(empty).isnan() and mean_iou(empty, in_truth=True).isnan() and pixel_accuracy(empty).isnan() and class_accuracy(empty).isnan().all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(3, 14), st.integers(3, 14), st.integers(1, 6), st.integers(0, 2**31))
def test_bands_are_what_an_erosion_takes_away(k, height, width, d, seed):
    labels = torch.randint(0, k, (height // 3 + 1, width // 3 + 1), generator=torch.Generator().manual_seed(seed))
    labels = labels.repeat_interleave(3, 0).repeat_interleave(3, 1)[:height, :width]
    expected = np.zeros(labels.shape, bool)
    for c in range(k):
        mask = (labels == c).numpy()
        expected |= mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=d, border_value=0)
    assert (bands(labels, d).numpy() == expected).all()


@pytest.mark.parametrize("void", [False, True])
def test_boundary_iou_against_a_loop_over_pixels(void):
    g = torch.Generator().manual_seed(0)
    truth, guess = (torch.randint(0, 3, (4, 5), generator=g).repeat_interleave(6, 0).repeat_interleave(6, 1) for _ in range(2))
    if void:
        truth[torch.rand(truth.shape, generator=g) < 0.2] = 255
    height, width = truth.shape
    d = max(1, round(0.06 * math.hypot(height, width)))
    counted = torch.zeros(3, 2)  # intersection, union
    def near(x, y, i):  # is another label, or the border, within d?
        rows, columns = range(y - d, y + d + 1), range(i - d, i + d + 1)
        inside = [(r, c) for r in rows for c in columns if 0 <= r < height and 0 <= c < width]
        return len(inside) < (2 * d + 1) ** 2 or any(truth[r, c] != 255 and x[r, c] != x[y, i] for r, c in inside)
    for y in range(height):
        for i in range(width):
            if truth[y, i] == 255:
                continue
            a, b = near(truth, y, i), near(guess, y, i)
            for c in range(3):
                ina, inb = a and truth[y, i] == c, b and guess[y, i] == c
                counted[c] += torch.tensor([float(ina and inb), float(ina or inb)])
    got = boundary_iou(boundary_matrix(truth, guess, 3, ratio=0.06))
    torch.testing.assert_close(got, (counted[:, 0] / counted[:, 1]).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_boundaries_of_any_whole_dtype_and_batch(dtype):
    g = torch.Generator().manual_seed(1)
    truth, guess = torch.randint(0, 4, (2, 3, 11, 13), generator=g), torch.randint(0, 4, (2, 3, 11, 13), generator=g)
    got = boundary_matrix(truth.to(dtype), guess.to(dtype), 4)
    assert got.shape == (2, 3, 5, 5) and got.dtype == torch.int64
    assert torch.equal(got[1, 2], boundary_matrix(truth[1, 2], guess[1, 2], 4))
    assert (got.sum((-2, -1)) == 11 * 13).all()
    assert torch.equal(boundary_iou(boundary_matrix(truth, truth, 4)).nan_to_num(1), torch.ones(2, 3, 4, dtype=torch.float64))


def test_void_makes_no_boundary_and_label_k_is_void():
    truth = torch.full((30, 30), 1)
    truth[10:20, 10:20] = 2  # k = 2: ignored
    inner = boundary_matrix(truth, torch.ones(30, 30).long(), 2, ratio=0.05)
    assert boundary_iou(inner)[1] == 1 and inner.sum() == 900 - 100
    assert not bands(torch.where(truth == 2, -1, truth), 2)[5:25, 5:25].any()


def test_a_threshold_makes_background():
    labels = torch.tensor([[2, 1], [1, 2]])
    logits = torch.tensor([[[0.2]], [[0.3]], [[0.3]]])
    assert mark_background(labels, logits, 0.4).tolist() == labels.tolist()  # two share nearly everything
    assert mark_background(labels, logits, 0.6).tolist() == [[0, 0], [0, 0]]
    assert mark_background(labels, logits, 0.4, scale=0.0).tolist() == [[0, 0], [0, 0]]  # a third each
    batch = mark_background(labels.expand(5, 2, 2), logits.expand(5, 3, 1, 1), 0.6, background=1)
    assert batch.shape == (5, 2, 2) and (batch == 1).all() and batch.dtype == labels.dtype
    with pytest.raises(ValueError, match="threshold: got 1.5"):
        mark_background(labels, logits, 1.5)


def test_reports_say_the_same_in_every_form():
    matrix = torch.tensor([[90, 10, 0, 0], [5, 45, 0, 0], [0, 0, 0, 0], [0, 0, 3, 0]])
    report = class_report(matrix, ["cat", "sofa|couch", "sea, deep", "sky"])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["summary"] == {"miou": pytest.approx((90 / 105 + 45 / 60) / 4), "miou_in_truth": pytest.approx((90 / 105 + 45 / 60) / 3), "mean_accuracy": pytest.approx((0.9 + 0.9 + 0) / 3), "pixel_accuracy": 135 / 153, "pixels": 153, "classes": 3, "ignored": {}}
    assert [row["class"] for row in report["classes"]] == ["cat", "sofa", "sea, deep", "sky"]
    assert report["classes"][2]["accuracy"] is None and report["classes"][2]["iou"] == 0 and report["classes"][2]["predicted"] == 3
    assert report["classes"][3]["precision"] is None and report["classes"][3]["iou"] == 0
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert rows[2]["class"] == "sea, deep" and rows[2]["accuracy"] == "" and float(rows[0]["iou"]) == report["classes"][0]["iou"]
    lines = report_text(report).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["cat", "sofa", "sky", "sea,"]
    assert lines[1].split()[1:] == ["85.7", "90.0", "94.7", "65.4"]
    assert "mIoU 40.18%, mIoU in truth 53.57%" in lines[-2] and lines[-1] == "153 pixels, 3 of 4 classes occur; 1 predicted but absent, with IoU 0 in the mIoU"
    assert [text.get_text() for text in plot_classes(report).axes[0].get_yticklabels()][0] in ("sea, deep", "sky")
    assert "boundary" in report_text(class_report(matrix, list("abcd"), torch.ones(5, 5).long()))


def test_a_report_of_nothing():
    report = class_report(torch.zeros(2, 2).long(), ["a", "b"])
    assert report["summary"]["miou"] is None and json.dumps(report, allow_nan=False)
    assert "0 of 2 classes occur" in report_text(report)
    with pytest.raises(ValueError, match="report: 0 classes occur"):
        plot_classes(report)
    with pytest.raises(ValueError, match="matrix"):
        class_report(torch.zeros(2, 2).long(), ["a"])
    with pytest.raises(ValueError, match="boundary"):
        class_report(torch.zeros(2, 2).long(), ["a", "b"], torch.zeros(2, 2).long())


@pytest.mark.parametrize("k, n, bars", [(3, 8, 3), (16, 8, 16), (40, 8, 16), (40, 3, 6)])
def test_the_figure_shows_the_worst_and_the_best(k, n, bars):
    matrix = torch.diag(torch.arange(1, k + 1)) + 1
    fig = plot_classes(class_report(matrix, [f"class {i}" for i in range(k)]), n)
    ax = fig.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(ax.patches) == bars and names[0] == "class 0" and names[-1] == f"class {k - 1}"
    assert (f"({k - 2 * n} more)" in names) == (k > 2 * n)

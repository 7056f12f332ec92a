"Counts against a loop, invariants, and errors, over shapes and dtypes."
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotseg.metrics import bootstrap_difference, confusion_matrix, grouping_auc, iou, mean_iou


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

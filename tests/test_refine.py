import dataclasses
import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.background import Background
from dotseg.method.errors import DotsegError
from dotseg.method.logits import normalise, suppress_non_maxima
from dotseg.method.maximum_velocity import maximum_velocity
from dotseg.method.measures import MEASURES, Fused, MaximumVelocity, OptimalPath
from dotseg.method.optimal_path import optimal_path
from dotseg.method.proportional_fitting import doubly_stochastic
from dotseg.method.refine import DiscrepancyConfig, Scores, discrepancy, refine
from dotseg.method.sinkhorn import sinkhorn
from dotseg.method.upsampling import joint_bilateral_upsample

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
NO_ATTENTION = ("kl", "alone", "logits")


def draw(k=5, h=4, w=6, H=21, W=33, seed=0, spread=0.1):
    g = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(k, h, w, generator=g, dtype=torch.float64)
    attention = torch.randn(h * w, h * w, generator=g, dtype=torch.float64).softmax(1)
    return logits, attention, torch.rand(3, H, W, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mode", MEASURES)
def test_shapes_and_precisions(mode, dtype, device):
    out = refine(*(x.to(device, dtype) for x in draw()), DiscrepancyConfig(mode=mode, scale=25.0, confidence_threshold=0.5))
    assert isinstance(out, Scores)
    k = len(out.kept)
    assert out.scores.shape == (k, 21, 33) and out.labels.shape == (21, 33) and 1 <= k <= 5
    assert out.scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert out.labels.dtype == out.kept.dtype == torch.int64
    assert {x.device.type for x in (out.scores, out.kept, out.labels)} == {device}
    assert out.scores.isfinite().all()


@pytest.mark.parametrize("jbu", [True, False])
@pytest.mark.parametrize("mode", MEASURES)
def test_labels_are_the_callers_indices(mode, jbu):
    logits, attention, image = draw()
    logits[1] -= 1  # never wins
    out = refine(logits, attention, image, DiscrepancyConfig(mode=mode, scale=25.0, jbu=jbu))
    if MEASURES[mode].selects:
        assert 1 not in out.kept
    assert (out.kept.diff() > 0).all()
    assert_close(out.labels, out.kept[out.scores.argmax(0)])


@pytest.mark.parametrize("mode", [m for m in MEASURES if MEASURES[m].selects])
def test_a_class_that_never_wins_changes_nothing(mode):
    logits, attention, image = draw()
    config = DiscrepancyConfig(mode=mode, scale=25.0)
    extra = torch.cat([logits[:2], logits.amin(0, keepdim=True) - 1, logits[2:]])
    out, more = refine(logits, attention, image, config), refine(extra, attention, image, config)
    assert_close(more.scores, out.scores)
    assert_close(more.kept, out.kept + (out.kept >= 2))


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from(list(MEASURES)),
    st.sampled_from([1e-4, 0.05, 1.0, 100.0]),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from(["random", "identity", "zero", "uniform", "one key"]),
    st.sampled_from([0.0, 0.3, 0.95]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_never_anything_but_finite_scores(size, mode, spread, threshold, kind, holes, dtype, seed):
    logits, attention, image = draw(*size, seed=seed, spread=spread)
    n = len(attention)
    attention = {
        "random": attention,
        "identity": torch.eye(n),
        "zero": torch.zeros(n, n),
        "uniform": torch.full((n, n), 1 / n),
        "one key": torch.zeros(n, n).index_fill(1, torch.tensor(0), 1.0),
    }[kind].to(dtype)
    hidden = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)) < holes
    hidden[0, 0, 0] = False
    logits = logits.masked_fill(hidden, -torch.inf)
    config = DiscrepancyConfig(mode=mode, confidence_threshold=threshold, scale=25.0)
    out = refine(logits.to(dtype), attention, image.to(dtype), config)
    assert out.scores.isfinite().all() and out.scores.shape == (len(out.kept), *image.shape[1:])
    assert set(out.labels.flatten().tolist()) <= set(out.kept.tolist()) <= set(range(size[0]))


@pytest.mark.parametrize("mode", MEASURES)
def test_every_class_gets_the_same_map_whatever_its_place(mode):
    logits, attention, image = draw()
    config = DiscrepancyConfig(mode=mode, scale=25.0, confidence_threshold=0.6)
    order = torch.tensor([3, 0, 4, 1, 2])
    out, mixed = refine(logits, attention, image, config), refine(logits[order], attention, image, config)
    by_class = dict(zip(order[mixed.kept].tolist(), mixed.scores))
    assert sorted(by_class) == out.kept.tolist()
    for c, scores in zip(out.kept.tolist(), out.scores):
        assert_close(by_class[c], scores)


@pytest.mark.parametrize("mode", MEASURES)
def test_adding_a_constant_to_all_logits_changes_nothing_but_raw_scores(mode):
    logits, attention, _ = draw()
    config = DiscrepancyConfig(mode=mode, scale=25.0, confidence_threshold=0.6)
    maps, kept = discrepancy(logits, attention, config)
    shifted, kept_too = discrepancy(logits + 3, attention, config)
    assert_close(kept_too, kept)
    assert_close(shifted - (3 if mode == "logits" else 0), maps)


@pytest.mark.parametrize("mode", ["velocity", "path", "vote", "fused"])
@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_attention_may_have_any_scale(mode, factor):
    logits, attention, _ = draw()
    config = DiscrepancyConfig(mode=mode, scale=25.0)
    rows = factor * torch.linspace(0.5, 2, 24, dtype=torch.float64)[:, None]
    assert_close(discrepancy(logits, attention * rows, config)[0], discrepancy(logits, attention, config)[0])


@pytest.mark.parametrize("mode", NO_ATTENTION)
def test_modes_that_need_no_attention(mode):
    logits, attention, image = draw()
    config = DiscrepancyConfig(mode=mode, scale=25.0)
    assert_close(refine(logits, None, image, config).scores, refine(logits, attention, image, config).scores)


@pytest.mark.parametrize("mode", MEASURES)
def test_perfect_attention_completes_regions(mode):
    "Half of each region is unsure; with block attention the readings that use it restore the region."
    logits = torch.zeros(2, 4, 4)
    logits[0, :, 0], logits[1, :, 3] = 1.0, 1.0
    logits[0, :, 2], logits[1, :, 1] = 0.01, 0.01  # the wrong way round
    left = (torch.arange(16) % 4 < 2).float()
    attention = (left[:, None] == left).float() / 8
    out = refine(logits, attention, torch.full((3, 4, 4), 0.5), DiscrepancyConfig(mode=mode, jbu=False))
    want = (torch.arange(4) >= 2).long().expand(4, 4)
    assert (out.labels == want).all() == (mode not in NO_ATTENTION)


def test_fallback_when_nobody_is_sure():
    logits, attention, image = draw(spread=1e-4)
    config = DiscrepancyConfig(scale=1.0)
    assert_close(refine(logits, attention, image, config).scores, refine(logits, attention, image, dataclasses.replace(config, confidence_threshold=0.0)).scores)


def test_classes_without_support_are_dropped():
    logits = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.01]]])
    assert refine(logits, torch.eye(3), torch.zeros(3, 1, 3)).kept.tolist() == [0, 1]
    kept = refine(logits, torch.eye(3), torch.zeros(3, 1, 3), DiscrepancyConfig("alone", keep_best=True))
    assert kept.kept.tolist() == [0, 1, 2]  # the third keeps its best patch
    assert kept.labels.tolist() == [[0, 1, 2]]
    assert refine(logits, torch.eye(3), torch.zeros(3, 1, 3), DiscrepancyConfig(confidence_threshold=0.0)).kept.tolist() == [0, 1, 2]


def test_raw_logits_mode_is_plain_upsampling():
    logits, _, image = draw()
    out = refine(logits, None, image, DiscrepancyConfig(mode="logits", jbu=False))
    want = torch.nn.functional.interpolate(logits[None], size=image.shape[1:], mode="bilinear")[0]
    assert_close(out.scores, want)
    assert_close(out.labels, want.argmax(0))
    logits[2], logits[0, 0, 0] = -torch.inf, -torch.inf
    maps, kept = discrepancy(logits, None, DiscrepancyConfig(mode="logits"))
    assert kept.tolist() == [0, 1, 3, 4]
    assert maps[0, 0, 0] == logits[logits > -torch.inf].min()


def test_inputs_are_left_alone():
    inputs = draw()
    before = [x.clone() for x in inputs]
    for mode in MEASURES:
        refine(*inputs, DiscrepancyConfig(mode=mode))
    assert_close(list(inputs), before)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"logits": torch.full((2, 2, 2), torch.nan)}, "logits: .*NaN"),
        ({"logits": torch.full((2, 2, 2), torch.inf)}, "logits: got .inf"),
        ({"logits": torch.full((2, 2, 2), -torch.inf)}, "logits: every value is -inf"),
        ({"logits": torch.zeros(0, 2, 2)}, "logits: "),
        ({"logits": torch.zeros(2, 0, 2), "attention": torch.zeros(0, 0)}, "logits: "),
        ({"logits": torch.zeros(1, 2, 2, 2)}, "logits: expected 3 axes"),
        ({"logits": torch.zeros(2, 2, 2, dtype=torch.long)}, "logits: expected a floating"),
        ({"logits": np.zeros((2, 2, 2))}, "logits: expected a torch.Tensor"),
        ({"attention": torch.full((4, 4), torch.nan)}, "attention: .*NaN"),
        ({"attention": torch.full((4, 4), torch.inf)}, "attention: got infinite"),
        ({"attention": -torch.eye(4)}, "attention: values lie in"),
        ({"attention": torch.eye(5)}, "attention: n is 5, expected 4"),
        ({"attention": torch.zeros(4, 5)}, "attention: n is 5, expected 4"),
        ({"attention": torch.eye(4)[None]}, "attention: expected 2 axes"),
        ({"attention": None}, "attention: got None, but mode"),
        ({"image": torch.full((3, 8, 8), torch.nan)}, "image: .*NaN"),
        ({"image": torch.full((3, 8, 8), 2.0)}, "image: values lie in"),
        ({"image": torch.zeros(3, 8, 8, dtype=torch.uint8)}, "image: expected a floating"),
        ({"image": torch.zeros(8, 8, 3)}, "image: 3 is 8"),
        ({"image": torch.zeros(3, 0, 8)}, "image: H is 0, expected at least 1"),
    ],
)
@pytest.mark.parametrize("jbu", [True, False])
def test_refuses(change, message, jbu):
    good = {"logits": torch.eye(4).reshape(4, 2, 2)[:2], "attention": torch.eye(4), "image": torch.zeros(3, 8, 8)}
    for mode in MEASURES:
        if "attention" in change and "logits" not in change and mode in NO_ATTENTION:
            continue
        with pytest.raises(ValueError, match=message):
            refine(**(good | change), config=DiscrepancyConfig(mode=mode, jbu=jbu))


@pytest.mark.parametrize(
    "field, value",
    [
        ("mode", "fast"), ("mode", None), ("mode", OptimalPath), ("confidence_threshold", -0.1), ("confidence_threshold", 1.1), ("confidence_threshold", float("nan")),
        ("confidence_threshold", None), ("least_survivors", -0.1), ("least_survivors", 2), ("keep_best", 1), ("scale", 0.0), ("scale", float("inf")), ("scale", "100"), ("scale_f", -1.0), ("jbu", "yes"), ("sigma_s2", 0.0),
        ("sigma_r2", -1.0), ("radius", -1), ("radius", 1.5), ("radius", True),
    ],
)  # fmt: skip
def test_config_refuses(field, value):
    with pytest.raises(DotsegError, match=f"^{field}: got"):
        DiscrepancyConfig(**{field: value})


@pytest.mark.parametrize(
    "measure, field, value",
    [
        (OptimalPath, "eps", 0.0), (OptimalPath, "eps", float("nan")), (OptimalPath, "eps", "0.1"), (OptimalPath, "eps", None), (OptimalPath, "n_iters", 0),
        (OptimalPath, "n_iters", 2.5), (OptimalPath, "reading", "plan"), (MaximumVelocity, "tau", -0.1), (MaximumVelocity, "tau", float("nan")),
        (MaximumVelocity, "ipf_iters", -1), (MaximumVelocity, "ipf_iters", 1.0),
    ],
)  # fmt: skip
def test_measures_refuse(measure, field, value):
    with pytest.raises(DotsegError, match=f"^{field}: got"):
        measure(**{field: value})


# What the paper states, and where: section 7 of the main text, or the line of Algorithm 1, or the equation.
PAPER = [
    (OptimalPath(), "eps", 0.1, "section 4.1: the regularisation of the optimal path"),
    (OptimalPath(), "n_iters", 50, "section 4.1: Sinkhorn iterations"),
    (MaximumVelocity(), "tau", 0.3, "section 4.1: the threshold of the velocity"),
    (MaximumVelocity(), "ipf_iters", 15, "section 4.1: iterations of proportional fitting"),
    (DiscrepancyConfig(), "confidence_threshold", 0.9, "Algorithm 1, line 3: NMS"),
    (DiscrepancyConfig(), "sigma_s2", 1.0, "Eq. 23"),
    (DiscrepancyConfig(), "sigma_r2", 0.1, "Eq. 23"),
]
OURS = [  # where the paper says nothing
    (OptimalPath(), "reading", "potential"), (DiscrepancyConfig(), "mode", MaximumVelocity()), (DiscrepancyConfig(), "scale", 100.0),
    (DiscrepancyConfig(), "scale_f", None), (DiscrepancyConfig(), "keep_best", False), (DiscrepancyConfig(), "least_survivors", 0.0), (DiscrepancyConfig(), "jbu", True), (DiscrepancyConfig(), "radius", 2), (DiscrepancyConfig(), "background", None),
]  # fmt: skip


@pytest.mark.parametrize("holder, field, value", [row[:3] for row in PAPER] + OURS)
def test_defaults(holder, field, value):
    assert getattr(holder, field) == value and type(getattr(holder, field)) is type(value)


@pytest.mark.parametrize(
    "function, names",
    [
        (optimal_path, {"eps": 0.1, "n_iters": 50, "reading": "potential"}), (maximum_velocity, {"tau": 0.3, "ipf_iters": 15, "max_steps": 100}),
        (doubly_stochastic, {"n_iters": 15}), (sinkhorn, {"eps": 0.1, "n_iters": 50, "tol": 0.0}), (suppress_non_maxima, {"threshold": 0.9, "scale": 100.0, "groups": None}),
        (normalise, {"scale": 100.0}), (joint_bilateral_upsample, {"sigma_s2": 1.0, "sigma_r2": 0.1, "radius": 2}),
    ],
)  # fmt: skip
def test_defaults_of_functions_are_those_of_the_configuration(function, names):
    found = {name: p.default for name, p in inspect.signature(function).parameters.items() if p.default is not p.empty}
    assert found == names


def test_every_default_is_pinned():
    pinned = {(type(holder), field) for holder, field, *_ in PAPER + OURS}
    assert pinned == {(kind, f.name) for kind in (OptimalPath, MaximumVelocity, DiscrepancyConfig) for f in dataclasses.fields(kind)}


def test_one_way_of_setting_a_measure_gives_what_another_gives():
    base = DiscrepancyConfig(OptimalPath(eps=0.05, reading="cost"), scale=15.0)
    assert base.with_mode("path") is base  # its own settings are kept
    assert base.with_mode("velocity") == dataclasses.replace(base, mode="velocity") == dataclasses.replace(base, mode=MaximumVelocity())
    chosen = (OptimalPath(eps=0.5), MaximumVelocity(tau=0.5))  # of which the present measure is the exception
    assert base.with_mode("path", chosen) is base and base.with_mode("velocity", chosen).mode == chosen[1] and base.with_mode("kl", chosen) == base.with_mode("kl")
    with pytest.raises(ValueError, match="mode: got 'magic', expected one of velocity, path"):
        base.with_mode("magic", chosen)
    assert DiscrepancyConfig("path") == DiscrepancyConfig(mode="path") == DiscrepancyConfig(OptimalPath())
    for name, kind in MEASURES.items():
        assert DiscrepancyConfig(name).mode == kind() and DiscrepancyConfig(name).describe()["mode"]["name"] == name


def test_config_round_trip_and_every_field_counts():
    config = DiscrepancyConfig(mode="path", scale_f=10.0)
    assert DiscrepancyConfig(**vars(config)) == config
    assert hash(config) == hash(dataclasses.replace(config))
    logits, attention, image = draw(seed=3)
    changes = [
        ("velocity", "confidence_threshold", 0.5), ("velocity", "scale", 20.0), ("velocity", "scale_f", 5.0), ("velocity", "keep_best", True), ("alone", "least_survivors", 0.9), ("path", "mode", OptimalPath(eps=0.5)),
        ("path", "mode", OptimalPath(n_iters=1)), ("path", "mode", OptimalPath(reading="cost")), ("velocity", "mode", MaximumVelocity(tau=1e-6)),
        ("velocity", "mode", MaximumVelocity(ipf_iters=0)), ("fused", "mode", Fused(path=OptimalPath(eps=0.5))), ("fused", "mode", Fused(velocity=MaximumVelocity(tau=1e-6))),
        ("velocity", "jbu", False), ("velocity", "sigma_s2", 3.0), ("velocity", "sigma_r2", 1.0), ("velocity", "radius", 0),
        ("velocity", "background", Background(["word", "other"])),
    ]  # fmt: skip
    assert {name for _, name, _ in changes} == {f.name for f in dataclasses.fields(DiscrepancyConfig)}
    for mode, name, value in changes:
        base = DiscrepancyConfig(mode=mode, scale=25.0)
        a, b = (refine(logits, attention, image, c) for c in (base, dataclasses.replace(base, **{name: value})))
        assert a.scores.shape != b.scores.shape or not torch.allclose(a.scores, b.scores, rtol=1e-9, atol=1e-12) or not torch.equal(a.labels, b.labels), name


@pytest.mark.parametrize("threshold, scale, words", [
    (0.9, 100.0, ()), (0.9, 1.0, ("suppression was undone",)), (0.5, 1.0, ("suppression was undone",)),
])
def test_notes_on_the_selection(threshold, scale, words):
    g = torch.Generator().manual_seed(0)
    logits = 0.2 + 0.1 * torch.randn(6, 8, 8, generator=g)
    found = refine(logits, torch.eye(64), torch.zeros(3, 8, 8), DiscrepancyConfig("alone", confidence_threshold=threshold, scale=scale))
    assert len(found.notes) == len(words) and all(word in note for word, note in zip(words, found.notes))


def test_notes_on_next_to_nothing_left_and_on_contradiction():
    logits = torch.full((3, 32, 32), 0.2)
    logits[0, 0, 0], logits[1, 5:, :] = 0.9, 0.21
    found = refine(logits, torch.eye(1024), torch.zeros(3, 32, 32), DiscrepancyConfig("alone"))
    assert found.kept.tolist() == [0] and len(found.notes) == 3
    assert "only 0.1% of the patches survive suppression at 0.9" in found.notes[0] and "agrees with the logits on 16% of the patches" in found.notes[1]
    assert found.notes[2] == "no patch tells class 1 and class 2 apart"
    assert refine(logits, torch.eye(1024), torch.zeros(3, 32, 32), DiscrepancyConfig("logits")).notes == ()


def test_notes_speak_of_the_threshold_that_was_used():
    g = torch.Generator().manual_seed(0)
    logits = 0.2 + 0.1 * torch.randn(6, 8, 8, generator=g)
    lowered = DiscrepancyConfig("alone", scale=1.0, least_survivors=0.5)
    assert "suppression was undone" in refine(logits, None, torch.zeros(3, 8, 8), dataclasses.replace(lowered, least_survivors=0.0)).notes[0]
    assert not any("suppression" in note for note in refine(logits, None, torch.zeros(3, 8, 8), lowered).notes)  # half of the patches survive


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_least_survivors_lowers_the_threshold_as_far_as_needed(share):
    g = torch.Generator().manual_seed(1)
    logits = 0.2 + 0.01 * torch.randn(20, 10, 10, generator=g)
    sure = (100 * logits).softmax(0).amax(0).flatten()
    assert (sure >= 0.9).double().mean() < 0.1
    maps, kept = discrepancy(logits, None, DiscrepancyConfig("alone", least_survivors=share))
    assert (maps > 0).flatten(1).any(0).sum() == round(100 * share)
    plenty = 10 * logits  # where enough survive, nothing changes
    for a, b in zip(discrepancy(plenty, None, DiscrepancyConfig("alone", least_survivors=0.1)), discrepancy(plenty, None, DiscrepancyConfig("alone"))):
        assert torch.equal(a, b)

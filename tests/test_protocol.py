import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dotseg.evaluation.protocol import Protocol, ProtocolLogits, by_protocol, merge_windows, window_starts
from dotseg.method.refine import DiscrepancyConfig
from dotseg.segmentation import pipeline
from dotseg.segmentation.segmenter import Segmenter


class Patches:
    "Logits of patches of 4 pixels: the mean of a channel each; says what it was shown."

    def __init__(self, image_size=None):
        self.seen = []
        if image_size:
            self.image_size = image_size

    def __call__(self, images, classes):
        self.seen.append((tuple(images.shape), getattr(self, "image_size", None)))
        return F.avg_pool2d(images, 4, ceil_mode=True)[:, torch.arange(len(classes)) % 3] + torch.arange(len(classes)).view(-1, 1, 1) / 10


def protocol_logits(source, image, classes, protocol=Protocol(), batch_size=8):
    return ProtocolLogits(source, protocol, batch_size)(image[None], classes)[0]


def segment_image(segmenter, picture, classes, protocol=Protocol()):
    return by_protocol(segmenter, protocol)(picture, classes)


def attention(images, grid):
    n = grid[0] * grid[1]
    return torch.eye(n).expand(len(images), n, n)


def noise(*size):
    return torch.rand(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("wrong, about", [
    (dict(image_size=0), "image_size: got 0"), (dict(short=336.0), "short: got 336.0"), (dict(crop=8), "crop, stride: got 8 and None"), (dict(stride=8), "crop, stride"),
    (dict(crop=8, stride=9), "at most the crop"), (dict(image_size=8, short=8), "image_size: got 8"), (dict(image_size=8, crop=8, stride=4), "image_size: got 8"),
    (dict(background_threshold=1.5), "threshold: got 1.5"), (dict(background_threshold=math.nan), "threshold"), (dict(scale=0), "scale: got 0"), (dict(scale=math.inf), "scale"),
])
def test_protocol_refuses(wrong, about):
    with pytest.raises(ValueError, match=about):
        Protocol(**wrong)


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 100))
def test_windows_cover_an_axis(size, crop, stride):
    crop = min(size, crop)
    stride = min(crop, stride)
    starts = window_starts(size, crop, stride)
    assert starts[0] == 0 and starts[-1] == size - crop and len(starts) == max(size - crop + stride - 1, 0) // stride + 1  # as many as the field's
    assert set().union(*(range(s, s + crop) for s in starts)) == set(range(size))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_merge_against_pixels(data):
    "Any windows, patches of p pixels: paint, count, average over cells."
    p, patches, stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    crop = p * patches
    stride = min(stride, crop)
    size = tuple(data.draw(st.integers(crop, 3 * crop)) for _ in "hw")
    corners = [(y, x) for y in window_starts(size[0], crop, stride) for x in window_starts(size[1], crop, stride)]
    parts = noise(len(corners), 2, patches, patches)
    merged = merge_windows(parts, corners, (crop, crop), size)
    h, w = merged.shape[-2:]
    total, count = torch.zeros(2, *size, dtype=torch.float64), torch.zeros(1, *size, dtype=torch.float64)
    for part, (y, x) in zip(parts, corners):
        total[:, y : y + crop, x : x + crop] += part.repeat_interleave(p, 1).repeat_interleave(p, 2)
        count[:, y : y + crop, x : x + crop] += 1
    fine = lambda x: F.adaptive_avg_pool2d(x.repeat_interleave(h, 1).repeat_interleave(w, 2)[None], (h, w))[0]
    torch.testing.assert_close(merged, fine(total) / fine(count))


def test_merge_refuses():
    with pytest.raises(ValueError, match="parts"):
        merge_windows(torch.zeros(2, 1, 2, 2), [(0, 0)], (4, 4), (4, 4))


def test_one_window_is_the_whole():
    source, image = Patches(), noise(3, 16, 24).float()
    whole = protocol_logits(source, image, ["a", "b", "c"])
    torch.testing.assert_close(protocol_logits(source, image, ["a", "b", "c"], Protocol(crop=100, stride=50)), whole)
    torch.testing.assert_close(merge_windows(whole[None], [(0, 0)], (16, 24), (16, 24)), whole)


def test_windows_of_a_local_source_change_nothing():
    "A source whose patches do not see each other, windows on the grid: as without windows."
    source, image = Patches(), noise(3, 32, 48).float()
    torch.testing.assert_close(protocol_logits(source, image, ["a", "b"], Protocol(crop=16, stride=8), batch_size=4), protocol_logits(source, image, ["a", "b"]))
    assert [shape[0] for shape, _ in source.seen[:-1]] == [4, 4, 4, 3] and source.seen[0][0][1:] == (3, 16, 16)


@pytest.mark.parametrize("protocol, shape, image_size", [
    (Protocol(), (60, 80), 512), (Protocol(image_size=100), (60, 80), 100), (Protocol(short=30), (30, 40), math.sqrt(30 * 40)),
    (Protocol(crop=24, stride=12), (24, 24), 24), (Protocol(short=120, crop=64, stride=32), (64, 64), 64), (Protocol(crop=70, stride=70), (60, 70), math.sqrt(60 * 70)),
])
def test_what_the_models_are_shown(protocol, shape, image_size):
    source = Patches(image_size=512)
    protocol_logits(source, noise(3, 60, 80).float(), ["a"], protocol)
    assert {(seen[2:], s) for seen, s in source.seen} == {(shape, image_size)} and source.image_size == 512


def test_side_needs_a_source_that_has_one():
    with pytest.raises(ValueError, match="image_size: got 64, but Patches has no `image_size`"):
        protocol_logits(Patches(), noise(3, 8, 8).float(), ["a"], Protocol(image_size=64))


PICTURE = (noise(40, 56, 3) * 255).byte().numpy()


@pytest.mark.parametrize("mode", ["velocity", "path", "kl", "logits"])
@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a|x", "b", "c|y|z"]])
def test_as_the_segmenter(mode, classes):
    config = DiscrepancyConfig(mode=mode, confidence_threshold=0.0)
    plain = Segmenter(Patches(), attention, config)(PICTURE, classes)
    found = segment_image(Segmenter(Patches(), attention, config), PICTURE, classes)
    assert torch.equal(found.labels, plain.labels) and found.labels.dtype == plain.labels.dtype and found.kept == plain.kept
    assert found.settings == plain.settings | {"protocol": Protocol().__dict__}


def test_large_pictures_are_worked_on_smaller(monkeypatch):
    monkeypatch.setattr(pipeline, "MAX_PIXELS", 600)
    one = Segmenter(Patches(), attention, DiscrepancyConfig(mode="logits"))
    with pytest.warns(UserWarning, match="its mask has the full size"):
        plain = one(PICTURE, ["a", "b", "c"])
    found = segment_image(one, PICTURE, ["a", "b", "c"])
    assert found.labels.shape == (40, 56) and torch.equal(found.labels, plain.labels)


@pytest.mark.parametrize("threshold, scale", [(0.3, 10.0), (0.5, 40.0), (0.999, 40.0)])
def test_background(threshold, scale):
    "By hand: the largest softmax over names, not over classes, of logits resized to the image."
    one, classes = Segmenter(Patches(), attention, DiscrepancyConfig(mode="logits")), ["a|x|y", "b", "c"]
    names = ["a", "x", "y", "b", "c"]
    logits = one.logit_source(torch.tensor(PICTURE).permute(2, 0, 1)[None].float() / 255, names)
    sure = (scale * F.interpolate(logits, PICTURE.shape[:2], mode="bilinear")).softmax(1).amax(1)[0]
    plain, found = segment_image(one, PICTURE, classes), segment_image(one, PICTURE, classes, Protocol(background_threshold=threshold, scale=scale))
    assert torch.equal(found.labels, torch.where(sure < threshold, torch.zeros_like(plain.labels), plain.labels))


def test_many_classes_and_one_pixel():
    one = Segmenter(Patches(), attention, DiscrepancyConfig(mode="logits"))
    assert segment_image(one, PICTURE, [str(i) for i in range(300)]).labels.dtype == torch.int32
    assert segment_image(one, PICTURE[:1, :1], ["a"], Protocol(short=8, crop=4, stride=2)).labels.tolist() == [[0]]
    assert np.array_equal(segment_image(one, PICTURE[:1], ["a", "b"]).labels.shape, (1, 56))


def test_windows_of_several_images_are_kept_apart():
    source, images, protocol = Patches(), torch.stack([noise(3, 32, 48).float().roll(i, -1) for i in range(3)]), Protocol(crop=16, stride=8)
    together = ProtocolLogits(source, protocol, batch_size=5)(images, ["a", "b"])
    for image, logits in zip(images, together):
        torch.testing.assert_close(logits, protocol_logits(source, image, ["a", "b"], protocol))

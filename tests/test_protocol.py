import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dotseg.evaluation.protocol import PROTOCOLS, Protocol, ProtocolLogits, by_protocol, find_protocol, merge_windows, window_starts
from dotseg.method.measures import MEASURES
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


# as mmsegmentation does it: the same once more, in numpy and with loops, from what is written of it


def bilinear(x, size):
    "Along each axis, pixel i of n is read at (i + 0.5) m / n - 0.5, the edges held."
    for axis, n in enumerate(size):
        m = x.shape[axis]
        at = np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
        low = np.floor(at).astype(int)
        shape = [-1 if a == axis else 1 for a in range(x.ndim)]
        part = (at - low).reshape(shape)
        x = x.take(low, axis) * (1 - part) + x.take(np.minimum(low + 1, m - 1), axis) * part
    return x


class Cells:
    "Logits of whole cells of 4 pixels that see their window, as a tower that cuts off what does not fill a cell; k names."

    def __init__(self):
        self.image_size, self.tower = 512, type("Tower", (), {"patch": 4})()

    def __call__(self, images, classes):
        assert self.image_size == pytest.approx(math.sqrt(images.shape[-2] * images.shape[-1])) and not any(s % 4 for s in images.shape[-2:])
        return torch.stack([torch.tensor(cells(image.permute(1, 2, 0).double().numpy(), len(classes))).permute(2, 0, 1) for image in images]).float()


def cells(window, k):  # (H, W, 3) in [0, 1] -> (h, w, k)
    h, w = (s // 4 for s in window.shape[:2])
    patches = window[: 4 * h, : 4 * w].reshape(h, 4, w, 4, 3).mean((1, 3)) - window[: 4 * h, : 4 * w].mean((0, 1))
    return np.cos(patches @ np.arange(3 * k).reshape(3, k))


def resized(picture, short):  # (H, W, 3) uint8 -> what a source is shown, (H', W', 3) in [0, 1]
    shown = []
    ProtocolLogits(lambda images, classes: shown.append(images) or images[:, :1], Protocol(short=short, mmseg=True))(torch.tensor(picture).permute(2, 0, 1)[None].float() / 255, ["a"])
    x = shown[0][0].permute(1, 2, 0).double().numpy()
    factor = min(short / min(picture.shape[:2]), 2048 / max(picture.shape[:2]))
    want = bilinear(picture.astype(float), [int(s * factor + 0.5) for s in picture.shape[:2]])
    assert x.shape == want.shape and np.abs(255 * x - want).max() < 0.5001 and np.abs(255 * x - np.round(255 * x)).max() < 1e-4
    return x


def theirs(picture, k, short, crop, stride):  # (H, W, 3) uint8 -> (H, W, k) the merged map at the size of the image
    x, size = resized(picture, short), picture.shape[:2]
    H, W = x.shape[:2]
    if crop is None:
        return bilinear(bilinear(cells(x, k), (H, W)), size)
    total, count = np.zeros((H, W, k)), np.zeros((H, W, 1))
    for i in range(max(H - crop + stride - 1, 0) // stride + 1):
        for j in range(max(W - crop + stride - 1, 0) // stride + 1):
            bottom, right = min(i * stride + crop, H), min(j * stride + crop, W)
            top, left = max(bottom - crop, 0), max(right - crop, 0)
            window = x[top:bottom, left:right]
            total[top:bottom, left:right] += bilinear(cells(window, k), window.shape[:2])
            count[top:bottom, left:right] += 1
    return bilinear(total / count, size)


@pytest.mark.parametrize("size", [(40, 56), (61, 45), (33, 33), (20, 200)])
@pytest.mark.parametrize("short, crop, stride", [(32, 24, 12), (45, 24, 12), (50, 24, 20), (50, 32, 32), (30, None, None), (43, None, None), (22, 40, 8)])
def test_mmseg_against_a_rewrite(size, short, crop, stride):
    picture = (torch.rand((12, 40, 3), generator=torch.Generator().manual_seed(size[0])) * 255).byte().numpy().repeat(6, 0).repeat(5, 1)[: size[0], : size[1]]
    protocol, k = Protocol(short=short, crop=crop, stride=stride, mmseg=True), 4
    want = theirs(picture, k, short, crop, stride)
    image = torch.tensor(picture).permute(2, 0, 1).float() / 255
    found = ProtocolLogits(Cells(), protocol, batch_size=3, pixels=True)(image[None], ["a", "b", "c", "d"])[0]
    torch.testing.assert_close(found.permute(1, 2, 0).double(), torch.tensor(want), atol=2e-5, rtol=0)

    segmenter = Segmenter(Cells(), attention, DiscrepancyConfig(mode="logits"))  # with jbu, which the protocol leaves out
    classes, over_names = ["a", "b|c", "d"], np.exp(7 * want) / np.exp(7 * want).sum(-1, keepdims=True)
    threshold = float(np.quantile(over_names.max(-1), 0.3))
    with_background = Protocol(short=short, crop=crop, stride=stride, mmseg=True, background_threshold=threshold, scale=7.0)
    of_classes = np.stack([over_names[..., 0], over_names[..., 1:3].max(-1), over_names[..., 3]], -1)
    labels = np.where(over_names.max(-1) < threshold, 0, of_classes.argmax(-1))
    clear = (np.sort(of_classes, -1)[..., -1] - np.sort(of_classes, -1)[..., -2] > 1e-4) & (abs(over_names.max(-1) - threshold) > 1e-4)
    result = by_protocol(segmenter, with_background)(picture, classes)
    assert clear.mean() > 0.95 and (result.labels.numpy() == labels)[clear].all()
    assert 0.2 < (labels == 0).mean() < 1 and not result.settings["config"]["jbu"] and result.settings["protocol"]["mmseg"]


@pytest.mark.parametrize("mode", [mode for mode in MEASURES if mode != "logits"])
def test_measures_on_patches_get_the_mean_over_cells(mode):
    picture = (torch.rand((40, 56, 3), generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    segmenter = Segmenter(Cells(), lambda images, grid: torch.ones(len(images), grid[0] * grid[1], grid[0] * grid[1]), DiscrepancyConfig(mode=mode, confidence_threshold=0.0))
    one = by_protocol(segmenter, Protocol(short=40, crop=24, stride=12, mmseg=True))
    logits, _ = one.encode(picture, ["a", "b"])
    assert logits.shape == (2, 10, 14) and one.config.jbu
    pixels = torch.tensor(theirs(picture, 2, 40, 24, 12)).permute(2, 0, 1)
    torch.testing.assert_close(logits.double(), pixels.unflatten(1, (10, 4)).unflatten(3, (14, 4)).mean((2, 4)), atol=1e-4, rtol=0)
    assert one(picture, ["a", "b"]).labels.shape == (40, 56)


def test_the_resize_is_opencvs():
    "Half of it is arithmetic: OpenCV rounds its weights to 1/2048, so a value may be one grey level off."
    cv2 = pytest.importorskip("cv2")
    for size, short in (((75, 100), 67), ((100, 66), 67), ((48, 64), 90)):
        picture = (torch.rand((*size, 3), generator=torch.Generator().manual_seed(1)) * 255).byte().numpy()
        shown = resized(picture, short)
        off = np.abs(255 * shown - cv2.resize(picture, shown.shape[1::-1], interpolation=cv2.INTER_LINEAR))
        assert off.max() < 1.01 and (off < 0.01).mean() > 0.8


def test_protocols_by_name():
    datasets = ("voc21", "voc20", "context60", "context59", "coco_stuff", "coco_object", "cityscapes", "ade20k")
    with pytest.warns(UserWarning, match="sclip also drops classes of a small area"):
        table = {name: {dataset: find_protocol(name, dataset) for dataset in datasets} for name in PROTOCOLS}
    assert all(found.mmseg for row in table.values() for found in row.values())
    assert {name: [row[d].short for d in ("voc20", "coco_stuff", "cityscapes", "ade20k")] for name, row in table.items()} == {
        name: [336, 336, 560, 336] for name in PROTOCOLS} | {"sclip": [336, 448, 560, 336], "proxyclip": [336, 336, 448, 448]}
    assert {name: [row[d].background_threshold for d in ("voc21", "context60", "coco_object", "voc20")] for name, row in table.items()} == {
        name: [0.1, 0.1, 0.1, None] for name in PROTOCOLS} | {"proxyclip": [0.2, 0.15, 0.25, None], "sc-clip": [0.15, 0.15, 0.35, None]}
    assert {(name, d) for name, row in table.items() for d in datasets if row[d].crop is None} == {("naclip", "voc21"), ("naclip", "voc20"), ("cass", "voc21"), ("rf-clip", "voc21")}
    assert {name: [row[d].scale for d in ("voc21", "context60", "coco_object", "ade20k")] for name, row in table.items()} == {
        name: [40] * 4 for name in PROTOCOLS} | {"sclip": [65, 50, 50, 40], "sc-clip": [50, 40, 55, 40]}
    assert [find_protocol("proxyclip", d).crop for d in ("", "cityscapes")] == [336, 224]
    with pytest.raises(ValueError, match="protocol: got 'SCLIP', expected one of mmseg, sclip, naclip, proxyclip, sc-clip, cass, rf-clip"):
        find_protocol("SCLIP")

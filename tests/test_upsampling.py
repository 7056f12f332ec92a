import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dotseg.method.upsampling import area_average, joint_bilateral_upsample

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
SIZES = [(3, 4, 12, 8), (3, 5, 10, 13), (7, 5, 19, 8), (1, 6, 5, 17), (1, 1, 5, 6), (4, 4, 4, 4), (5, 3, 2, 7), (6, 7, 1, 1)]


def draw(k, h, w, H, W, seed=0, lead=()):
    g = torch.Generator().manual_seed(seed)
    maps = torch.randn(*lead, k, h, w, generator=g, dtype=torch.float64)
    return maps, torch.rand(*lead, 3, H, W, generator=g, dtype=torch.float64)


def reference(maps, image, sigma_s2=1.0, sigma_r2=0.1, radius=2):
    """Eq. 23 pixel by pixel, in numpy; cell colours by integrating the image exactly (it is piecewise constant)."""
    maps, image = maps.numpy(), image.numpy()
    (k, h, w), (_, H, W) = maps.shape, image.shape

    def integral(x, cells):  # along the last axis, at the cell borders
        total = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x, -1)], -1)
        at = np.arange(cells + 1) * x.shape[-1] / cells
        return np.apply_along_axis(lambda row: np.diff(np.interp(at, np.arange(len(row)), row)), -1, total)

    means = integral(np.swapaxes(integral(image, w), 1, 2), h).swapaxes(1, 2) / (H / h * W / w)
    out = np.zeros((k, H, W))
    for y in range(H):
        for x in range(W):
            p = ((y + 0.5) * h / H - 0.5, (x + 0.5) * w / W - 0.5)
            cell = (math.floor((y + 0.5) * h / H), math.floor((x + 0.5) * w / W))
            exponents, values = [], []
            for i in range(h):
                for j in range(w):
                    if max(abs(i - cell[0]), abs(j - cell[1])) <= radius:
                        space = (p[0] - i) ** 2 + (p[1] - j) ** 2
                        colour = ((image[:, y, x] - means[:, i, j]) ** 2).sum()
                        exponents.append(-space / sigma_s2 - colour / sigma_r2)
                        values.append(maps[:, i, j])
            weights = np.exp(np.array(exponents) - max(exponents))
            out[:, y, x] = weights @ np.array(values) / weights.sum()
    return torch.from_numpy(out)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", [{}, {"sigma_s2": 0.2, "sigma_r2": 0.01, "radius": 1}, {"radius": 0}, {"radius": 9}])
def test_matches_the_definition(size, options, device):
    maps, image = draw(2, *size)
    got = joint_bilateral_upsample(maps.to(device), image.to(device), **options)
    assert got.device.type == device
    assert_close(got.cpu(), reference(maps, image, **options), atol=1e-11, rtol=0)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from([1e-6, 0.01, 0.1, 10, math.inf]),
    st.sampled_from([1e-6, 1.0, 10]),
    st.integers(0, 3),
    st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_weights_are_a_partition_of_unity(size, sigma_r2, sigma_s2, radius, seed):
    maps, image = draw(*size, seed=seed)
    options = {"sigma_s2": sigma_s2, "sigma_r2": sigma_r2, "radius": radius}
    up = joint_bilateral_upsample(maps, image, **options)
    assert up.shape == (size[0], *size[3:]) and up.isfinite().all()
    assert (up.amin((1, 2)) >= maps.amin((1, 2)) - 1e-9).all() and (up.amax((1, 2)) <= maps.amax((1, 2)) + 1e-9).all()
    assert_close(joint_bilateral_upsample(maps * 0 + 3, image, **options), torch.full_like(up, 3))
    assert_close(joint_bilateral_upsample(maps.softmax(0), image, **options).sum(0), torch.ones_like(image[0]))
    assert_close(joint_bilateral_upsample(maps.flip(0) - 2 * maps, image, **options), up.flip(0) - 2 * up, atol=1e-9, rtol=0)


@pytest.mark.parametrize("flip", [-1, -2])
@pytest.mark.parametrize("size", [(4, 6, 16, 18), (5, 7, 12, 20), (3, 5, 10, 12)])  # no pixel centre on a cell border
def test_mirrored_input_gives_mirrored_output(size, flip):
    maps, image = draw(2, *size)
    mirrored = joint_bilateral_upsample(maps.flip(flip), image.flip(flip))
    assert_close(mirrored, joint_bilateral_upsample(maps, image).flip(flip))


def test_transposing_commutes():
    maps, image = draw(2, 4, 5, 11, 17)
    assert_close(joint_bilateral_upsample(maps.mT, image.mT), joint_bilateral_upsample(maps, image).mT)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float16, 1e-2), (torch.bfloat16, 1e-1)])
def test_precisions(dtype, tolerance, device):
    maps, image = draw(3, 5, 6, 20, 31)
    got = joint_bilateral_upsample(maps.to(device, dtype), image.to(device, dtype))
    assert got.dtype == torch.float32
    assert_close(got.cpu().double(), joint_bilateral_upsample(maps, image), atol=tolerance, rtol=0)


def test_batches_broadcast():
    maps, image = draw(3, 4, 5, 9, 11, lead=(2, 2))
    up = joint_bilateral_upsample(maps, image)
    for i in range(2):
        for j in range(2):
            assert_close(up[i, j], joint_bilateral_upsample(maps[i, j], image[i, j]))
    assert_close(joint_bilateral_upsample(maps, image[0, 0])[1, 1], joint_bilateral_upsample(maps[1, 1], image[0, 0]))
    assert_close(joint_bilateral_upsample(maps[0, 0], image)[1, 0], joint_bilateral_upsample(maps[0, 0], image[1, 0]))
    assert_close(joint_bilateral_upsample(maps[0, :1], image)[1, 1], joint_bilateral_upsample(maps[0, 0], image[1, 1]))


def test_mixed_precisions_follow_the_maps():
    maps, image = draw(3, 4, 5, 9, 11)
    assert joint_bilateral_upsample(maps, image.float()).dtype == torch.float64
    assert joint_bilateral_upsample(maps.float(), image).dtype == torch.float32


def test_inputs_are_left_alone_and_strides_do_not_matter():
    maps, image = draw(3, 4, 5, 9, 11)
    before = maps.clone(), image.clone()
    up = joint_bilateral_upsample(maps, image)
    assert_close((maps, image), before)
    channels_last = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert_close(joint_bilateral_upsample(maps.mT.contiguous().mT, channels_last), up)


def test_gradients():
    maps, image = draw(2, 3, 3, 7, 8)
    image = 0.1 + 0.8 * image
    torch.autograd.gradcheck(joint_bilateral_upsample, (maps.requires_grad_(), image.requires_grad_()))


def test_underflowing_weights_fall_to_the_nearest_colour():
    image = torch.zeros(3, 20, 20)
    image[:, 5, 5] = 1
    values = torch.arange(25.0).reshape(1, 5, 5)
    up = joint_bilateral_upsample(values, image, sigma_r2=1e-6)
    assert up.isfinite().all() and up[0, 5, 5] == values[0, 1, 1]


@pytest.mark.parametrize("size", [(1, 1, 1, 1), (3, 2, 7, 9), (5, 4, 3, 3), (6, 6, 4, 9)])
def test_area_average_keeps_the_mean(size):
    h, w, H, W = size
    image = draw(1, h, w, H, W)[1]
    averaged = area_average(image, (h, w))
    assert averaged.shape == (3, h, w)
    assert_close(averaged.mean((1, 2)), image.mean((1, 2)))
    repeated = image.repeat_interleave(h, 1).repeat_interleave(w, 2)  # a common refinement of pixels and cells
    assert_close(averaged, F.avg_pool2d(repeated, (H, W)))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"maps": torch.full((2, 4, 4), torch.nan)}, "maps: .*NaN"),
        ({"maps": torch.full((2, 4, 4), -torch.inf)}, "maps: got infinite"),
        ({"maps": torch.full((2, 4, 4), torch.inf)}, "maps: got infinite"),
        ({"maps": torch.zeros(4, 4)}, "maps: expected"),
        ({"maps": torch.zeros(2, 4, 4, dtype=torch.long)}, "maps: expected a floating"),
        ({"maps": np.zeros((2, 4, 4))}, "maps: expected"),
        ({"maps": torch.zeros(0, 4, 4)}, "maps: got shape .*, expected at least 1 k"),
        ({"maps": torch.zeros(2, 0, 4)}, "maps: got shape .*, expected at least 1 h"),
        ({"image": torch.zeros(3, 8, 0)}, "image: got shape .*, expected at least 1 W"),
        ({"image": torch.full((3, 8, 8), torch.nan)}, "image: .*NaN"),
        ({"image": torch.full((3, 8, 8), 1.01)}, "image: values lie in"),
        ({"image": torch.full((3, 8, 8), -0.01)}, "image: values lie in"),
        ({"image": torch.zeros(3, 8, 8, dtype=torch.uint8)}, "image: expected a floating"),
        ({"image": torch.zeros(1, 8, 8)}, "image: 3 is 1"),
        ({"image": torch.zeros(8, 8, 3)}, "image: 3 is 8"),
        ({"sigma_s2": 0}, "sigma_s2: got 0"),
        ({"sigma_r2": -1.0}, "sigma_r2: got -1"),
        ({"sigma_r2": math.nan}, "sigma_r2: got nan"),
        ({"radius": -1}, "radius: got -1"),
        ({"radius": 1.5}, "radius: got 1.5"),
    ],
)
def test_refuses(change, message):
    good = {"maps": torch.zeros(2, 4, 4), "image": torch.zeros(3, 8, 8)}
    with pytest.raises(ValueError, match=message):
        joint_bilateral_upsample(**(good | change))

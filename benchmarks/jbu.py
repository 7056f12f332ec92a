"""Joint bilateral upsampling: ours beside kornia and OpenCV, which filter maps that are enlarged already; the ratio is theirs over ours."""
import torch
import torch.nn.functional as F
from common import K, SIDE, compare, main, problem

from dotseg.method.upsampling import joint_bilateral_upsample


def jbu_by_shift(maps, image, r=2):  # Eq. 23, one shift of the window after the other, each for all pixels
    (k, h, w), (_, H, W) = maps.shape, image.shape
    means, total, out = F.avg_pool2d(image, (H // h, W // w)), torch.zeros(H, W), torch.zeros(k, H, W)
    py, px = (((torch.arange(size) + 0.5) * cells / size - 0.5) for size, cells in ((H, h), (W, w)))
    for i in range(-r, r + 1):
        for j in range(-r, r + 1):
            qy, qx = (py.round() + i)[:, None], px.round() + j
            y, x = qy.clamp(0, h - 1).long(), qx.clamp(0, w - 1).long()
            distance = (py[:, None] - qy) ** 2 + (px - qx) ** 2 + (image - means[:, y, x]).square().sum(0) / 0.1
            weight = torch.exp(-distance) * ((qy == y) & (qx == x))
            total, out = total + weight, out + weight * maps[:, y, x]
    return out / total


def kornia_blur(maps, image):  # at one size: kornia has no upsampling filter, and treats the border in another way
    from kornia.filters import joint_bilateral_blur
    return joint_bilateral_blur(maps[None], image[None], 5, 0.05**0.5, (0.5**0.5,) * 2, color_distance_type="l2")[0]


def opencv(maps, image):  # one map at a time, over rounder windows; the maps are at the image's size already
    from cv2 import ximgproc
    guide = image.permute(1, 2, 0).contiguous().numpy()
    return torch.stack([torch.from_numpy(ximgproc.jointBilateralFilter(guide, row.numpy(), 5, 0.05**0.5, 0.5**0.5)) for row in maps])


def rows(repeats, k=K, side=SIDE):
    _, _, maps, image = problem(k, side)
    upsample, large = lambda: joint_bilateral_upsample(maps, image), 16 * side
    half, wide, full = F.avg_pool2d(image, 2), *(F.interpolate(maps[None], scale_factor=s)[0] for s in (8, 16))
    yield from compare(f"upsample {side} to {large} | torch, shift by shift", "torch", repeats, None, 1e-4, upsample, lambda: jbu_by_shift(maps, image))
    yield from compare(f"upsample {side} to {large} | kornia, same taps at {large}", "kornia", repeats, ">= 3", None, upsample, lambda: kornia_blur(full, image), memory=">= 5")
    yield from compare(f"upsample {side} to {large} | OpenCV, map by map at {large}", "cv2", repeats, ">= 1", None, upsample, lambda: opencv(full, image))
    yield from compare(f"upsample {large // 2} to {large // 2} | kornia", "kornia", repeats, None, 1e-4, lambda: joint_bilateral_upsample(wide, half),
                       lambda: kornia_blur(wide, half), (..., slice(2, -2), slice(2, -2)))


if __name__ == "__main__":
    main("jbu", __doc__, rows, ("ours", "peer"))

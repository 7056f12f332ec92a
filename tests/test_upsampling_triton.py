"The kernel for GPUs, run by Triton's interpreter, which has to be asked for before Triton is imported: so in a process of its own."

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

AGAINST_THE_DEFINITION = """
import torch
from torch.testing import assert_close

from dotseg.method import upsampling as jbu
from test_upsampling import SIZES, draw, reference

asked = []
jbu._has_kernel = lambda maps, image: asked.append(maps.dtype) or maps.dtype == torch.float32
for size in SIZES + [(1, 2, 40, 33)]:
    for options in [{}, {"sigma_s2": 0.2, "sigma_r2": 0.01, "radius": 1}, {"radius": 0}, {"radius": 4}][: 4 if size[0] == 1 else 3]:
        maps, image = draw(2, *size)
        maps, image = maps.float(), image.float()
        got = jbu.joint_bilateral_upsample(maps, image, **options)
        assert_close(got.double(), reference(maps.double(), image.double(), **options), atol=2e-6 / options.get("sigma_r2", 0.1), rtol=0)
maps, image = draw(35, 2, 3, 5, 8, lead=(2, 2))  # more classes than one program takes; leading axes that broadcast
maps, image = maps.float(), image.float()
for a, b in [(maps, image), (maps, image[0, 0]), (maps[0, 0], image), (maps.mT.contiguous().mT, image.mT.contiguous().mT)]:
    assert_close(jbu.joint_bilateral_upsample(a, b).double(), jbu.joint_bilateral_upsample(a.double(), b.double()), atol=2e-5, rtol=0)
image = torch.zeros(3, 20, 20)
image[:, 5, 5] = 1
values = torch.arange(25.0).reshape(1, 5, 5)
up = jbu.joint_bilateral_upsample(values, image, sigma_r2=1e-6)  # far from every colour around it
assert up.isfinite().all() and up[0, 5, 5] == values[0, 1, 1]
huge = jbu.joint_bilateral_upsample(values * 1e37, torch.zeros(3, 20, 20))  # up to 2.4e38, whose sum over a window is infinite
assert_close(huge / 1e37, jbu.joint_bilateral_upsample(values, torch.zeros(3, 20, 20)), atol=2e-5, rtol=0)
assert asked.count(torch.float32) > 30
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="no Triton for this system")
def test_kernel_matches_the_definition():
    env = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", AGAINST_THE_DEFINITION], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

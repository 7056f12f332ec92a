# %% BLOCK
from dotseg.method.upsampling import BLOCK

print(BLOCK)


# %% area_average
import torch
import torch.nn.functional as F
from dotseg.method.upsampling import area_average

row = torch.tensor([[[0.0, 3.0, 6.0]]])
print(area_average(row, (1, 2)).tolist(), F.interpolate(row[None], size=(1, 2), mode="area").tolist())


# %% joint_bilateral_upsample
import torch
from dotseg.method.upsampling import joint_bilateral_upsample

step = torch.tensor([[[0.0, 1.0]]], dtype=torch.float64)
flat = torch.full((3, 1, 4), 0.5, dtype=torch.float64)
print("one colour     ", [f"{v:.2g}" for v in joint_bilateral_upsample(step, flat)[0, 0].tolist()])

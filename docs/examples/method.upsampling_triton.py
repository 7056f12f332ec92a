# %% upsample_in_one_pass
import torch

from dotseg.method.upsampling import area_average
from dotseg.method.upsampling_triton import upsample_in_one_pass

if torch.cuda.is_available():  # a kernel for NVIDIA's GPUs
    maps, image = torch.rand(1, 2, 8, 8, device="cuda"), torch.rand(1, 3, 64, 64, device="cuda")
    means = area_average(image, (8, 8))
    print(upsample_in_one_pass(maps, image, means, sigma_s2=1, sigma_r2=0.1, radius=2).shape)

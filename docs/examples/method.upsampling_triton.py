# %% upsample_in_one_pass
import torch

from dotseg.method.upsampling_triton import upsample_in_one_pass

if torch.cuda.is_available():  # a kernel for NVIDIA's GPUs
    maps, image = torch.rand(1, 2, 8, 8, device="cuda"), torch.rand(1, 3, 64, 64, device="cuda")
    print(upsample_in_one_pass(maps, image, sigma_s2=1, sigma_r2=0.1, radius=2).shape)

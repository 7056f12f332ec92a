# %% MEAN
from dotseg.models.vit import MEAN

print(MEAN)


# %% STD
from dotseg.models.vit import STD

print(STD)


# %% DINOV2_B14
from dotseg.models.vit import DINOV2_B14

print(DINOV2_B14)


# %% DINOV2_B14_REG
from dotseg.models.vit import DINOV2_B14_REG

print(DINOV2_B14_REG)


# %% DINOV3_B16
from dotseg.models.vit import DINOV3_B16

print(DINOV3_B16)


# %% head_mean
import torch
from dotseg.models.vit import head_mean
from fastcore.test import test_eq

q, k = torch.full((1, 4, 21, 16), 100.0), torch.zeros(1, 4, 21, 16)
k[:, :, 0] = 10  # the class token alone answers
test_eq(head_mean(q, k, 5).max().item(), 0)


# %% hear_attention
import torch
from transformers import Dinov2Config, Dinov2Model

from dotseg.models.vit import head_mean, hear_attention

model = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)).eval()  # random weights
with torch.no_grad(), hear_attention([1], lambda layer, q, k, bias, scale: print(layer, head_mean(q, k, 1, bias, scale).shape)):
    model(torch.rand(1, 3, 56, 56))


# %% image_tower, global_layers
import torch
from transformers import Dinov2Config, Dinov2Model

from dotseg.models.vit import global_layers, image_tower

model = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)).eval()  # random weights
print(global_layers(image_tower(model)))


# %% VitAttention
from dotseg.models.vit import VitAttention
from fastcore.test import expect_fail
from torch import nn

with expect_fail(ValueError, contains="model: got Linear, expected a plain vision transformer of transformers"):
    VitAttention(nn.Linear(2, 2))


# %% folder_colours
from pathlib import Path

import torch
from transformers import Dinov2Config, Dinov2Model

from dotseg.models.vit import folder_colours

model = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)).eval()  # random weights
model.save_pretrained("vit")
print(folder_colours(Path("vit"), "dinov2"))


# %% read_config, read_model
import torch
from transformers import Dinov2Config, Dinov2Model

from dotseg.models.vit import read_config, read_model

model = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)).eval()  # random weights
model.save_pretrained("vit")
folder, config, kind = read_config("ViT", "vit")
print(kind, type(read_model("ViT", folder, config)).__name__)


# %% load_vit
import torch
from transformers import Dinov2Config, Dinov2Model

from dotseg.models.vit import load_vit

model = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)).eval()  # random weights
model.save_pretrained("vit")
attention = load_vit("vit")
print(attention(torch.rand(1, 3, 56, 56), (4, 4)).shape)


# %% check_colours
from dotseg.models.checkpoints import CheckpointError
from dotseg.models.vit import check_colours

print(check_colours("folder", [0.5, 0.5, 0.5], [0.2, 0.2, 0.2]))
try:
    check_colours("folder", [0.5, 0.5, 0.5], [0.2, 0.2, 0.0])
except CheckpointError as error:
    print(error)

# %% CLIP_B16
from dotseg.models.clip_files import CLIP_B16

print(CLIP_B16)


# %% CLIP_L14
from dotseg.models.clip_files import CLIP_L14

print(CLIP_L14)


# %% named_description, check_description
from dotseg.models.clip_files import check_description, named_description

description = named_description("ViT-B-16")
check_description(description, "ViT-B-16")
print(description["embed_dim"])


# %% from_transformers
from transformers import CLIPConfig, CLIPModel

from dotseg.models.clip_files import from_transformers

small = dict(hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
model = CLIPModel(CLIPConfig(text_config=small, vision_config=small | {"image_size": 32, "patch_size": 16}, projection_dim=8))
print(list(from_transformers(model.state_dict()))[:3])


# %% load_clip
import open_clip
import torch

from dotseg.models.clip_files import load_clip

torch.save(open_clip.create_model("ViT-S-32").state_dict(), "clip.pt")  # random weights
model, tokenize = load_clip("clip.pt", "ViT-S-32")

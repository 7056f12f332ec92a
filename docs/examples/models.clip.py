# %% INTERPOLATION
from dotseg.models.clip import INTERPOLATION

print(INTERPOLATION)


# %% LAST_ATTENTION
from dotseg.models.clip import LAST_ATTENTION

print(LAST_ATTENTION)


# %% VisionTower
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.clip import VisionTower

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
tower = VisionTower(model)


# %% project_qkv
import torch

from dotseg.miniature.embedded import build_clip
from dotseg.models.clip import project_qkv

block = build_clip().visual.transformer.resblocks[0]
x = torch.rand(1, 5, block.attn.embed_dim)  # a class token and four patches
queries, keys, values = project_qkv(block, x)
print(keys.shape)


# %% self_attention, last_block
import torch

from dotseg.miniature.embedded import build_clip
from dotseg.models.clip import VisionTower, last_block, self_attention

tower = VisionTower(build_clip())
inputs, grid = tower(torch.rand(1, 3, 128, 128), 128)  # what enters each block
block, x = tower.blocks[0], inputs[0]
attention = self_attention(block, x, "qk")
print(attention.shape, (last_block(block, x, attention) - inputs[1]).abs().max())  # as the block itself


# %% mean_attention
import torch

from dotseg.miniature.embedded import build_clip
from dotseg.models.clip import mean_attention

block = build_clip().visual.transformer.resblocks[0]
x = torch.rand(1, 5, block.attn.embed_dim)  # a class token and four patches
print(mean_attention([block, block], [x, x], "kk").shape)


# %% without_class_token
import torch

from dotseg.models.clip import without_class_token

print(without_class_token(torch.full((1, 1, 3, 3), 1 / 3)))


# %% near_patches
from dotseg.models.clip import near_patches

print(near_patches((2, 2), spread=1.0))


# %% ClipLogits
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.clip import ClipLogits

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
source = ClipLogits(model, tokenize, "origin")


# %% ClipAttention
from dotseg.miniature.embedded import load_miniature
from dotseg.models.clip import ClipAttention

clip_logits, unet_attention = load_miniature()
clip_attention, scores = ClipAttention(clip_logits.model), {}


# %% share_tower
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.clip import ClipAttention, ClipLogits, share_tower
from dotseg.models.prompts import PromptEncoder

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
encode = PromptEncoder(model, tokenize)
def make(kind="kk_mean", residual=True, image_size=None, model=model):
    source = ClipLogits(model, tokenize, kind, residual, image_size)
    source.prompts = encode
    return source
assert not share_tower(make(), ClipAttention(model, "kk", image_size=64))


# %% encode_once
import torch

from dotseg.miniature.embedded import load_miniature
from dotseg.models.clip import ClipAttention, encode_once

logits, _ = load_miniature()
found, attention = encode_once(logits, ClipAttention(logits.model, "kk", logits.image_size), torch.rand(1, 3, 128, 128), ["sky", "kite"])
print(found.shape, attention.shape)

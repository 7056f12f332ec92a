# %% SIGLIP2_B16
from dotseg.models.siglip import SIGLIP2_B16

print(SIGLIP2_B16)


# %% SiglipTokens, SiglipLogits
import torch
from transformers import SiglipConfig, SiglipModel

from dotseg.models.siglip import SiglipLogits, SiglipTokens

small = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
text = small | {"vocab_size": 64, "max_position_embeddings": 8, "projection_size": 32}
model = SiglipModel(SiglipConfig(text_config=text, vision_config=small | {"image_size": 64, "patch_size": 16}))  # random weights


class Letters:  # in place of the model's own tokenizer
    pad_token_id = 1

    def __call__(self, texts):
        return {"input_ids": [[ord(letter) % 62 + 2 for letter in text[:8]] for text in texts]}


source = SiglipLogits(model, SiglipTokens(Letters(), 8))
print(source(torch.rand(1, 3, 64, 64), ["sky", "kite"]).shape)


# %% load_siglip
from dotseg.models.checkpoints import CheckpointError
from dotseg.models.siglip import load_siglip

try:
    load_siglip("siglip-base-patch16-512")  # the folder of a model of transformers
except CheckpointError as error:
    print(error)

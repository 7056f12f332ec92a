# %% WEIGHTS
from dotseg.miniature.embedded import WEIGHTS

size = sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors"))


# %% CONTEXT
from dotseg.miniature.embedded import CONTEXT

print(CONTEXT)


# %% EXTRA_WORDS
from dotseg.miniature.embedded import EXTRA_WORDS

print(EXTRA_WORDS)


# %% MiniatureTokenizer
from dotseg.miniature.embedded import MiniatureTokenizer

tokenize = MiniatureTokenizer()


# %% build_clip
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()


# %% build_vae
from dotseg.miniature.embedded import build_clip, build_unet, build_vae

for name, build in (("CLIP", build_clip), ("autoencoder", build_vae), ("UNet", build_unet)):
    print(f"{name:12s}{sum(p.numel() for p in build().parameters()) / 1e6:5.2f} million parameters")


# %% build_unet
from dotseg.miniature.embedded import build_clip, build_unet, build_vae

for name, build in (("CLIP", build_clip), ("autoencoder", build_vae), ("UNet", build_unet)):
    print(f"{name:12s}{sum(p.numel() for p in build().parameters()) / 1e6:5.2f} million parameters")


# %% text_tokens
from dotseg.miniature.embedded import MiniatureTokenizer, load_miniature, text_tokens

logits, attention = load_miniature()
print(text_tokens(logits.model, MiniatureTokenizer()(["a page with a kite"])).shape)


# %% read_weights
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()


# %% load_miniature
from dotseg.miniature.embedded import load_miniature

clip_logits, unet_attention = load_miniature()

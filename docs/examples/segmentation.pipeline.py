# %% MAX_PIXELS
from dotseg.segmentation.pipeline import MAX_PIXELS

print(MAX_PIXELS)


# %% MAX_SCORES
from dotseg.segmentation.pipeline import MAX_SCORES

print(MAX_SCORES)


# %% working_size
from dotseg.segmentation.pipeline import working_size

for size, k in (((480, 640), 21), ((3000, 4000), 21), ((3000, 4000), 171), ((30, 4000), 21)):
    print(f"{size[1]} x {size[0]} pixels, {k} classes: segmented at {' x '.join(map(str, working_size(size, k)[::-1]))}")


# %% shrink
import numpy as np

from dotseg.segmentation.pipeline import shrink

print(shrink(np.zeros((3000, 4000, 3), dtype=np.uint8), k=21).shape)


# %% enlarge
import torch
from dotseg.segmentation.pipeline import enlarge
from fastcore.test import test_eq

test_eq(enlarge(torch.tensor([[0, 1], [2, 3]]), (3, 4)).tolist(), [[0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])


# %% Encoded
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.pipeline import Encoded, encode

logit_source, attention_source = load_miniature()
picture = draw_scene(4).image
(found,) = encode([picture], ["sky", "kite"], logit_source, attention_source)
assert isinstance(found, Encoded)
print(found.logits.shape, found.attention.shape)


# %% to_images
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene
from dotseg.segmentation.pipeline import encode, to_images
from torch.testing import assert_close

logit_source, attention_source = load_miniature()
pages = [draw_scene(LESSON_SEED + i).image for i in range(3)]
synonyms = encode(pages[:1], ["tree|flower", "sky"], logit_source, None)[0]
assert_close(synonyms.logits, logit_source(to_images(pages[:1]), ["tree|flower", "sky"])[0])


# %% encode_logits, encode_attention
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import draw_scene
from dotseg.segmentation.pipeline import encode_attention, encode_logits, to_images

logit_source, attention_source = load_miniature()
picture = draw_scene(4).image
images = to_images([picture])
logits = encode_logits(images, ["sky", "kite"], logit_source)
print(logits.shape, encode_attention(images, logits, attention_source).shape)


# %% encode
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.pipeline import encode

logit_source, attention_source = load_miniature()
pages = [draw_scene(LESSON_SEED + i).image for i in range(3)]
encoded = encode(pages, CLASSES, logit_source, attention_source)


# %% rows_for
from dotseg.method.background import Background
from dotseg.method.refine import DiscrepancyConfig
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.pipeline import rows_for

rows, config = rows_for(["kite", "house"], DiscrepancyConfig("path", scale=15.0, confidence_threshold=0.5, background=Background(CLASSES)))


# %% label
from dotseg.method.background import Background
from dotseg.method.refine import DiscrepancyConfig
from dotseg.miniature.embedded import load_miniature
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, draw_scene
from dotseg.segmentation.pipeline import encode, label, rows_for

logit_source, attention_source = load_miniature()
pages = [draw_scene(LESSON_SEED + i).image for i in range(3)]
rows, config = rows_for(["kite", "house"], DiscrepancyConfig("path", scale=15.0, confidence_threshold=0.5, background=Background(CLASSES)))
labels, found = label(encode(pages[:1], rows, logit_source, attention_source)[0], pages[0].shape[:2], config)

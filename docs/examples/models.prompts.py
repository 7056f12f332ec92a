# %% FILE_ENDINGS
from dotseg.models.prompts import FILE_ENDINGS

print(FILE_ENDINGS)


# %% check_classes
from dotseg.models.prompts import check_classes
from fastcore.test import test_eq

test_eq(check_classes([" sky", "a house "]), ["sky", "a house"])


# %% class_names
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.prompts import PromptEncoder, class_names

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
encode = PromptEncoder(model, tokenize)
offered = ["background|sky|water|grass|sand", "house", "tree"]
print(class_names(offered), "from", len(encode(offered)), "names")


# %% all_names
from dotseg.models.prompts import all_names
from fastcore.test import test_eq

test_eq(all_names(["sky|bed|wall", "sofa", "bed"]), ["sky", "bed", "wall", "sofa"])


# %% read_classes
from dotseg.models.prompts import read_classes
from fastcore.test import test_eq

test_eq(read_classes("cat|kitten, sofa | couch,traffic light"), ["cat|kitten", "sofa|couch", "traffic light"])


# %% PromptEncoder
from dotseg.miniature.embedded import MiniatureTokenizer, build_clip, read_weights
from dotseg.models.prompts import PromptEncoder

model, tokenize = read_weights(build_clip(), "clip"), MiniatureTokenizer()
encode = PromptEncoder(model, tokenize)


# %% best_synonym
import torch
from dotseg.models.prompts import best_synonym
from torch.testing import assert_close

three = torch.tensor([[[0.1, 0.4], [0.3, 0.2], [0.5, 0.6]]])  # three names on two patches
assert_close(best_synonym(three, ["sofa", "couch", "cat"]), three)

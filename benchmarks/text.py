"""Text side, 171 class names in 80 templates, ViT-B/16 with random weights: the second image beside the first; the ratio is second over first."""
from time import perf_counter

import torch
import torch.nn.functional as F
from common import main, row
from open_clip import CLIP, get_model_config, get_tokenizer
from torch.testing import assert_close

from dotseg.evaluation.datasets import DATASETS
from dotseg.models.clip import ClipLogits


def build(config=None):
    torch.manual_seed(0)
    model = CLIP(**(config or get_model_config("ViT-B-16"))).requires_grad_(False).eval()
    return ClipLogits(model, get_tokenizer("ViT-B-16"), image_size=model.visual.image_size[0])


def plainly(source, name):
    "All tokens of all prompts through open_clip, the mean of the unit vectors."
    rows = source.prompts.tokenize([template(name) for template in source.prompts.templates])
    with torch.no_grad():
        return F.normalize(F.normalize(source.model.encode_text(rows), dim=-1).mean(0), dim=0)


def rows(repeats, config=None, names=171):
    source, classes = build(config), [synonyms[0] for synonyms in DATASETS["coco_stuff"].classes][:names]
    assert len(set(classes)) == names
    images, encoded, seconds, looked_up = torch.rand(2, 1, 3, source.image_size, source.image_size, generator=torch.Generator().manual_seed(0)), [], [], []
    hook = source.model.transformer.register_forward_pre_hook(lambda module, args: encoded.append(len(args[0])))
    found, prompts = [], []
    for image in images:
        encoded.clear()
        begun = perf_counter()
        source.prompts(classes)  # what the next line does first of all, timed apart from the image's part
        seconds.append(1e3 * (perf_counter() - begun))
        found.append(source(image, classes))
        prompts.append(sum(encoded))
    for _ in range(repeats):
        begun = perf_counter()
        texts = source.prompts(classes)
        looked_up.append(1e3 * (perf_counter() - begun))
    hook.remove()
    for i in (0, names // 2, names - 1):
        assert_close(texts[i], plainly(source, classes[i]), atol=1e-5, rtol=0)
    assert prompts[0] == names * len(source.prompts.templates) and not found[0].equal(found[1])
    yield row("prompts through the text encoder: second image | first", prompts[1:], prompts[:1], "", [prompts[1] / prompts[0]], "<= 0")
    yield row("names to vectors: second image and later | first", looked_up, seconds[:1], "ms", [one / seconds[0] for one in looked_up])


if __name__ == "__main__":
    main("text", __doc__, rows, ("second", "first"))

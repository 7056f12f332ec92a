# %% WITHOUT_ATTENTION
from dotseg.evaluation.methods import WITHOUT_ATTENTION, WITH_ATTENTION

CONTROLS = {name: WITHOUT_ATTENTION[name][1] for name in ("f / max f", "f / max f, no NMS")} | {"kernel vote": WITH_ATTENTION["kernel vote"]}


# %% WITH_ATTENTION
from dotseg.evaluation.methods import WITHOUT_ATTENTION, WITH_ATTENTION

CONTROLS = {name: WITHOUT_ATTENTION[name][1] for name in ("f / max f", "f / max f, no NMS")} | {"kernel vote": WITH_ATTENTION["kernel vote"]}


# %% BASELINE
from dotseg.evaluation.methods import BASELINE

print(BASELINE)


# %% oracle_attention
import torch
from dotseg.evaluation.methods import oracle_attention

by_hand = oracle_attention(torch.tensor([[0, 1, 1, 1]]), (1, 2))


# %% measure_methods, summarise, format_table
from dotseg.evaluation.methods import format_table, measure_methods, summarise
from dotseg.miniature.picturebook import PictureBook
from dotseg.segmentation.segmenter import Segmenter

counts = measure_methods(Segmenter.from_preset("picturebook", device="cpu"), PictureBook("validation", 2))
print(format_table(summarise(counts)))

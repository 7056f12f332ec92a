# %% MEASURES_TRIED
from dotseg.evaluation.tuning import MEASURES_TRIED

print(MEASURES_TRIED)


# %% SCALES
from dotseg.evaluation.tuning import SCALES

print(SCALES)


# %% THRESHOLDS
from dotseg.evaluation.tuning import THRESHOLDS

print(THRESHOLDS)


# %% EPS
from dotseg.evaluation.tuning import EPS

print(EPS)


# %% TAUS
from dotseg.evaluation.tuning import TAUS

print(TAUS)


# %% OWNERSHIPS
from dotseg.evaluation.tuning import OWNERSHIPS

print(OWNERSHIPS)


# %% CONFIDENCES
from dotseg.evaluation.tuning import CONFIDENCES

print(CONFIDENCES)


# %% SIDE
from dotseg.evaluation.tuning import SIDE

print(SIDE)


# %% FEW
from dotseg.evaluation.tuning import FEW

print(FEW)


# %% variations
from dotseg.evaluation.tuning import variations
from dotseg.method.refine import DiscrepancyConfig

tried = list(variations(DiscrepancyConfig("path"), 100.0))


# %% Tuning, tune
from dotseg.evaluation.datasets import load_dataset
from dotseg.evaluation.tuning import Tuning, tune
from dotseg.segmentation.segmenter import Segmenter

found = tune(Segmenter.from_preset("picturebook", device="cpu"), load_dataset("picturebook")[:2], progress=False)
assert isinstance(found, Tuning)
print(found.before, found.after, found.chosen)

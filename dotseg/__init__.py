"""Training-free open-vocabulary segmentation, read off directly as the discrepancy from a uniform distribution."""

__version__ = "0.1.0"

from .jbu import joint_bilateral_upsample
from .logits import normalise, reject_early, suppress_non_maxima
from .path import kl_discrepancy, optimal_path
from .refine import DiscrepancyConfig, Scores, discrepancy, refine
from .segmenter import PRESETS, ImageError, Segmentation, Segmenter
from .sinkhorn import doubly_stochastic, sinkhorn
from .velocity import maximum_velocity

__all__ = [
    "PRESETS", "DiscrepancyConfig", "Explorer", "ImageError", "Scores", "Segmentation", "Segmenter", "discrepancy", "doubly_stochastic",
    "joint_bilateral_upsample", "kl_discrepancy", "maximum_velocity", "normalise", "optimal_path", "refine", "reject_early", "sinkhorn",
    "suppress_non_maxima",
]


def __getattr__(name):
    if name != "Explorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .explore import Explorer  # brings ipywidgets and matplotlib

    return Explorer

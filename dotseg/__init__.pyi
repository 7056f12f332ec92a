# The public names of the package, for `__init__.py`, type checkers and editors.
from .explore import Explorer as Explorer
from .images import ImageError as ImageError
from .jbu import joint_bilateral_upsample as joint_bilateral_upsample
from .logits import normalise as normalise, reject_early as reject_early, suppress_non_maxima as suppress_non_maxima
from .path import kl_discrepancy as kl_discrepancy, optimal_path as optimal_path
from .presets import PRESETS as PRESETS
from .refine import DiscrepancyConfig as DiscrepancyConfig, Scores as Scores, discrepancy as discrepancy, refine as refine
from .segmenter import Segmentation as Segmentation, Segmenter as Segmenter
from .sinkhorn import doubly_stochastic as doubly_stochastic, sinkhorn as sinkhorn
from .velocity import maximum_velocity as maximum_velocity

__version__: str

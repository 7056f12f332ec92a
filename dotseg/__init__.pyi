# The public names of the package, for `__init__.py`, type checkers and editors.
from .app.explorer import Explorer as Explorer
from .app.ray_workers import segment_folder as segment_folder
from .evaluation.datasets import DATASETS as DATASETS, DatasetError as DatasetError, load_dataset as load_dataset, load_folder as load_folder
from .evaluation.protocol import Protocol as Protocol
from .evaluation.runner import evaluate as evaluate
from .method.attention import attention_probs as attention_probs, merge_attention as merge_attention, resize_attention as resize_attention
from .method.background import Background as Background
from .method.contrast_vote import contrast_vote as contrast_vote
from .method.diagnostics import Diagnostics as Diagnostics
from .method.errors import DotsegError as DotsegError
from .method.logits import normalise as normalise, reject_early as reject_early, suppress_non_maxima as suppress_non_maxima
from .method.maximum_velocity import maximum_velocity as maximum_velocity
from .method.measures import (
    Alone as Alone, ContrastVote as ContrastVote, Fused as Fused, KernelVote as KernelVote, KLDivergence as KLDivergence, MaximumVelocity as MaximumVelocity, Measure as Measure, OptimalPath as OptimalPath,
    RawLogits as RawLogits)
from .method.optimal_path import kl_discrepancy as kl_discrepancy, optimal_path as optimal_path
from .method.proportional_fitting import doubly_stochastic as doubly_stochastic
from .method.refine import DiscrepancyConfig as DiscrepancyConfig, Scores as Scores, discrepancy as discrepancy, refine as refine
from .method.sinkhorn import sinkhorn as sinkhorn
from .method.upsampling import joint_bilateral_upsample as joint_bilateral_upsample
from .miniature.picturebook import CLASSES as CLASSES, LESSON_SEED as LESSON_SEED, draw_scene as draw_scene
from .models.checkpoints import CheckpointError as CheckpointError
from .models.clip import ClipAttention as ClipAttention, ClipLogits as ClipLogits
from .models.clip_files import load_clip as load_clip
from .models.diffusion import DiffusionAttention as DiffusionAttention, load_diffusion as load_diffusion
from .models.sources import AttentionSource as AttentionSource, LogitSource as LogitSource
from .models.vit import VitAttention as VitAttention, load_vit as load_vit
from .segmentation.images import ImageError as ImageError
from .segmentation.presets import PRESETS as PRESETS
from .segmentation.segmenter import Segmentation as Segmentation, Segmenter as Segmenter

__version__: str

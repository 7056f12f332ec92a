"""Training-free open-vocabulary segmentation, read off directly as the discrepancy from a uniform distribution."""

__version__ = "0.1.0"

import lazy_loader

# The names are listed in __init__.pyi, and a name's module is imported when it is first used: `dotseg --help` waits for no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

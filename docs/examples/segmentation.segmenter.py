# %% Segmenter
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook", device="cpu")
def broken(images, classes): raise AssertionError("this was done already")
idle = Segmenter(broken, broken, segmenter.config, segmenter.models)

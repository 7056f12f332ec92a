# %% STUFF
from dotseg.miniature.picturebook import STUFF

HALF = (*STUFF, "ball", "tree", "boat", "mushroom", "car")


# %% THINGS
from dotseg.miniature.picturebook import CLASSES, LESSON_SEED, THINGS, draw_scene

scene = draw_scene(LESSON_SEED)
inside = [(scene.labels == c).sum() if CLASSES[c] in THINGS else 0 for c in range(len(CLASSES))]


# %% CLASSES
from dotseg.miniature.picturebook import CLASSES

classes = [*CLASSES[:7], "kite"]  # what the page shows, and five names more


# %% SPLITS
from dotseg.miniature.picturebook import SPLITS

seeds = list(SPLITS.values())


# %% LESSON_SEED
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene

page = draw_scene(LESSON_SEED)


# %% FAILURE_SEED
from dotseg.miniature.picturebook import FAILURE_SEED, draw_scene

page = draw_scene(FAILURE_SEED)


# %% Scene
from dotseg.miniature.picturebook import Scene, draw_scene

scene = draw_scene(1500072)
assert isinstance(scene, Scene)
print(scene.image.shape, scene.labels.shape, scene.caption)


# %% draw_scene
from dotseg.miniature.picturebook import LESSON_SEED, draw_scene

page = draw_scene(LESSON_SEED)


# %% PictureBook
from dotseg.miniature.picturebook import PictureBook

book = PictureBook("validation", 200)

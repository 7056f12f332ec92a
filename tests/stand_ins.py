"Sources that need no models."
import torch
import torch.nn.functional as F


def levels(images, classes):
    light = F.interpolate(images.mean(1, keepdim=True), (3, 4), mode="area")
    return 1 - (light - torch.linspace(0, 1, len(classes))[:, None, None]).abs()


def itself(images, grid):
    return torch.eye(grid[0] * grid[1]).expand(len(images), -1, -1)

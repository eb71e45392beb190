"""Training of recipes in run folders."""

from zoo.training.run import Run
from zoo.training.trainer import build, extended, train

__all__ = ["Run", "build", "extended", "train"]

"""Training of recipes in run folders."""

from zoo.training.run import Run
from zoo.training.timing import Limit
from zoo.training.trainer import build, extended, train

__all__ = ["Limit", "Run", "build", "extended", "train"]

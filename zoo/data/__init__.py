"""Data sources: images in memory and from tensorflow-datasets, and views of them."""

from zoo.data.convert import get
from zoo.data.folder import folder
from zoo.data.memory import MemorySource
from zoo.data.named import described_training, named, shape_settings, splits
from zoo.data.source import Source
from zoo.data.tfds import attribute_names, tfds
from zoo.data.views import Binarized, WithPatch, for_model, with_shape_of

__all__ = [
    "Binarized",
    "MemorySource",
    "Source",
    "WithPatch",
    "attribute_names",
    "described_training",
    "folder",
    "for_model",
    "get",
    "named",
    "shape_settings",
    "splits",
    "tfds",
    "with_shape_of",
]

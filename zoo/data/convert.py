"""Conversion of data to a source."""

import tensorflow as tf

from zoo.data.memory import MemorySource, from_dataset
from zoo.data.source import Source
from zoo.inference import validation


def get(data) -> Source:
    """Returns the source that data stand for.

    Args:
        data: A ``Source``; images ``(n, height, width, channels)``; a pair of images and labels;
            or a ``tf.data.Dataset`` of images or of (image, label), batched or not.

    Raises:
        ValueError: If the data are none of these.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, tf.data.Dataset):
        return from_dataset(data)
    if isinstance(data, tuple) and len(data) == 2:
        return MemorySource(*data)
    if hasattr(data, "__array__"):
        return MemorySource(data)
    raise ValueError(
        "Data must be images (n, height, width, channels), a pair (images, labels), a "
        f"tf.data.Dataset or a zoo.data.Source; received: {validation.short(data)}."
    )

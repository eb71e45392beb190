"""Data source in memory: shuffling an epoch is one permutation, and a batch is one gather."""

import numpy as np
import tensorflow as tf

from zoo.catalog import described_attributes
from zoo.data.source import Source, index_batches
from zoo.inference import validation


class MemorySource(Source):
    """Data source of arrays.

    Args:
        images: ``(n, height, width, channels)``, floating-point in [0, 1] or uint8 in [0, 255],
            which takes a quarter of the memory.
        conditions: Labels ``(n,)``, integers of at least 0; values of k attributes ``(n, k)``, such
            integers too; float tensors ``(n, …)``; or None.
        classes: Names of the labels. Defaults to their numbers.
        attributes: {attribute: names of its values} in the order of the columns, or None.

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(self, images, conditions=None, classes=None, attributes=None):
        # The arrays share the memory of the tensors, from which batches are gathered.
        self._tensors = [tf.constant(_checked_images(np.asarray(images)))]
        if conditions is not None:
            conditions = _checked_conditions(np.asarray(conditions), len(self._tensors[0]))
            self._tensors.append(tf.constant(conditions))
        self._images, self._conditions = ([tensor.numpy() for tensor in self._tensors] + [None])[:2]
        self.image_shape = self._images.shape[1:]
        self.classes = self._names(classes)
        if attributes is not None:
            self.attributes = validation.attributes(attributes)
            _check_attributes(self._conditions, self.attributes)

    def _names(self, classes):
        if self._conditions is None or self._conditions.ndim > 1:
            return None
        used = int(self._conditions.max()) + 1
        names = tuple(map(str, range(used))) if classes is None else tuple(map(str, classes))
        if len(names) < used:
            raise ValueError(
                f"classes must name each of the {used} labels; received: {len(names)} names."
            )
        return names

    def __len__(self):
        return len(self._images)

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        """Returns batches, see ``Source.batches``."""

        def gather(rows):
            batch, *conditions = (tf.gather(tensor, rows) for tensor in self._tensors)
            if batch.dtype == tf.uint8:
                batch = tf.cast(batch, tf.float32) / 255
            return (batch, *conditions) if conditions else batch

        return index_batches(self, batch_size, seed, start_step, shard).map(gather)

    def first(self, n=None):
        """Returns the first n images and their conditions, see ``Source.first``."""
        images = self._images if n is None else self._images[: validation.positive_int(n)]
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        return images, None if self._conditions is None else self._conditions[:n]


def _checked_images(images):
    if images.dtype != np.uint8:
        return validation.images(images, images.shape[1:] if images.ndim == 4 else (0, 0, 0))
    if images.ndim != 4 or not images.size:
        raise ValueError(
            f"images must be of shape (n, height, width, channels); received: {images.shape}."
        )
    return images


def _checked_conditions(conditions, n):
    kind, shape = conditions.dtype.kind, conditions.shape
    if not shape or shape[0] != n:
        raise ValueError(
            f"Conditions must be one for each of {n} images; received: an array of shape {shape}."
        )
    if kind == "f" and conditions.ndim > 1:
        return conditions.astype(np.float32)
    if kind not in "iu" or conditions.ndim > 2 or conditions.min() < 0:
        raise ValueError(
            "Conditions must be integer labels (n,) of at least 0, integer attributes (n, k) of at "
            f"least 0, or float tensors (n, …); received: {conditions.dtype} of shape {shape}."
        )
    return conditions.astype(np.int32)


def _check_attributes(conditions, attributes):
    sizes = [len(values) for values in attributes.values()]
    whole = conditions is not None and conditions.dtype == np.int32
    if not whole or conditions.shape[1:] != (len(sizes),) or (conditions >= sizes).any():
        raise ValueError(
            f"Conditions must be integers (n, {len(sizes)}), the numbers of the values of the "
            f"attributes {described_attributes(attributes)}; received: "
            f"{validation.short(conditions)}."
        )


def from_dataset(dataset: tf.data.Dataset, classes=None, attributes=None) -> MemorySource:
    """Reads a ``tf.data.Dataset`` into memory.

    Args:
        dataset: Elements are images, pairs (image, condition), or dictionaries with "image" and
            perhaps "label", batched or not.
        classes: Names of the labels.
        attributes: As in ``MemorySource``.

    Raises:
        ValueError: If the elements are others, or there is none.
    """
    spec = dataset.element_spec
    if isinstance(spec, dict) and "image" in spec:
        dataset = dataset.map(
            lambda row: (row["image"], row["label"]) if "label" in row else row["image"]
        )
        spec = dataset.element_spec
    specs = spec if isinstance(spec, tuple) else (spec,)
    tensors = all(isinstance(part, tf.TensorSpec) for part in specs)
    if not 1 <= len(specs) <= 2 or not tensors or specs[0].shape.rank not in (3, 4):
        raise ValueError(
            "The elements of a data set must be images (height, width, channels) or pairs (image, "
            f"label); received: {spec}."
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("The data set must end; received: one that repeats without end.")
    batches = dataset if specs[0].shape.rank == 4 else dataset.batch(1000)
    parts = [part if isinstance(part, tuple) else (part,) for part in batches.as_numpy_iterator()]
    if not parts:
        raise ValueError("The data set must have at least one image; received: an empty one.")
    images, *conditions = (np.concatenate(column) for column in zip(*parts))
    if images.dtype == np.uint8 and images.max() == 1:
        images = images * np.uint8(255)  # Binary images, such as those of binarized_mnist.
    return MemorySource(images, *conditions, classes=classes, attributes=attributes)

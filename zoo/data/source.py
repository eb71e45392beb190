"""Interface of data sources, and the order of the images of sources with random access."""

import numpy as np
import tensorflow as tf

from zoo.inference import validation

# Largest size in bytes of the pixels that a source keeps in memory by default.
MEMORY = 2**30
CHANNELS = {"grayscale": 1, "rgb": 3}


class Source:
    """Data set of images, in the form that training, evaluation and calibration take.

    A subclass sets the attributes and implements ``__len__``, ``batches`` and ``first``. An element
    is an image, or a pair (image, condition), where the condition is an int32 label, int32
    ``(k,)`` of k attributes, or a float32 tensor.

    Attributes:
        image_shape: (height, width, channels).
        classes: Tuple of the names of the labels, or None if the images have no labels.
        attributes: {attribute: tuple of the names of its values} in the order of the columns, or
            None if the images have no attributes or their names are not known.
    """

    image_shape: tuple
    classes: tuple | None = None
    attributes: dict | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        raise NotImplementedError

    def batches(
        self, batch_size: int, seed: int | None = None, start_step: int = 0, shard=(0, 1)
    ) -> tf.data.Dataset:
        """Returns batches of images, or of (images, conditions).

        Args:
            batch_size: Images in a batch, those of all shards together.
            seed: None gives one pass in order, where the last batch may be smaller. An integer
                gives training data without end: a new order in each epoch, and only full batches.
                The same seed gives the same batches.
            start_step: Number of batches to skip, so that an interrupted training continues.
            shard: (index, count). Each of ``count`` workers reads its own slice of every batch.

        Returns:
            tf.data.Dataset of float32 ``(n, height, width, channels)`` in [0, 1], alone or with
            int32 ``(n,)``, int32 ``(n, k)`` or float32 ``(n, …)``.

        Raises:
            ValueError: If an argument is not as above, or a batch has more images than the source.
        """
        raise NotImplementedError

    def first(self, n: int | None = None) -> tuple:
        """Returns the first n images, or all, as arrays.

        Returns:
            (images, conditions): float32 ``(n, height, width, channels)`` in [0, 1], and int32
            ``(n,)``, int32 ``(n, k)``, float32 ``(n, …)`` or None.
        """
        raise NotImplementedError

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of full batches in an epoch.

        Raises:
            ValueError: If there is none.
        """
        if validation.positive_int(batch_size, "batch_size") > len(self):
            raise ValueError(
                f"batch_size must be at most {len(self)}, the number of images; received: "
                f"{batch_size}."
            )
        return len(self) // batch_size


def check_batches(batch_size, start_step, shard) -> None:
    """Validates arguments of ``Source.batches``.

    Raises:
        ValueError: If an argument is not as described there.
    """
    validation.positive_int(batch_size, "batch_size")
    if start_step:
        validation.positive_int(start_step, "start_step")
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(
            f"shard must be (index, count) with 0 <= index < count; received: {shard}."
        )


def index_batches(source: Source, batch_size, seed, start_step, shard) -> tf.data.Dataset:
    """Returns the row numbers of each batch, int64 ``(n,)``, for a source with random access.

    Arguments and errors as in ``Source.batches``.
    """
    check_batches(batch_size, start_step, shard)
    if seed is None:
        batches = tf.data.Dataset.range(len(source)).batch(batch_size).skip(start_step)
    else:
        batches = _shuffled(source, batch_size, validation.seed(seed), start_step)
    return batches if shard[1] == 1 else batches.map(lambda rows: slice_of(shard, rows)[0])


def _shuffled(source, batch_size, seed, start_step):
    steps, n = source.steps_per_epoch(batch_size), len(source)

    def epoch(number):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n, dtype=tf.int64), seed=tf.stack([seed, number])
        )
        return tf.data.Dataset.from_tensor_slices(
            tf.reshape(order[: steps * batch_size], [steps, batch_size])
        )

    first, skipped = divmod(start_step, steps)
    return (
        tf.data.Dataset.range(first, np.iinfo(np.int64).max // steps).flat_map(epoch).skip(skipped)
    )


def channels_of(color_mode: str) -> int:
    """Returns the number of channels of a ``color_mode``.

    Raises:
        ValueError: If it is not "rgb" or "grayscale".
    """
    if color_mode not in CHANNELS:
        raise ValueError(f"color_mode must be 'rgb' or 'grayscale'; received: {color_mode!r}.")
    return CHANNELS[color_mode]


def scaled(pixels, image_shape: tuple):
    """Returns float32 images ``(n, *image_shape)`` in [0, 1] of uint8 pixels."""
    return tf.cast(tf.ensure_shape(pixels, (None, *image_shape)), tf.float32) / 255


def slice_of(shard: tuple, *columns) -> tuple:
    """Returns a worker's slice of the rows of a batch.

    Args:
        shard: (index, count) of the worker.
        *columns: Tensors with a row for each image.
    """
    index, count = shard
    n = tf.shape(columns[0])[0]
    return tuple(column[n * index // count : n * (index + 1) // count] for column in columns)

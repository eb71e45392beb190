"""Data source that reads a prepared data set of tensorflow-datasets from the disk."""

import functools
import io

import numpy as np
import tensorflow as tf

from zoo.data.memory import MemorySource, from_dataset
from zoo.data.source import Source, check_batches, scaled, slice_of
from zoo.inference import validation
from zoo.utils import image_files

# Number of records in a block, which are shuffled among each other.
BUFFER = 10_000
# Number of images by which binary images are recognized.
LOOKED_AT = 100


class StreamSource(Source):
    """Data source of the records of a data set, which are decoded when their batch is read.

    Each epoch starts at a random record, and the records are shuffled within blocks of ``BUFFER``.
    The same seed gives the same batches, in another order than that of a source with random access.

    Args:
        builder: Builder of tensorflow-datasets, whose data are prepared.
        split: A split of it.
        fit: ``zoo.utils.image_files.Fit``, which makes images of one shape.
        labels: Name of the feature with the labels, a list of the names of features, which are
            attributes, or None for images without labels.
    """

    def __init__(self, builder, split: str, fit: image_files.Fit, labels=None):
        self._builder, self._split, self._fit = builder, split, fit
        self.image_shape, self._labels = fit.shape, labels
        features = builder.info.features
        if isinstance(labels, str):
            self.classes = tuple(features[labels].names)
        elif labels:
            self.attributes = {name: tuple(features[name].names) for name in labels}

    def __len__(self):
        return self._builder.info.splits[self._split].num_examples

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        """Returns batches, see ``Source.batches``. The next one is decoded in the background."""
        check_batches(batch_size, start_step, shard)
        if seed is None:
            records = self._records().skip(start_step * batch_size)
        else:
            records = self._shuffled(batch_size, validation.seed(seed), start_step)
        batches = records.batch(batch_size)
        if shard[1] > 1:
            batches = batches.map(lambda *columns: slice_of(shard, *columns))
        return batches.map(self._decoded, num_parallel_calls=2).prefetch(2)

    def first(self, n=None):
        """Returns the first n images and their labels, see ``Source.first``."""
        records = self._records() if n is None else self._records().take(validation.positive_int(n))
        parts = list(records.batch(BUFFER).map(self._decoded).as_numpy_iterator())
        parts = [part if isinstance(part, tuple) else (part,) for part in parts]
        images, *labels = (np.concatenate(column) for column in zip(*parts))
        return images, labels[0] if labels else None

    def in_memory(self) -> MemorySource:
        """Reads all images into memory."""
        parts = [
            (self._pixels(images), *labels)
            for images, *labels in self._records().batch(BUFFER).as_numpy_iterator()
        ]
        images, *labels = (np.concatenate(column) for column in zip(*parts))
        return MemorySource(images, *labels, classes=self.classes, attributes=self.attributes)

    def decoded_in_memory(self) -> MemorySource:
        """Reads all images into memory, decoded by TensorFlow, which is faster.

        They must have one shape.
        """
        records = self._builder.as_dataset(split=self._split, shuffle_files=False)
        return from_dataset(records.map(self._element), self.classes, self.attributes)

    def _records(self):
        """Returns (encoded image,) or (encoded image, condition) of all records, in order."""
        import tensorflow_datasets

        skip = {"image": tensorflow_datasets.decode.SkipDecoding()}
        records = self._builder.as_dataset(split=self._split, shuffle_files=False, decoders=skip)
        return records.map(self._element)

    def _element(self, record):
        """Returns (image,) or (image, condition) of a record of the data set."""
        if self.classes:
            return record["image"], tf.cast(record[self._labels], tf.int32)
        if self.attributes:
            values = [record[name] for name in self._labels]
            return record["image"], tf.cast(tf.stack(values), tf.int32)
        return (record["image"],)

    def _shuffled(self, batch_size, seed, start_step):
        steps = self.steps_per_epoch(batch_size)
        first, skipped = divmod(start_step, steps)
        records = self._records()

        def epoch(number):
            keys = tf.random.experimental.stateless_split(tf.stack([seed, number]), 2)
            # Each epoch starts elsewhere, so that each buffer holds other records.
            start = tf.random.stateless_uniform([], keys[0], maxval=len(self), dtype=tf.int64)
            rotated = records.skip(start).concatenate(records.take(start))

            def shuffled(buffer, columns):
                n = tf.shape(columns[0])[0]
                key = tf.random.experimental.stateless_fold_in(keys[1], buffer)
                order = tf.random.experimental.stateless_shuffle(tf.range(n), key)
                return tuple(tf.gather(column, order) for column in columns)

            buffers = rotated.batch(BUFFER).enumerate().map(shuffled)
            skip = tf.where(number == first, tf.constant(skipped * batch_size, tf.int64), 0)
            return buffers.unbatch().take(steps * batch_size).skip(skip)

        return tf.data.Dataset.range(first, np.iinfo(np.int64).max // steps).flat_map(epoch)

    def _decoded(self, images, labels=None):
        images = scaled(tf.numpy_function(self._pixels, [images], tf.uint8), self.image_shape)
        return images if labels is None else (images, labels)

    def _pixels(self, images):
        """Decodes images, uint8 ``(n, height, width, channels)``."""
        pixels = self._read(images)
        return pixels * np.uint8(255) if self._is_binary else pixels

    def _read(self, images):
        decoded = [self._fit.read(io.BytesIO(image)) for image in images]
        return np.asarray(decoded, np.uint8).reshape(len(images), *self.image_shape)

    @functools.cached_property
    def _is_binary(self):
        """Whether the images have the values 0 and 1, as those of binarized_mnist."""
        first = self._records().take(LOOKED_AT).batch(LOOKED_AT).as_numpy_iterator()
        return self._read(next(first)[0]).max() == 1

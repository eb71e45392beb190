"""From tensorflow-datasets, or from a ``tf.data.Dataset`` of a user's, to batches for training and evaluation.

A data set is held in memory, once, as arrays: shuffling an epoch is then one permutation, a batch
    is one gather, and a fresh
Bernoulli draw of each image costs no more than its random numbers. Every order and every draw is a
function of the seed and the epoch, so that a training that was interrupted goes on with the batches
that it would have seen.
"""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import tensorflow as tf

from zoo.inference import noise, validation

NAMES = ("binarized_mnist", "fashion_mnist", "mnist")


def load(
    source, split: str = "train", data_dir: str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a data set into memory.

    Args:
        source: a name of tensorflow-datasets with an "image" feature (``NAMES`` are the ones that
            the zoo trains on), or an unbatched ``tf.data.Dataset`` of images or of (image, label).
        split: a split of tensorflow-datasets, "train[:50000]" for instance; not used with a
            ``tf.data.Dataset``.
        data_dir: where tensorflow-datasets keeps its data. None is ``TFDS_DATA_DIR``, or else
            ``~/tensorflow_datasets``.

    Returns:
        (images, labels): float32 ``(n, height, width, channels)`` in [0, 1]; int32 ``(n,)``,
            float32 ``(n, …)`` where a tensor
        stands beside each image, or None.

    Raises:
        FileNotFoundError: where the data are neither on this machine nor to be downloaded.
        ValueError: where the source has no such name, no such split, or no images.
    """
    return _arrays(
        source if isinstance(source, tf.data.Dataset) else _read(source, split, data_dir)
    )


def binarize(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """One fixed Bernoulli draw of each image, with its grey values as means: image i's draw depends on seed + i alone."""
    flat = images.reshape(len(images), -1)
    draws = [
        noise.uniform(np.arange(start, min(start + 1000, len(flat))) + seed, flat.shape[1])
        < flat[start : start + 1000]
        for start in range(0, len(flat), 1000)
    ]
    return np.concatenate(draws).reshape(images.shape).astype(np.float32)


def batches(
    images,
    condition=None,
    *,
    batch_size: int,
    seed: int | None = None,
    dynamic: bool = False,
    first_epoch: int = 0,
):
    """A ``tf.data.Dataset`` of ``images`` or ``(images, condition)``, batched and prefetched.

    Args:
        images: float32 ``(n, height, width, channels)`` in [0, 1].
        condition: labels ``(n,)`` or tensors ``(n, …)`` beside the images, or None.
        batch_size: images a batch.
        seed: None gives one pass in order. A number gives training data without end, for
            ``fit(steps_per_epoch=n // batch_size)``: each epoch in a new order, whole batches only;
            the same seed gives the same batches.
        dynamic: whether to draw each pixel anew from a Bernoulli distribution, with its grey value
            as mean, each time that it is seen (dynamic binarization); needs a seed.
        first_epoch: the epoch to start with.
    """
    columns = (images,) if condition is None else (images, condition)
    if seed is None:
        if dynamic:
            raise ValueError(
                "Dynamic binarization draws anew in each epoch: give a seed, or binarize the images once."
            )
        return (
            tf.data.Dataset.from_tensor_slices(columns if condition is not None else images)
            .batch(batch_size)
            .prefetch(2)
        )
    columns = tuple(tf.constant(column) for column in columns)
    steps = steps_an_epoch(len(images), batch_size)

    def epoch(number):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([seed, number])
        )
        indices = tf.data.Dataset.from_tensor_slices(
            tf.reshape(order[: steps * batch_size], [steps, batch_size])
        )
        return indices.enumerate(number * steps)

    def batch(step, index):
        images, *condition = (tf.gather(column, index) for column in columns)
        if dynamic:
            draw = tf.random.stateless_uniform(tf.shape(images), seed=tf.stack([seed, -1 - step]))
            images = tf.cast(draw < images, tf.float32)
        return (images, *condition) if condition else images

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max // steps)
    return epochs.flat_map(epoch).map(batch).prefetch(2)


def steps_an_epoch(n: int, batch_size: int) -> int:
    """The number of whole batches of n images.

    Raises:
        ValueError: where there is none.
    """
    if batch_size > n:
        raise ValueError(f"A batch of {batch_size} images does not fit in a data set of {n}.")
    return n // batch_size


def _read(name, split, data_dir):
    """A data set of tensorflow-datasets, unbatched."""
    import tensorflow_datasets as tfds
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Our error repeats the reason of a failed download.
    try:
        builder = tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f"There is no data set {name!r} in tensorflow-datasets; the zoo uses {', '.join(NAMES)}."
        ) from error
    _prepare(builder)
    try:
        return builder.as_dataset(split=split, shuffle_files=False)
    except ValueError as error:
        splits = (
            f"{part} of {info.num_examples} images"
            for part, info in sorted(builder.info.splits.items())
        )
        raise ValueError(
            f"The data set {name} has no split {split!r}; it has {', '.join(splits)}."
        ) from error


def _prepare(builder):
    try:
        if not builder.is_prepared():
            # tensorflow-datasets goes on trying for minutes; a host without an address says at once
            # that there is no network.
            for url in builder.url_infos if not getproxies() else ():
                socket.getaddrinfo(urlsplit(url).hostname, None)
        builder.download_and_prepare()
    except Exception as error:  # Whatever the downloader meets, the remedy is the same.
        raise FileNotFoundError(
            f"The data set {builder.name} is not in {builder.data_path} and cannot be downloaded ({type(error).__name__}): "
            "copy it there from a machine that has it, or name the folder that holds it with TFDS_DATA_DIR or --data-dir."
        ) from error


def _arrays(dataset):
    spec = dataset.element_spec
    if isinstance(spec, dict) and "image" in spec:
        dataset = dataset.map(
            lambda row: (row["image"], row["label"]) if "label" in row else row["image"]
        )
        spec = dataset.element_spec
    specs = spec if isinstance(spec, tuple) else (spec,)
    if (
        not 1 <= len(specs) <= 2
        or not all(isinstance(part, tf.TensorSpec) for part in specs)
        or specs[0].shape.rank != 3
    ):
        raise ValueError(
            f"A data set has elements image or (image, label), image (height, width, channels), but this has {spec}."
        )
    parts = [
        part if isinstance(part, tuple) else (part,)
        for part in dataset.batch(1000).as_numpy_iterator()
    ]
    if not parts:
        raise ValueError("The data set is empty.")
    images, *labels = (np.concatenate(column) for column in zip(*parts))
    if images.dtype == np.uint8:
        images = images / np.float32(255 if images.max() > 1 else 1)
    images = validation.images(images, images.shape[1:])
    if not labels:
        return images, None
    (labels,) = labels
    if labels.dtype.kind in "iu" and labels.ndim == 1:
        return images, labels.astype(np.int32)
    if labels.dtype.kind == "f" and labels.ndim > 1:
        return images, labels.astype(np.float32)
    raise ValueError(
        f"Beside an image stands an integer label or a float tensor, not {labels.dtype} of shape {labels.shape[1:]}."
    )

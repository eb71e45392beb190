"""Differentiable augmentation of the images that the discriminator sees.

Real and generated images are changed by the same random operations, in the updates of both
networks, so that the discriminator cannot memorize a small data set, and the generator does not
learn to draw changed images (Zhao et al. 2020, arXiv 2006.10738, algorithm 1). A gradient flows
through each operation.
"""

import tensorflow as tf

from zoo.models import replicas


def _uniform(images, seed, low, high):
    """Returns a number for each image, ``(n, 1, 1, 1)``."""
    shape = [tf.shape(images)[0], 1, 1, 1]
    return replicas.uniform(shape, seed, low, high, images.dtype)


def color(images, seed):
    """Shifts brightness by up to 0.25, and multiplies saturation by 0 to 2, contrast by 0.5 to 1.5.

    Args:
        images: ``(n, height, width, channels)`` in [0, 1]. The result may exceed this range.
        seed: int ``(2,)``, as of all functions of this module.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    images = images + _uniform(images, seeds[0], -0.25, 0.25)
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = (images - grey) * _uniform(images, seeds[1], 0.0, 2.0) + grey
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return (images - mean) * _uniform(images, seeds[2], 0.5, 1.5) + mean


def translation(images, seed):
    """Shifts images by up to an eighth of their height and width, and fills the rest with black."""
    for axis, one in zip((1, 2), tf.unstack(tf.random.experimental.stateless_split(seed, 2))):
        size = images.shape[axis]
        most = size // 8
        paddings = [[0, 0], [0, 0], [0, 0], [0, 0]]
        paddings[axis] = [most, most]
        start = replicas.integers([tf.shape(images)[0], 1], one, 0, 2 * most + 1)
        rows = start + tf.range(size)[None]
        images = tf.gather(tf.pad(images, paddings), rows, axis=axis, batch_dims=1)
    return images


def cutout(images, seed):
    """Sets a rectangle of half the image's height and width to black.

    A part of the rectangle may lie outside the image.
    """
    inside = True
    for axis, one in zip((1, 2), tf.unstack(tf.random.experimental.stateless_split(seed, 2))):
        size = images.shape[axis]
        each = [tf.shape(images)[0], 1, 1, 1]
        start = replicas.integers(each, one, -(size // 4), size - size // 4 + 1)
        shape = [1, 1, 1, 1]
        shape[axis] = size
        place = tf.reshape(tf.range(size), shape)
        inside = inside & (place >= start) & (place < start + size // 2)
    return images * tf.cast(~inside, images.dtype)


def flip(images, seed):
    """Reflects half of the images, left to right."""
    turned = _uniform(images, seed, 0.0, 1.0) < 0.5
    return tf.where(turned, images[:, :, ::-1], images)


AUGMENTATIONS = {"color": color, "cutout": cutout, "flip": flip, "translation": translation}


def get(identifiers) -> tuple[str, ...]:
    """Validates the names of augmentations, in the order in which they are applied.

    Raises:
        ValueError: If it is not a sequence of keys of ``AUGMENTATIONS``.
    """
    if isinstance(identifiers, str) or not hasattr(identifiers, "__iter__"):
        identifiers = (identifiers,)
    names = tuple(identifiers)
    if not all(name in AUGMENTATIONS for name in names) or len(set(names)) < len(names):
        raise ValueError(
            f"augmentations must be some of {', '.join(AUGMENTATIONS)}; received: {names!r}."
        )
    return names


def apply(names, images, seed):
    """Applies augmentations to images ``(n, height, width, channels)``."""
    for i, name in enumerate(names):
        images = AUGMENTATIONS[name](images, tf.random.experimental.stateless_fold_in(seed, i))
    return images

"""Views of a data source: binarized images, and a part of each image as the condition."""

import numpy as np
import tensorflow as tf

from zoo.catalog import described_attributes
from zoo.data.source import Source
from zoo.inference import noise

# Rows whose random numbers are drawn at once.
ROWS = 1000


class View(Source):
    """Data source that changes the elements of another one.

    Args:
        source: The other source.
    """

    def __init__(self, source: Source):
        self.source = source
        self.image_shape = source.image_shape
        self.classes, self.attributes = source.classes, source.attributes

    def __len__(self):
        return len(self.source)


class Binarized(View):
    """Images of zeros and ones, drawn from Bernoulli distributions with the grey values as means.

    Training batches, which have a seed, are drawn anew each time that an image is used (dynamic
    binarization). A pass without a seed and ``first`` give one fixed draw of each image.
    """

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        """Returns batches, see ``Source.batches``."""

        def draw(step, element):
            images, *condition = element if isinstance(element, tuple) else (element,)
            uniform = (
                self._uniform_of_rows(images, step, batch_size, shard)
                if seed is None
                else self._uniform_of_step(step, batch_size, seed, shard)
            )
            images = tf.cast(uniform < tf.cast(images, uniform.dtype), tf.float32)
            return (images, *condition) if condition else images

        batches = self.source.batches(batch_size, seed, start_step, shard)
        return batches.enumerate(start_step).map(draw)

    def _uniform_of_step(self, step, batch_size, seed, shard):
        # The numbers of the whole batch, so that those of an image do not depend on the shards.
        index, count = shard
        drawn = tf.random.stateless_uniform(
            [batch_size, *self.image_shape], seed=tf.stack([seed, -1 - step])
        )
        return drawn[batch_size * index // count : batch_size * (index + 1) // count]

    def _uniform_of_rows(self, images, step, batch_size, shard):
        index, count = shard
        start = step * batch_size
        size = tf.minimum(tf.cast(batch_size, tf.int64), len(self) - start)
        rows = start + size * index // count + tf.range(tf.shape(images, tf.int64)[0])
        flat = noise.uniform_tensor(rows, int(np.prod(self.image_shape)))
        return tf.reshape(flat, [-1, *self.image_shape])

    def first(self, n=None):
        """Returns the first n images and their conditions, see ``Source.first``."""
        images, conditions = self.source.first(n)
        return binarize(images), conditions


def binarize(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draws binary images whose means are grey values, once for each image.

    Args:
        images: float ``(n, height, width, channels)`` in [0, 1].
        seed: Row i's draw depends on seed + i alone.

    Returns:
        float32 of the same shape, zeros and ones.
    """
    flat = images.reshape(len(images), -1)
    draws = [
        noise.uniform(np.arange(start, min(start + ROWS, len(flat))) + seed, flat.shape[1])
        < flat[start : start + ROWS]
        for start in range(0, len(flat), ROWS)
    ]
    return np.concatenate(draws).reshape(images.shape).astype(np.float32)


class WithPatch(View):
    """Pairs of an image and a part of it, for a model that is conditional on that part.

    Args:
        source: The source of the images; its own conditions are left out.
        at: (row, column) of the part's upper left pixel.
        shape: (height, width, channels) of the part.
    """

    def __init__(self, source, at, shape):
        super().__init__(source)
        self.classes = self.attributes = None
        (top, left), (height, width, _) = at, shape
        self._rows, self._columns = slice(top, top + height), slice(left, left + width)

    def _with_patch(self, images, *_):
        return images, images[:, self._rows, self._columns]

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        """Returns batches, see ``Source.batches``."""
        batches = self.source.batches(batch_size, seed, start_step, shard)
        return batches.map(self._with_patch)

    def first(self, n=None):
        """Returns the first n images and their conditions, see ``Source.first``."""
        return self._with_patch(*self.source.first(n))


def with_shape_of(source: Source, model) -> Source:
    """Returns a source, after the validation of the shape of its images.

    Raises:
        ValueError: If the images are of another shape than the model's.
    """
    if tuple(source.image_shape) != tuple(model.image_shape):
        raise ValueError(
            f"image_shape of the data must be {tuple(model.image_shape)}, that of the model; "
            f"received: {tuple(source.image_shape)}."
        )
    return source


def for_model(source: Source, model) -> Source:
    """Returns a source with the conditions that a model is trained and measured with.

    Args:
        source: Images and perhaps conditions.
        model: On any runtime. If it is conditional on a part of the image, the source's own
            conditions are replaced by that part.

    Raises:
        ValueError: If the images are of another shape than the model's, or a model that is
            conditional on a label or on attributes would get others or none.
    """
    with_shape_of(source, model)
    if model.condition_at:
        return WithPatch(source, model.condition_at, model.condition_shape)
    if model.attributes:
        _check_attributes(source, model)
    found = len(source.classes or ())
    if model.num_classes and not 0 < found <= model.num_classes:
        raise ValueError(
            f"The data must have labels from 0 to {model.num_classes - 1} for this conditional "
            f"model; received: {f'{found} classes' if found else 'images without labels'}."
        )
    return source


def _check_attributes(source, model):
    found = source.attributes
    if found is None:  # Their names are not known.
        _, values = source.first(1)
        if values is None or values.shape[1:] != model.condition_shape:
            raise ValueError(
                "The data must have a column for each attribute of this conditional model, "
                f"{', '.join(model.attributes)}; received: images with other conditions or none."
            )
    elif _listed(found) != _listed(model.attributes):
        raise ValueError(
            "The data must have the attributes of this conditional model, "
            f"{described_attributes(model.attributes)}; received: {described_attributes(found)}."
        )


def _listed(attributes) -> list:
    return [(name, list(values)) for name, values in attributes.items()]

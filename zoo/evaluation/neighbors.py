"""Metrics by nearest neighbours: 1-NN test error (Radford et al. 2015) and shares of classes."""

import numpy as np
import tensorflow as tf

from zoo.evaluation.metric import Metric, percent, percent_of

# Samples drawn at once: a multiple of any small number of classes, and their distances to 10,000
# images fit in memory.
CHUNK = 20_000
# References compared at once with all queries, so that the distances stay small.
ROWS = 2_000


class NearestClass:
    """Class of the nearest reference, in Euclidean distance of pixels.

    The references can be given in any number of parts.

    Args:
        queries: float ``(n, height, width, channels)``.
        num_classes: Number of labels.
    """

    def __init__(self, queries, num_classes: int):
        self._queries = tf.constant(_flat(queries))
        self._nearest = np.full((num_classes, len(queries)), np.inf, np.float32)

    def add(self, images, labels) -> None:
        """Adds references and their labels ``(n,)``."""
        flat, labels = _flat(images), np.asarray(labels)
        for label in np.unique(labels):
            of_label = flat[labels == label]
            for start in range(0, len(of_label), ROWS):
                found = _least(self._queries, of_label[start : start + ROWS]).numpy()
                np.minimum(self._nearest[label], found, out=self._nearest[label])

    def labels(self) -> np.ndarray:
        """Returns the label of each query's nearest reference so far, int64 ``(n,)``."""
        return self._nearest.argmin(axis=0)


def _flat(images):
    return np.reshape(images, (len(images), -1)).astype(np.float32)


@tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None, None])])
def _least(queries, references):
    """Returns the least |x − c|² − |x|² over the references c, ``(queries,)``.

    |x|² is left out because it is the same for all references.
    """
    squares = tf.reduce_sum(tf.square(references), axis=1)
    return tf.reduce_min(squares - 2 * tf.matmul(queries, references, transpose_b=True), axis=1)


class NearestNeighbor(Metric):
    """Test error of a 1-nearest-neighbor classifier whose training set is samples, in percent.

    Args:
        real: Whether its training set is the real training images instead, for comparison.
    """

    needs_labels = True

    def __init__(self, real: bool = False):
        self.real = real
        self.methods = () if real else ("sample",)
        self.splits = ("test", "train") if real else ("test",)

    def validate(self, model, data):
        """Validates that the images and the model have labels."""
        super().validate(model, data)
        if not model.num_classes:
            raise ValueError(
                "nearest_neighbor must be measured on a model that is conditional on a label; "
                "received: one without num_classes."
            )

    def measure(self, model, data, *, samples=50_000, progress=None):
        """Measures with ``samples`` samples, of seeds 0, 1, 2, … and the classes in turn."""
        images, labels = data.images("test").first()
        nearest = NearestClass(images, model.num_classes)
        if self.real:
            nearest.add(*data.images("train").first())
            fitted_on = "the real training images"
        else:
            _add_samples(nearest, model, samples, progress)
            fitted_on = f"{samples:,} samples, the classes in turn,"
        wrong = nearest.labels() != labels
        return percent_of(wrong) | {
            "split": data.described("test"),
            "protocol": f"percent of images that a 1-NN classifier on {fitted_on} gets wrong; "
            "Euclidean distance of grey pixels",
        }


def _add_samples(nearest, model, samples, progress):
    for start in range(0, samples, CHUNK):
        seeds = np.arange(start, min(start + CHUNK, samples))
        nearest.add(model.sample(len(seeds), seed=start), seeds % model.num_classes)
        if progress:
            progress(start + len(seeds), samples)


class SmallestShare(Metric):
    """Share of the samples that the rarest class has, in percent.

    The class of a sample is that of the nearest training image.
    """

    methods = ("sample",)
    splits = ("train",)
    needs_labels = True
    higher_is_better = True
    which, of_shares = "smallest", np.min

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples, of seeds 0, 1, 2, …; this takes seconds."""
        shares = class_shares(model.sample(samples), *data.images("train").first())
        all_shares = ", ".join(f"{100 * share:.1f}" for share in shares)
        return percent(type(self).of_shares(shares), samples) | {
            "split": data.described("train"),
            "protocol": f"percent, the {self.which} share of {samples:,} samples that a class has; "
            "the class of a sample is that of the nearest training image, Euclidean distance of "
            f"grey pixels; the classes in turn have {all_shares}",
        }


class LargestShare(SmallestShare):
    """Share of the samples that the most frequent class has, in percent.

    The class of a sample is that of the nearest training image.
    """

    higher_is_better = False
    which, of_shares = "largest", np.max


def class_shares(samples, images, labels) -> np.ndarray:
    """Computes the share of samples ``(num_classes,)`` whose nearest image has each label."""
    classes = labels.max() + 1
    nearest = NearestClass(samples, classes)
    nearest.add(images, labels)
    return np.bincount(nearest.labels(), minlength=classes) / len(samples)


METRICS = {
    "nearest_neighbor": NearestNeighbor(),
    "nearest_neighbor_real": NearestNeighbor(real=True),
    "smallest_share": SmallestShare(),
    "largest_share": LargestShare(),
}

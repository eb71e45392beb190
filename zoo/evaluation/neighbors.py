"""Metrics by nearest neighbours of samples: the 1-NN test error of Radford et al. 2015, and coverage."""

import numpy as np
import tensorflow as tf

from zoo import datasets
from zoo.recipes import Recipe

# Samples drawn at once: a multiple of any small number of classes, and their distances to 10,000
# images fit in the memory.
CHUNK = 20_000
# References compared at once with all queries, so that the distances stay small.
ROWS = 2_000


class NearestClass:
    """The class of the nearest reference, in Euclidean distance of pixels, for references that come in any number of parts.

    Args:
        queries: float ``(n, height, width, channels)``.
        num_classes: number of labels.
    """

    def __init__(self, queries, num_classes: int):
        self._queries = tf.constant(_flat(queries))
        self._nearest = np.full((num_classes, len(queries)), np.inf, np.float32)

    def see(self, images, labels) -> None:
        """Takes references and their labels ``(n,)`` into account."""
        flat, labels = _flat(images), np.asarray(labels)
        for label in np.unique(labels):
            of_label = flat[labels == label]
            for start in range(0, len(of_label), ROWS):
                found = _least(self._queries, of_label[start : start + ROWS]).numpy()
                np.minimum(self._nearest[label], found, out=self._nearest[label])

    def labels(self) -> np.ndarray:
        """The label of each query's nearest reference so far: int64 ``(n,)``."""
        return self._nearest.argmin(axis=0)


def _flat(images):
    return np.reshape(images, (len(images), -1)).astype(np.float32)


@tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None, None])])
def _least(queries, references):
    """The least of |x - c|² over the references c, less |x|², which decides nothing: ``(queries,)``."""
    squares = tf.reduce_sum(tf.square(references), axis=1)
    return tf.reduce_min(squares - 2 * tf.matmul(queries, references, transpose_b=True), axis=1)


def nearest_neighbor(
    model, recipe: Recipe, *, samples: int | None, split: str = "test", data_dir=None, progress=None
) -> dict:
    """Test error of a 1-NN classifier whose training set is what a conditional model draws.

    Args:
        model: conditional on a label, on any runtime.
        recipe: how it was trained.
        samples: how many to draw, of seeds 0, 1, 2 … and the classes in turn; None takes the
            model's real training images instead, for comparison.
        split: a split of the recipe's data set, of which each image is classified.
        data_dir: where tensorflow-datasets keeps its data.
        progress: called with the numbers of references seen and of all.

    Returns:
        {value, stderr, n, split, protocol}, in percent.
    """
    images, labels = datasets.load(recipe.dataset, split, data_dir)
    nearest = NearestClass(images, model.num_classes)
    if samples is None:
        nearest.see(*datasets.load(recipe.dataset, recipe.split, data_dir))
    for start in range(0, samples or 0, CHUNK):
        seeds = np.arange(start, min(start + CHUNK, samples))
        nearest.see(model.sample(len(seeds), seed=start), seeds % model.num_classes)
        if progress:
            progress(start + len(seeds), samples)
    drawn = (
        "the real training images"
        if samples is None
        else f"{samples:,} samples, the classes in turn,"
    )
    wrong = nearest.labels() != labels
    return _percent(wrong.mean(), len(wrong)) | {
        "split": split,
        "protocol": f"percent of images that a 1-NN classifier on {drawn} gets wrong; Euclidean distance of grey pixels",
    }


def coverage(
    model,
    recipe: Recipe,
    *,
    samples: int = 10_000,
    largest: bool = False,
    data_dir=None,
    progress=None,
) -> dict:
    """The share of samples of the class that has the fewest, or the most, by the label of the nearest training image.

    Args:
        model: on any runtime.
        recipe: how it was trained.
        samples: how many to draw, of seeds 0, 1, 2 …
        largest: whether to give the largest share instead of the smallest.
        data_dir: where tensorflow-datasets keeps its data.
        progress: not called; this takes seconds.

    Returns:
        {value, stderr, n, split, protocol}, in percent.
    """
    shares = class_shares(
        model.sample(samples), *datasets.load(recipe.dataset, recipe.split, data_dir)
    )
    which, all_shares = (
        "largest" if largest else "smallest",
        ", ".join(f"{100 * share:.1f}" for share in shares),
    )
    return _percent(shares.max() if largest else shares.min(), samples) | {
        "split": recipe.split,
        "protocol": f"percent, the {which} share of {samples:,} samples that a class has; a sample's class is that of the "
        f"nearest training image, Euclidean distance of grey pixels; the classes in turn have {all_shares}",
    }


def class_shares(samples, images, labels) -> np.ndarray:
    """The share of samples ``(num_classes,)`` whose nearest image has each label."""
    classes = labels.max() + 1
    nearest = NearestClass(samples, classes)
    nearest.see(images, labels)
    return np.bincount(nearest.labels(), minlength=classes) / len(samples)


def _percent(share, n: int) -> dict:
    """A share of n and its binomial standard error, in percent."""
    return {
        "value": float(100 * share),
        "stderr": float(100 * np.sqrt(share * (1 - share) / n)),
        "n": n,
    }

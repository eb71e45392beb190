"""Log-likelihood of a Parzen window over samples, as Goodfellow et al. 2014 measure it (section 5)."""

import math

import numpy as np
import tensorflow as tf

from zoo import datasets
from zoo.recipes import Recipe

# The bandwidths to choose from, and how many validation images choose: those of the authors' code.
BANDWIDTHS = np.logspace(-1, 0, 10)
CHOOSING = 1000
# Images whose distances to all centres are held at once.
ROWS = 500


def log_density(images, centers, bandwidths) -> np.ndarray:
    """log of the mean of Gaussians N(center, bandwidth² I), in nats: float64 ``(bandwidths, n)``.

    Args:
        images: float ``(n, height, width, channels)``.
        centers: float ``(m, height, width, channels)``.
        bandwidths: the standard deviations.
    """
    images, centers = (np.reshape(x, (len(x), -1)).astype(np.float32) for x in (images, centers))
    constant = math.log(len(centers)) + images.shape[1] * np.log(
        np.asarray(bandwidths) * math.sqrt(2 * math.pi)
    )
    widths = np.asarray(bandwidths, np.float32)
    rows = [
        _log_sums(images[start : start + ROWS], centers, widths).numpy()
        for start in range(0, len(images), ROWS)
    ]
    return np.concatenate(rows, axis=1).astype(np.float64) - constant[:, None]


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None]),
        tf.TensorSpec([None, None]),
        tf.TensorSpec([None]),
    ]
)
def _log_sums(images, centers, bandwidths):
    squares = tf.reduce_sum(tf.square(images), axis=1)[:, None] + tf.reduce_sum(
        tf.square(centers), axis=1
    )
    squares -= 2 * tf.matmul(images, centers, transpose_b=True)
    return tf.map_fn(
        lambda width: tf.reduce_logsumexp(-squares / (2 * tf.square(width)), axis=1), bandwidths
    )


def parzen(
    model,
    recipe: Recipe,
    *,
    samples: int = 10_000,
    split: str = "test",
    data_dir=None,
    progress=None,
) -> dict:
    """Mean log-density of a split under a Parzen window over samples, its bandwidth chosen on validation images.

    Args:
        model: on any runtime.
        recipe: how it was trained; its ``validation`` names the images of which the first 1,000
            choose the bandwidth.
        samples: how many to draw, of seeds 0, 1, 2 …
        split: a split of the recipe's data set.
        data_dir: where tensorflow-datasets keeps its data.
        progress: not called; this takes seconds.

    Returns:
        {value, stderr, n, split, protocol}, in nats.
    """
    centers = model.sample(samples)
    choosing, _ = datasets.load(recipe.dataset, recipe.validation, data_dir)
    bandwidth = BANDWIDTHS[
        log_density(choosing[:CHOOSING], centers, BANDWIDTHS).mean(axis=1).argmax()
    ]
    images, _ = datasets.load(recipe.dataset, split, data_dir)
    values = log_density(images, centers, [bandwidth])[0]
    return {
        "value": float(values.mean()),
        "stderr": float(values.std(ddof=1) / np.sqrt(len(values))),
        "n": len(values),
        "split": split,
        "protocol": f"nats an image; Gaussian Parzen window over {samples:,} samples, standard deviation of "
        f"logspace(-1, 0, 10) chosen on the first {CHOOSING:,} images of {recipe.validation}; grey pixels in [0, 1]",
    }

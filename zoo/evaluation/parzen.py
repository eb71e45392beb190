"""Log-likelihood of a Parzen window over samples (Goodfellow et al. 2014, section 5)."""

import math

import numpy as np
import tensorflow as tf

from zoo.evaluation.metric import Metric, mean_of

# The bandwidths to choose from and the number of validation images, as in the authors' code.
BANDWIDTHS = np.logspace(-1, 0, 10)
CHOOSING = 1000
# Images whose distances to all centers are in memory at once.
ROWS = 500


def log_density(images, centers, bandwidths) -> np.ndarray:
    """Computes the log of the mean of Gaussians N(center, bandwidth² I), in nats.

    Args:
        images: float ``(n, height, width, channels)``.
        centers: float ``(m, height, width, channels)``.
        bandwidths: The standard deviations.

    Returns:
        float64 ``(bandwidths, n)``.
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


class Parzen(Metric):
    """Mean log-density of test images under a Parzen window over samples, in nats.

    The bandwidth is chosen on the first ``CHOOSING`` validation images.
    """

    methods = ("sample",)
    splits = ("test", "validation")
    higher_is_better = True
    on_first_images = True

    def measure(self, model, data, *, samples=10_000, images=None, progress=None):
        """Measures with ``samples`` samples, of seeds 0, 1, 2, …, on the first ``images`` images.

        This takes seconds.
        """
        centers = model.sample(samples)
        choosing, _ = data.images("validation").first(CHOOSING)
        densities = log_density(choosing, centers, BANDWIDTHS)
        bandwidth = BANDWIDTHS[densities.mean(axis=1).argmax()]
        scored, _ = data.images("test").first(images)
        return mean_of(log_density(scored, centers, [bandwidth])[0]) | {
            "split": data.described("test", images),
            "protocol": f"nats for each image; Gaussian Parzen window over {samples:,} samples, "
            f"standard deviation of logspace(-1, 0, 10) chosen on the first {CHOOSING:,} images of "
            f"{data.described('validation')}; grey pixels in [0, 1]",
        }


METRICS = {"parzen": Parzen()}

"""Features of real and generated images, and the interface of metrics that compare them."""

import numpy as np
import tensorflow as tf

from zoo.evaluation.jackknife import GROUPS
from zoo.evaluation.metric import Metric

# Samples that are drawn and classified at once.
BLOCK = 1000
FEWEST = 100
# Rows whose distances to all other rows are in memory at once.
ROWS = 500


class FeatureMetric(Metric):
    """Metric that compares the features of samples and of test images.

    The features are those of a classifier, see ``Splits.classifier``. They are divided by one
    number, so that their mean variance over the test images is 1. Samples have the seeds from 0 and
    the conditions of the test images in their order.

    Args:
        real: Whether to measure the first training images in place of samples, which shows the
            value that a perfect model would have.
    """

    def __init__(self, real: bool = False):
        self.real = real
        self.methods = ("classify",) if real else ("sample",)
        self.splits = ("test", "train") if real else ("test",)

    def classifier(self, model, data):
        """Returns the classifier whose features are compared."""
        return model if self.real else data.classifier

    def real_features(self, model, data, role: str = "test") -> np.ndarray:
        """Returns the features of the images of a role, float32 ``(n, d)``."""
        classifier = self.classifier(model, data)
        return data.features(classifier, role) / data.deviation(classifier)

    def validate(self, model, data):
        """Validates that there is a classifier, and labels if they are needed."""
        super().validate(model, data)
        if self.classifier(model, data) is None:
            name = data.features_name
            publish = f", or publish one as {name} in a folder of ZOO_PATH" if name else ""
            raise ValueError(
                f"{type(self).__name__} must be measured with the features of a classifier of the "
                f"data; received: none. Name one with `zoo evaluate --features`{publish}."
            )

    def blocks(self, model, data, samples: int, progress=None):
        """Yields the features of samples, float32 ``(n, d)``, in blocks of at most ``BLOCK``.

        There are at least as many blocks as groups of the jackknife.

        Raises:
            ValueError: If there are fewer than ``FEWEST`` samples.
        """
        if samples < FEWEST:
            raise ValueError(f"samples must be at least {FEWEST}; received: {samples}.")
        if self.real:
            images, _ = data.images("train").first(samples)
            samples = len(images)
        deviation = data.deviation(self.classifier(model, data))
        block = min(BLOCK, samples // GROUPS)
        for start in range(0, samples, block):
            n = min(block, samples - start)
            if self.real:
                features = model.classify(images[start : start + n])[1]
            else:
                features = data.samples(model, start, n).features
            yield features / deviation
            if progress:
                progress(start + n, samples)

    def features(self, model, data, samples: int, progress=None) -> np.ndarray:
        """Returns the features of samples, float32 ``(samples, d)``."""
        return np.concatenate(list(self.blocks(model, data, samples, progress)))

    def described(self, data, samples: int) -> dict:
        """Returns {split, n, protocol} of a metric, where the protocol has no beginning."""
        n = min(samples, len(data.images("train"))) if self.real else samples
        compared = f"{n:,} samples of seeds 0…"
        if self.real:
            compared = f"the first {n:,} training images"
        return {
            "split": data.described("test"),
            "n": n,
            "protocol": f"{compared} and {len(data.images('test')):,} test images; "
            f"features of {'the classifier itself' if self.real else data.features_name}",
        }


@tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None, None])])
def _squared_distances(a, b):
    squares = tf.reduce_sum(tf.square(a), axis=1)[:, None] + tf.reduce_sum(tf.square(b), axis=1)
    return tf.maximum(squares - 2 * tf.matmul(a, b, transpose_b=True), 0.0)


def squared_distances(a, b):
    """Yields (rows, squared Euclidean distances) of parts of a from all rows of b.

    Args:
        a: float32 ``(n, d)``.
        b: float32 ``(m, d)``.

    Yields:
        (slice of a's rows, float32 tensor ``(rows, m)``).
    """
    # Around a common center, float32 loses fewer digits.
    center = np.mean(b, axis=0, dtype=np.float64).astype(np.float32)
    a, b = np.float32(a) - center, tf.constant(np.float32(b) - center)
    for start in range(0, len(a), ROWS):
        yield slice(start, start + ROWS), _squared_distances(a[start : start + ROWS], b)


def nearest_distances(a, b) -> np.ndarray:
    """Returns the Euclidean distance of each row of a from the nearest row of b, ``(n,)``."""
    return np.sqrt(
        np.concatenate([tf.reduce_min(part, axis=1) for _, part in squared_distances(a, b)])
    )

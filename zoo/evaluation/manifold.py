"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

import numpy as np
import tensorflow as tf

from zoo.evaluation.features import FeatureMetric, squared_distances
from zoo.evaluation.jackknife import estimate_mean


def squared_radii(features, k: int) -> np.ndarray:
    """Returns the squared distance of each row from its k-th nearest other row, ``(n,)``."""
    # The nearest row is the row itself.
    parts = [
        -tf.math.top_k(-part, k + 1).values[:, k]
        for _, part in squared_distances(features, features)
    ]
    return np.concatenate(parts)


def precision(real, generated, k: int) -> np.ndarray:
    """Returns for each sample whether it lies in a ball around a real image, bool ``(n,)``.

    The radius of a ball is the distance of its center from its k-th nearest neighbor.
    """
    radii = squared_radii(real, k)
    return np.concatenate(
        [tf.reduce_any(part <= radii, axis=1) for _, part in squared_distances(generated, real)]
    )


def recall(real, generated, k: int) -> np.ndarray:
    """Returns for each real image whether it lies in a ball around a sample, bool ``(m,)``."""
    return precision(generated, real, k)


def density(real, generated, k: int) -> np.ndarray:
    """Returns for each sample the number of real balls that it lies in, over k, ``(n,)``."""
    radii = squared_radii(real, k)
    inside = [
        tf.reduce_sum(tf.cast(part <= radii, tf.float32), axis=1)
        for _, part in squared_distances(generated, real)
    ]
    return np.concatenate(inside) / k


def coverage(real, generated, k: int) -> np.ndarray:
    """Returns for each real image whether a sample lies in its ball, bool ``(m,)``."""
    nearest = [tf.reduce_min(part, axis=1) for _, part in squared_distances(real, generated)]
    return np.concatenate(nearest) <= squared_radii(real, k)


class Manifold(FeatureMetric):
    """Mean of one of the functions above, with balls that contain k neighbors.

    Args:
        function: Callable (real, generated, k), which returns values of samples or real images.
        k: Number of neighbors.
        meaning: What the mean is, for the protocol.
        real: As in ``FeatureMetric``.
    """

    higher_is_better = True

    def __init__(self, function, k: int, meaning: str, real: bool = False):
        super().__init__(real)
        self.function, self.k, self.mean_of = function, k, meaning

    @property
    def meaning(self):
        """One sentence that says what the metric means."""
        return f"{self.mean_of[0].upper()}{self.mean_of[1:]}."

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples, all of whose features are in memory."""
        generated = self.features(model, data, samples, progress)
        values = self.function(self.real_features(model, data), generated, self.k)
        described = self.described(data, samples)
        protocol = f"{self.mean_of}, k = {self.k}; {described['protocol']}"
        return estimate_mean(values) | described | {"protocol": protocol}


FUNCTIONS = {
    "precision": (precision, 3, "share of samples in a ball around a test image"),
    "recall": (recall, 3, "share of test images in a ball around a sample"),
    "density": (density, 5, "mean number of balls around test images that a sample is in, over k"),
    "coverage": (coverage, 5, "share of test images whose ball contains a sample"),
}
METRICS = {name: Manifold(*given) for name, given in FUNCTIONS.items()} | {
    f"{name}_real": Manifold(*given, real=True) for name, given in FUNCTIONS.items()
}

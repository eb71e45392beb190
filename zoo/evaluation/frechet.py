"""Fréchet distance of classifier features (Heusel et al. 2017, equation 6, on other features)."""

import numpy as np

from zoo.evaluation.features import FeatureMetric
from zoo.evaluation.jackknife import GROUPS, estimate, groups


class Moments:
    """Sums of features and of their products for each group of the jackknife.

    They need the same memory for any number of rows.

    Args:
        d: Number of features.
    """

    def __init__(self, d: int):
        self.counts = np.zeros(GROUPS)
        self.sums, self.products = np.zeros((GROUPS, d)), np.zeros((GROUPS, d, d))

    def add(self, features, group: int) -> None:
        """Adds features ``(n, d)`` to a group."""
        features = np.asarray(features, np.float64)
        self.counts[group] += len(features)
        self.sums[group] += features.sum(axis=0)
        self.products[group] += features.T @ features

    def mean_and_covariance(self, used):
        """Returns the mean ``(d,)`` and the unbiased covariance ``(d, d)`` of some groups."""
        n = self.counts[used].sum()
        mean = self.sums[used].sum(axis=0) / n
        products = self.products[used].sum(axis=0)
        return mean, (products - n * np.outer(mean, mean)) / (n - 1)


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b) -> float:
    """Computes the squared Fréchet distance of two normal distributions.

    It is |m − n|² + tr(A + B − 2 (A B)^½), with means m and n and covariances A and B. The
    trace of the root is the sum of the roots of the eigenvalues of A^½ B A^½, which is symmetric.
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ covariance_b @ root)
    trace = np.trace(covariance_a) + np.trace(covariance_b)
    trace -= 2 * np.sqrt(np.maximum(inner, 0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + trace)


class Frechet(FeatureMetric):
    """Classifier Fréchet distance. It is not FID, whose features are those of Inception."""

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples; the memory does not depend on their number."""
        real = self.real_features(model, data)
        ours, theirs = Moments(real.shape[1]), Moments(real.shape[1])
        for i, group in enumerate(np.split(real, np.flatnonzero(np.diff(groups(len(real)))) + 1)):
            theirs.add(group, i)
        described, done = self.described(data, samples), 0
        for features in self.blocks(model, data, samples, progress):
            rows = (done + np.arange(len(features))) * GROUPS // described["n"]
            for i in np.unique(rows):
                ours.add(features[rows == i], i)
            done += len(features)

        def distance(used):
            return frechet_distance(
                *ours.mean_and_covariance(used), *theirs.mean_and_covariance(used)
            )

        protocol = f"classifier Fréchet distance of {described['protocol']}"
        return estimate(distance) | described | {"protocol": protocol}


METRICS = {"frechet": Frechet(), "frechet_real": Frechet(real=True)}

"""Kernel distance of classifier features (Bińkowski et al. 2018, on other features)."""

import numpy as np

from zoo.evaluation.features import FeatureMetric
from zoo.evaluation.jackknife import GROUPS
from zoo.evaluation.metric import mean_of


def squared_mmd(a, b) -> float:
    """Estimates the squared maximum mean discrepancy without bias (Gretton et al. 2012, eq. 3).

    The kernel is that of KID, (x·y / d + 1)³.

    Args:
        a: ``(n, d)``.
        b: ``(m, d)``.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    (n, d), m = a.shape, len(b)
    within_a, within_b, across = ((x @ y.T / d + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    return float(
        (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
        + (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
        - 2 * across.mean()
    )


class Kernel(FeatureMetric):
    """Mean squared MMD over disjoint blocks of samples and of test images."""

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples; the memory does not depend on their number."""
        real = self.real_features(model, data)
        parts = np.array_split(real, GROUPS)
        values = [
            squared_mmd(features, parts[i % GROUPS])
            for i, features in enumerate(self.blocks(model, data, samples, progress))
            if len(features) > 1
        ]
        described = self.described(data, samples)
        protocol = f"mean squared MMD with the kernel (x·y / d + 1)³ of {described['protocol']}"
        return mean_of(values) | described | {"protocol": f"{protocol}; {len(values)} blocks"}


METRICS = {"kernel": Kernel(), "kernel_real": Kernel(real=True)}

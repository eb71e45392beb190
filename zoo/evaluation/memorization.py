"""Memorization of training images, by nearest neighbors in the features of a classifier."""

import numpy as np

from zoo.evaluation.features import FeatureMetric, nearest_distances
from zoo.evaluation.jackknife import estimate, groups


class Memorization(FeatureMetric):
    """Median distance of a sample to its nearest training image, over that of a test image.

    A value well below 1 means that samples are nearer to training images than new images are.
    """

    higher_is_better = True

    def __init__(self):
        super().__init__()
        self.splits = ("test", "train")

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples."""
        training = self.real_features(model, data, "train")
        drawn = nearest_distances(self.features(model, data, samples, progress), training)
        real = nearest_distances(self.real_features(model, data), training)
        of_drawn, of_real = groups(len(drawn)), groups(len(real))

        def ratio(used):
            return np.median(drawn[used[of_drawn]]) / np.median(real[used[of_real]])

        described = self.described(data, samples)
        protocol = (
            "median distance to the nearest training image, the ratio of "
            f"{described['protocol']}; training images {data.described('train')}"
        )
        return estimate(ratio) | described | {"protocol": protocol}


METRICS = {"memorization": Memorization()}

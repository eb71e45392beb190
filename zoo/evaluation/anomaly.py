"""Detection of anomalies by the score of a model."""

import numpy as np

from zoo.evaluation.jackknife import estimate, groups
from zoo.evaluation.metric import Metric
from zoo.inference.noise import uniform

IMAGES = 10_000


def auroc(normal, anomalous) -> float:
    """Computes the area under the ROC curve, P(anomalous > normal) + P(equal) / 2.

    Args:
        normal: Scores ``(n,)`` of images like the training data.
        anomalous: Scores ``(m,)`` of other images.
    """
    normal = np.sort(normal)
    below = np.searchsorted(normal, anomalous, "left") + np.searchsorted(normal, anomalous, "right")
    return float(below.mean() / (2 * len(normal)))


class Anomaly(Metric):
    """Area under the ROC curve of ``score`` for test images against other images.

    It is 1 if every other image has a higher score than every test image, and 0.5 if the score says
    nothing. The score of a model that is conditional on a label is the least over all labels.

    Args:
        dataset: Data set of tensorflow-datasets with the other images, or None for noise, whose
            pixels are uniform in [0, 1].
    """

    methods = ("score",)
    higher_is_better = True

    def __init__(self, dataset: str | None = None):
        self.dataset = dataset

    def measure(self, model, data, *, images=IMAGES, progress=None):
        """Measures with at most ``images`` images of each kind."""
        test, given = data.first("test", model, images)
        if self.dataset is None:
            pixels = uniform(np.arange(len(test)), int(np.prod(model.image_shape)))
            others = np.float32(pixels.reshape(test.shape))
            kind = "images of uniform noise"
        else:
            others, _ = data.others(self.dataset).first(images)
            kind = f"test images of {self.dataset}"
        others = data.prepared(others)
        conditions = data.condition_of(others, model)
        normal, anomalous = scores(model, test, given), scores(model, others, conditions)
        of_normal, of_others = groups(len(normal)), groups(len(anomalous))
        return estimate(lambda used: auroc(normal[used[of_normal]], anomalous[used[of_others]])) | {
            "n": len(normal) + len(anomalous),
            "split": data.described("test", images),
            "protocol": f"AUROC of score, {len(normal):,} test images against {len(anomalous):,} "
            f"{kind}{', least score over the labels' if model.num_classes else ''}",
        }


def scores(model, images, given) -> np.ndarray:
    """Computes the scores of images ``(n,)``, for labels the least score over all labels."""
    if not model.num_classes:
        return model.score(images, **given)
    of_label = [model.score(images, label) for label in range(model.num_classes)]
    return np.min(of_label, axis=0)


METRICS = {
    "anomaly_noise": Anomaly(),
    "anomaly_mnist": Anomaly("mnist"),
    "anomaly_fashion_mnist": Anomaly("fashion_mnist"),
}

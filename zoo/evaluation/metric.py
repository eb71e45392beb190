"""Interface of evaluation metrics."""

import numpy as np

from zoo.evaluation.splits import Splits


class Metric:
    """Evaluation metric of a generative model.

    A new metric is one class, added to ``zoo.evaluation.METRICS`` under its name.

    Attributes:
        methods: Names of the methods of the model that the metric calls. A model or a runtime
            without one of them is not measured by it.
        splits: Splits that it reads, of "test", "train" and "validation".
        higher_is_better: Whether a higher value is better.
        on_first_images: Whether it can be measured on the first n images of the test split.
    """

    methods: tuple = ()
    splits: tuple = ("test",)
    higher_is_better = False
    on_first_images = False

    def measure(self, model, data: Splits, *, progress=None, **settings) -> dict:
        """Measures a model.

        Args:
            model: A model on a runtime that has ``methods``.
            data: The images.
            progress: Called with the numbers of parts done and of all parts.
            **settings: Settings of the metric, as in a recipe. A metric with ``on_first_images``
                has a setting ``images``, the number of images.

        Returns:
            {value, stderr, n, split, protocol}: the value and its standard error, the number of
            images or samples, the split's name, and a sentence that says how it was measured.
        """
        raise NotImplementedError


def mean_of(values) -> dict:
    """Returns the mean of values ``(n,)`` and its standard error, {value, stderr, n}."""
    values = np.asarray(values, np.float64)
    stderr = values.std(ddof=1) / np.sqrt(len(values))
    return {"value": float(values.mean()), "stderr": float(stderr), "n": len(values)}


def percent_of(share: float, n: int) -> dict:
    """Returns a share of n and its binomial standard error in percent, {value, stderr, n}."""
    stderr = np.sqrt(share * (1 - share) / n)
    return {"value": float(100 * share), "stderr": float(100 * stderr), "n": n}

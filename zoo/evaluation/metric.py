"""Interface of evaluation metrics."""

import inspect

import numpy as np

from zoo.evaluation.splits import Splits


class Metric:
    """Evaluation metric of a generative model.

    A new metric is a class, and an object of it in the ``METRICS`` of its module in this folder, or
    in ``zoo.evaluation.METRICS`` from outside, under its name.

    Attributes:
        methods: Names of the methods of the model that the metric calls. A model or a runtime
            without one of them is not measured by it.
        splits: Splits that it reads, of "test", "train" and "validation".
        higher_is_better: Whether a higher value is better.
        on_first_images: Whether it can be measured on the first n images of the test split.
        needs_labels: Whether the images must have labels.
    """

    methods: tuple = ()
    splits: tuple = ("test",)
    higher_is_better = False
    on_first_images = False
    needs_labels = False

    @property
    def meaning(self) -> str:
        """One sentence that says what the metric means, the first line of the class's docstring."""
        return (inspect.getdoc(type(self)) or "").partition("\n")[0]

    def validate(self, model, data: Splits) -> None:
        """Validates that a model can be measured on the images.

        Raises:
            ValueError: If it cannot.
        """
        if self.needs_labels and data.images(self.splits[0]).classes is None:
            raise ValueError(
                f"{type(self).__name__} must be measured on images with labels; received: images "
                "without labels."
            )

    def measure(self, model, data: Splits, *, progress=None, **settings) -> dict:
        """Measures a model.

        Args:
            model: A model on a runtime that has ``methods``.
            data: The images.
            progress: Callable (done, total), called after each part.
            **settings: Settings of the metric, as in a recipe. A metric with ``on_first_images``
                has a setting ``images``, the number of images.

        Returns:
            {value, stderr, n, split, protocol}: the value and its standard error, the number of
            images or samples, the split's name, and a sentence that says how it was measured. A
            metric with ``on_first_images`` adds "quick", {value, stderr, n} of the first tenth of
            the images.
        """
        raise NotImplementedError


def mean_of(values) -> dict:
    """Returns the mean of values ``(n,)`` and its standard error, {value, stderr, n, quick}."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        raise ValueError(
            f"A metric must be measured on at least 2 images; received: {len(values)}."
        )
    return _with_first_tenth(_mean, values)


def percent_of(correct) -> dict:
    """Returns the percentage of True in bool values ``(n,)``, {value, stderr, n, quick}.

    The standard error is that of the binomial distribution.
    """
    return _with_first_tenth(lambda part: percent(part.mean(), len(part)), np.asarray(correct))


def percent(share: float, n: int) -> dict:
    """Returns a share of n and its binomial standard error in percent, {value, stderr, n}."""
    stderr = np.sqrt(share * (1 - share) / n)
    return {"value": float(100 * share), "stderr": float(100 * stderr), "n": n}


def _mean(values):
    stderr = values.std(ddof=1) / np.sqrt(len(values))
    return {"value": float(values.mean()), "stderr": float(stderr), "n": len(values)}


def _with_first_tenth(summary, values):
    tenth = values[: len(values) // 10]
    return summary(values) | {"quick": summary(tenth) if len(tenth) > 1 else None}

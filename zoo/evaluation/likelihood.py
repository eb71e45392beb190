"""Negative log-likelihood of test images by importance sampling (Burda et al. 2015, section 5)."""

import math

import numpy as np

from zoo.evaluation.metric import Metric, mean_of
from zoo.evaluation.splits import Splits
from zoo.inference.noise import normal

# Images between two reports of progress.
ROWS = 50
# Half a step of a probability in int8: a pixel that reads 0 may have this probability.
HALF_STEP = 1 / 512


class NegativeLogLikelihood(Metric):
    """Mean of −log p(x), or of −log p(x | condition), in nats for each image.

    A model that was trained with dynamic binarization is measured on one fixed Bernoulli draw of
    each image.

    Args:
        proposal: Distribution of the importance samples, as in
            ``VariationalModel.log_likelihood``.
    """

    # A flow has the first method, but not the second.
    methods = ("log_likelihood", "log_prior")
    on_first_images = True

    def __init__(self, proposal: str):
        self.proposal = proposal

    def measure(self, model, data, *, samples=500, images=None, progress=None):
        """Measures with ``samples`` importance samples for each of the first ``images`` images."""

        def log_likelihood(rows, given, start):
            return model.log_likelihood(
                rows, samples=samples, seed=start, proposal=self.proposal, **given
            )

        drawn = (
            "importance samples from the posterior"
            if self.proposal == "posterior"
            else "Monte Carlo samples from the prior"
        )
        return _mean(log_likelihood, model, data, images, f"{samples} {drawn}", progress)


class DecodedLikelihood(Metric):
    """The same for Bernoulli pixels whose means are the decoded image, on any runtime.

    The model computes ``encode``, ``decode`` and its prior; everything else is NumPy in float64.
    Means are kept ``HALF_STEP`` away from 0 and 1, which an int8 image contains.
    """

    methods = ("encode", "decode")
    on_first_images = True

    def validate(self, model, data):
        """Validates that the likelihood of the model is Bernoulli, if it is known."""
        super().validate(model, data)
        likelihood = _other_likelihood(model)
        if likelihood:
            raise ValueError(
                "nll_decoded must be measured on a model with the likelihood 'bernoulli', because "
                f"it uses decoded images as means of Bernoulli pixels; received: {likelihood}."
            )

    def measure(self, model, data, *, samples=100, images=1000, progress=None):
        """Measures with ``samples`` importance samples for each of the first ``images`` images."""
        unknown = _unknown_pixels(model)

        def log_likelihood(rows, given, start):
            mean, log_var = (np.float64(part) for part in model.encode(rows, **given))
            return [
                one(rows[i], mean[i], log_var[i], repeated(given, i), start + i)
                for i in range(len(rows))
            ]

        def repeated(given, i):
            return {
                name: np.repeat(rows[i : i + 1], samples, axis=0) for name, rows in given.items()
            }

        def one(image, mean, log_var, given, number):
            noise = normal(np.arange(samples) + number * samples, model.latent_dim)
            z = mean + np.exp(log_var / 2) * noise
            log_prior = (
                model.log_prior(z, **given) if model.has("log_prior") else _normal_log_prob(z)
            )
            p = np.clip(np.float64(model.decode(z, **given)), HALF_STEP, 1 - HALF_STEP)
            log_prob = image * np.log(p) + (1 - image) * np.log(1 - p)
            log_ratio = log_prior - _normal_log_prob(noise) + 0.5 * log_var.sum()
            log_weight = np.where(unknown, log_prob, 0).sum(axis=(1, 2, 3)) + log_ratio
            return np.logaddexp.reduce(log_weight) - math.log(samples)

        drawn = (
            f"{samples} importance samples from the posterior; Bernoulli pixels whose means are "
            "the decoded images, limited to [1/512, 511/512]"
        )
        return _mean(log_likelihood, model, data, images, drawn, progress)


def _other_likelihood(model) -> str | None:
    """Returns the class of a model's likelihood if it is known and is not Bernoulli."""
    likelihood = getattr(model, "likelihood", None)  # Only Keras knows it.
    if likelihood is None or "nll_decoded" in likelihood.evaluation_metrics:
        return None
    return type(likelihood).__name__


def _unknown_pixels(model):
    """Returns which pixels the condition does not give, bool ``(height, width, channels)``."""
    unknown = np.ones(model.image_shape, bool)
    if model.condition_at:
        (top, left), (height, width, _) = model.condition_at, model.condition_shape
        unknown[top : top + height, left : left + width] = False
    return unknown


def _normal_log_prob(z):
    """Returns log N(z; 0, I) in nats, ``(n,)``."""
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(axis=1)


def mean_over_images(log_likelihood, model, data: Splits, n, progress) -> dict:
    """Returns the mean of −log_likelihood over the first n test images, or all.

    Args:
        log_likelihood: Callable, ``log_likelihood(images, given, start)``, with the condition of
            the images and the number of the first one.
        model: On any runtime.
        data: The images.
        n: Number of images, or None.
        progress: As in ``Metric.measure``.

    Returns:
        {value, stderr, n, quick, split}.
    """
    images, given = data.first("test", model, n)
    values = []
    for start in range(0, len(images), ROWS):
        rows = slice(start, start + ROWS)
        of_rows = {name: values[rows] for name, values in given.items()}
        values.extend(-np.asarray(log_likelihood(images[rows], of_rows, start)))
        if progress:
            progress(len(values), len(images))
    return mean_of(values) | {"split": data.described("test", n)}


def _mean(log_likelihood, model, data: Splits, n, drawn, progress) -> dict:
    """Returns the result of ``mean_over_images`` and the protocol."""
    likelihood = _other_likelihood(model)
    if data.binarized:
        pixels = "each image binarized once with seed 0"
    elif likelihood:
        pixels = f"likelihood {likelihood}"
    else:
        pixels = "grey pixels as Bernoulli means"
    return mean_over_images(log_likelihood, model, data, n, progress) | {
        "protocol": f"nats for each image{given_condition(model)}; {drawn}; {pixels}",
    }


def given_condition(model) -> str:
    """Returns the part of a protocol that names the condition of a model, or ""."""
    if model.num_classes:
        return ", given the label"
    if model.attributes:
        return ", given the attributes"
    return ", of the pixels that are not given" if model.condition_at else ""


METRICS = {
    "nll": NegativeLogLikelihood(proposal="posterior"),
    "nll_monte_carlo": NegativeLogLikelihood(proposal="prior"),
    "nll_decoded": DecodedLikelihood(),
}

"""Likelihoods p(x | z) of a pixel, given the decoder's output.

A new likelihood is one subclass of ``Likelihood``, given as
``zoo.models.VAE(likelihood=Mine())``.
"""

import math
from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from zoo.models import choices
from zoo.models.layers import halves

# Lower bound of a learned log-variance. The data are rounded to grey levels of 1/255, so that a
# standard deviation of less than half a level has no meaning.
MIN_LOG_VAR = 2 * math.log(0.5 / 255)
# Above this argument, softplus(x) and x are the same number.
LINEAR = 40.0


def softplus(x):
    """Computes log(1 + exp(x)) without an overflow of exp(x).

    TF Lite has no such function and computes the exponential, the sum and the logarithm.
    """
    return ops.where(x > LINEAR, x, ops.softplus(ops.minimum(x, LINEAR)))


class Likelihood(choices.Configurable):
    """Distribution of an image whose values are independent given z.

    Attributes:
        parameters: Number of values of the decoder's output for each value of an image, along the
            channels.
        evaluation_metrics: Metrics of ``zoo.evaluation`` and their settings that only a model with
            this likelihood has.
    """

    parameters: int = 1
    evaluation_metrics: ClassVar = {}

    def log_prob(self, images, output):
        """Computes log p(x | z) of each value in nats, in the shape of the images.

        Args:
            images: ``(…, height, width, channels)`` in [0, 1].
            output: ``(…, height, width, channels * parameters)``, the decoder's output.
        """
        raise NotImplementedError

    def mean(self, output):
        """Computes the mean image, of values in [0, 1]."""
        raise NotImplementedError

    def sample(self, output, seed):
        """Draws an image.

        Args:
            output: ``(…, height, width, channels * parameters)``, the decoder's output.
            seed: int64 ``(2,)``.
        """
        raise NotImplementedError

    def output_for(self, mean):
        """Returns the decoder's output ``(height, width, channels)`` for a mean image.

        By default it is None, which is right if there are several such outputs.
        """


@keras.saving.register_keras_serializable("zoo")
class Bernoulli(Likelihood):
    """Bernoulli distribution of binary pixels with probability σ(output).

    A grey value is treated as the mean of binary values. Kingma & Welling 2013, appendix C.1.
    """

    evaluation_metrics: ClassVar = {"nll_decoded": {}}

    def log_prob(self, images, output):
        """Computes x log p + (1 − x) log(1 − p) from the logit of p."""
        return images * output - softplus(output)

    def mean(self, output):
        """Computes p = σ(output)."""
        return ops.sigmoid(output)

    def sample(self, output, seed):
        """Draws pixels of 0 or 1."""
        uniform = tf.random.stateless_uniform(tf.shape(output), seed, dtype=output.dtype)
        return ops.cast(uniform < ops.sigmoid(output), output.dtype)

    def output_for(self, mean):
        """Returns the logits of a mean image, which is clipped to [0.001, 0.999]."""
        mean = ops.clip(mean, 1e-3, 1 - 1e-3)
        return ops.log(mean / (1 - mean))


@keras.saving.register_keras_serializable("zoo")
class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli distribution on [0, 1] with parameter λ = σ(output).

    Loaiza-Ganem & Cunningham 2019, https://arxiv.org/abs/1907.06845
    """

    # Below this logit the closed forms lose digits, and four terms of their series are exact up to
    # rounding.
    SMALL = 0.25

    def _away_from_zero(self, output, small=SMALL):
        return ops.where(ops.abs(output) < small, small, output)

    def log_prob(self, images, output):
        """Computes x log λ + (1 − x) log(1 − λ) + log C(λ), equation 7 of the paper.

        In terms of the output, C = output / tanh(output / 2).
        """
        large = self._away_from_zero(output)
        closed = ops.log(large / ops.tanh(large / 2))
        series = math.log(2) + _even_series(output, (1 / 12, -7 / 1440, 31 / 90720, -127 / 4838400))
        log_constant = ops.where(ops.abs(output) < self.SMALL, series, closed)
        return images * output - softplus(output) + log_constant

    def mean(self, output):
        """Computes λ / (2 λ − 1) + 1 / (2 artanh(1 − 2 λ)), equation 8 of the paper."""
        large = self._away_from_zero(output)
        closed = ops.sigmoid(large) / ops.tanh(large / 2) - 1 / large
        # The mean is the derivative of log(1 + exp(l)) − log C, with the series
        # ½ + l/12 − l³/720 + ….
        series = (
            0.5 + output / 12 + output * _even_series(output, (-1 / 720, 1 / 30240, -1 / 1209600))
        )
        return ops.clip(ops.where(ops.abs(output) < self.SMALL, series, closed), 0.0, 1.0)

    def sample(self, output, seed):
        """Draws values by inversion of the distribution function."""
        uniform = tf.random.stateless_uniform(tf.shape(output), seed, dtype=output.dtype)
        small = (
            1e-3  # Below this logit the distribution is uniform up to an error of an eighth of it.
        )
        large = self._away_from_zero(output, small)
        # log(1 + u (exp(l) - 1)) / l, without overflow.
        closed = ops.logaddexp(ops.log1p(-uniform), ops.log(uniform + 1e-30) + large) / large
        return ops.clip(ops.where(ops.abs(output) < small, uniform, closed), 0.0, 1.0)


def _even_series(x, coefficients):
    """Computes the sum of coefficients times x², x⁴, x⁶ …."""
    square, total = ops.square(x), 0.0
    for coefficient in reversed(coefficients):
        total = square * (coefficient + total)
    return total


@keras.saving.register_keras_serializable("zoo")
class Gaussian(Likelihood):
    """Normal distribution (Kingma & Welling 2013, appendix C.2).

    Args:
        variance: float. Variance of each value. With None the second half of the decoder's channels
            is the log-variance of each value; the standard deviation is at least half a grey level
            of 1/255. Defaults to None.
    """

    def __init__(self, variance=None):
        if variance is not None and not variance > 0:
            raise ValueError(f"variance must be greater than 0, or None; received: {variance!r}.")
        self.variance = variance
        self.parameters = 2 if variance is None else 1

    def _mean_and_log_var(self, output):
        if self.variance is not None:
            return output, ops.full_like(output, math.log(self.variance))
        mean, log_var = halves(output)
        return mean, MIN_LOG_VAR + softplus(log_var - MIN_LOG_VAR)

    def log_prob(self, images, output):
        """Computes −½ ((x − μ)² / σ² + log σ² + log 2π)."""
        mean, log_var = self._mean_and_log_var(output)
        return -0.5 * (
            ops.square(images - mean) * ops.exp(-log_var) + log_var + math.log(2 * math.pi)
        )

    def mean(self, output):
        """Computes μ, clipped to [0, 1]."""
        return ops.clip(self._mean_and_log_var(output)[0], 0.0, 1.0)

    def sample(self, output, seed):
        """Draws values and clips them to [0, 1]."""
        mean, log_var = self._mean_and_log_var(output)
        noise = tf.random.stateless_normal(tf.shape(mean), seed, dtype=output.dtype)
        return ops.clip(mean + ops.exp(log_var / 2) * noise, 0.0, 1.0)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"variance": self.variance}


@keras.saving.register_keras_serializable("zoo")
class DiscretizedLogistic(Likelihood):
    """Logistic distribution integrated over each grey level (Kingma et al. 2016).

    The first half of the decoder's channels are the means, the second half the logarithms of the
    scales. The first and the last level include the tails. https://arxiv.org/abs/1606.04934

    Args:
        levels: int. Number of grey levels. The values of an image are k / (levels − 1) with an
            integer k. Defaults to 256.
        scale: "pixel" for a scale of each value, or "image" for one scale of each channel, the
            exponential of the mean of its logarithms. With a scale of each value the gradients of
            flat areas, whose scale is small, outweigh those of uncertain shapes, which can then
            stay blurred (Rybkin et al. 2021, https://arxiv.org/abs/2006.13202). Defaults to
            "pixel".
    """

    parameters = 2
    MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 5.0
    evaluation_metrics: ClassVar = {"bits_per_dim": {"samples": 500}}

    def __init__(self, levels=256, scale="pixel"):
        if type(levels) is not int or levels < 2:
            raise ValueError(f"levels must be an integer of at least 2; received: {levels!r}.")
        if scale not in ("pixel", "image"):
            raise ValueError(f"scale must be 'pixel' or 'image'; received: {scale!r}.")
        self.levels, self.scale = levels, scale

    def _mean_and_scale(self, output):
        mean, log_scale = halves(output)
        if self.scale == "image":
            log_scale = ops.mean(log_scale, axis=(-3, -2), keepdims=True)
        return mean, ops.exp(ops.clip(log_scale, self.MIN_LOG_SCALE, self.MAX_LOG_SCALE))

    def log_prob(self, images, output):
        """Computes log(σ((x + h − μ) / s) − σ((x − h − μ) / s)), h being half a level.

        The first level has no lower end and the last no upper end.
        """
        mean, scale = self._mean_and_scale(output)
        half = 0.5 / (self.levels - 1)
        upper, lower = (images + half - mean) / scale, (images - half - mean) / scale
        # log(σ(u) − σ(l)) = log(1 − exp(l − u)) + log σ(u) + log σ(−l), accurate for
        # small differences. u − l is 2 h / s, also where rounding makes u and l equal.
        below, above = -softplus(-upper), -softplus(lower)
        inner = ops.log(-ops.expm1(-2 * half / scale)) + below + above
        first, last = images < half, images > 1 - half
        return ops.where(first, below, ops.where(last, above, inner))

    def mean(self, output):
        """Computes μ, clipped to [0, 1]."""
        return ops.clip(self._mean_and_scale(output)[0], 0.0, 1.0)

    def sample(self, output, seed):
        """Draws values, clips them to [0, 1] and rounds them to the levels."""
        mean, scale = self._mean_and_scale(output)
        uniform = tf.random.stateless_uniform(
            tf.shape(mean), seed, 1e-5, 1 - 1e-5, dtype=output.dtype
        )
        value = mean + scale * (ops.log(uniform) - ops.log1p(-uniform))
        return ops.round(ops.clip(value, 0.0, 1.0) * (self.levels - 1)) / (self.levels - 1)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"levels": self.levels, "scale": self.scale}


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "discretized_logistic": DiscretizedLogistic,
}


def get(identifier) -> Likelihood:
    """Returns the likelihood for a name, a config or the object itself.

    Raises:
        ValueError: As ``zoo.models.choices.get``.
    """
    return choices.get(identifier, "likelihood", Likelihood, LIKELIHOODS)

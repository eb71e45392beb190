"""Priors p(z) and p(z | y) of variational models.

A prior is a Keras layer with a written contract, so that a new one is one class, given as
``zoo.models.VAE(prior=Mine())``.
"""

import math

import keras
from keras import layers, ops

from zoo.models import choices

LOG_2_PI = math.log(2 * math.pi)


def kl_divergence(mean, log_var):
    """Kullback-Leibler divergence of N(mean, exp(log_var)) from N(0, I) in nats, ``(n,)``.

    Kingma & Welling 2013, appendix B.
    """
    return 0.5 * ops.sum(ops.exp(log_var) + ops.square(mean) - 1 - log_var, axis=-1)


def normal_log_prob(noise):
    """log N(noise; 0, I) in nats, summed over the last axis."""
    return -0.5 * ops.sum(ops.square(noise) + LOG_2_PI, axis=-1)


class Prior(layers.Layer):
    """Distribution of z, perhaps given a condition ``(n, size)``: a one-hot label, or a flat tensor.

    Calling the layer maps standard normal noise to z; ``log_prob`` is the density of the result. A
    prior is built by ``build_for`` before it is used. Its networks have "prior" in their names, so
    that int8 files keep them in float32: where the prior is narrow, a small error of its mean is
        many standard deviations.

    Attributes:
        conditional: Whether the prior needs a condition.
        is_standard_normal: Whether z is the noise itself, so that an artifact needs no signature
            for the prior.
    """

    conditional = False
    is_standard_normal = False

    def build_for(self, latent_dim: int, condition_size: int | None) -> None:
        """Creates the weights for z of a length, and conditions of a length or None.

        Raises:
            ValueError: If the prior needs a condition and there is none.
        """
        if self.conditional and condition_size is None:
            raise ValueError(
                f"prior must be one without a condition for this model, which has none; received: {type(self).__name__}."
            )
        self.latent_dim, self.condition_size = latent_dim, condition_size

    def call(self, noise, condition=None):
        """Maps noise ``(n, latent_dim)`` from N(0, I) to z."""
        raise NotImplementedError

    def log_prob(self, z, condition=None):
        """Computes log p(z | y) in nats, ``(n,)``."""
        raise NotImplementedError

    def mean(self, condition=None):
        """Computes the mean of the prior ``(n, latent_dim)``, or ``(1, latent_dim)`` without a condition; None if unknown."""

    def posterior(self, mean, log_var, condition=None):
        """Maps the encoder's output to the mean and log-variance of q(z | x); by default they are the same."""
        return mean, log_var

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(N(mean, exp(log_var)) ‖ p(z | y)) in nats, ``(n,)``, or None if there is no closed form."""

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("zoo")
class StandardNormal(Prior):
    """Standard normal prior N(0, I) (Kingma & Welling 2013)."""

    is_standard_normal = True

    def build_for(self, latent_dim, condition_size):
        super().build_for(latent_dim, condition_size)
        self.built = True

    def call(self, noise, condition=None):
        return noise

    def log_prob(self, z, condition=None):
        return normal_log_prob(z)

    def mean(self, condition=None):
        return ops.zeros((1, self.latent_dim))

    def kl_divergence(self, mean, log_var, condition=None):
        return kl_divergence(mean, log_var)


@keras.saving.register_keras_serializable("zoo")
class ConditionalNormal(Prior):
    """Normal prior whose mean and variance are a network's functions of the condition (Sohn et al. 2015, section 4).

    The encoder's output (m, v) is relative to it: q(z | x, y) = N(μ + σ m, σ² exp(v)) for a prior
    N(μ, σ²), the residual normal of Vahdat & Kautz 2020, section 3.2. The divergence of q from the
    prior is then that of N(m, exp(v)) from N(0, I).

    Args:
        hidden: int. Size of the network's hidden layer. Defaults to 128.
        activation: str. Activation of the hidden layer. Defaults to "elu".
    """

    conditional = True

    def __init__(self, hidden=128, activation="elu", **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.activation = hidden, activation

    def build_for(self, latent_dim, condition_size):
        super().build_for(latent_dim, condition_size)
        condition = keras.Input((condition_size,), name="condition")
        h = layers.Dense(self.hidden, self.activation, name="dense")(condition)
        # Parameters of a distribution are in full precision under mixed precision too.
        full = keras.config.floatx()
        outputs = [
            layers.Dense(latent_dim, dtype=full, name=name)(h) for name in ("mean", "log_var")
        ]
        self.network = keras.Model(condition, outputs, name="prior")
        self.built = True

    def call(self, noise, condition=None):
        mean, log_var = self.network(condition)
        return mean + ops.exp(log_var / 2) * noise

    def log_prob(self, z, condition=None):
        mean, log_var = self.network(condition)
        return normal_log_prob((z - mean) * ops.exp(-log_var / 2)) - 0.5 * ops.sum(log_var, axis=-1)

    def mean(self, condition=None):
        return self.network(condition)[0]

    def posterior(self, mean, log_var, condition=None):
        prior_mean, prior_log_var = self.network(condition)
        return prior_mean + ops.exp(prior_log_var / 2) * mean, prior_log_var + log_var

    def kl_divergence(self, mean, log_var, condition=None):
        prior_mean, prior_log_var = self.network(condition)
        return kl_divergence(
            (mean - prior_mean) * ops.exp(-prior_log_var / 2), log_var - prior_log_var
        )

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "activation": self.activation}


PRIORS = {"standard_normal": StandardNormal, "conditional_normal": ConditionalNormal}


def get(identifier) -> Prior:
    """Returns a prior from its name, its config or itself. Errors as in ``zoo.models.choices.get``."""
    return choices.get(identifier, "prior", Prior, PRIORS)

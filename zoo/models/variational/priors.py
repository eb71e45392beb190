"""Priors p(z) and p(z | y) of variational models.

A new prior is one subclass of ``Prior``, given as ``zoo.models.VAE(prior=Mine())``.
"""

import functools
import math

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.inference import validation
from zoo.models import bijections, choices

LOG_2_PI = math.log(2 * math.pi)


def reparameterize(mean, log_var, noise):
    """Draws z = mean + exp(log_var / 2) noise from N(mean, exp(log_var)).

    Kingma & Welling 2013, section 2.4. All arguments are ``(n, latent_dim)``, and the noise is
    standard normal.
    """
    return mean + ops.exp(log_var / 2) * noise


def kl_divergence(mean, log_var):
    """Computes KL(N(mean, exp(log_var)) ‖ N(0, I)) in nats, ``(n,)``.

    Kingma & Welling 2013, appendix B. Both arguments are ``(n, latent_dim)``.
    """
    return 0.5 * ops.sum(ops.exp(log_var) + ops.square(mean) - 1 - log_var, axis=-1)


def normal_log_prob(noise):
    """Computes log N(noise; 0, I) in nats, summed over the last axis."""
    return -0.5 * ops.sum(ops.square(noise) + LOG_2_PI, axis=-1)


def log_posterior(noise, log_var):
    """Computes log q(z | x) in nats, ``(n,)``, of z = mean + exp(log_var / 2) * noise."""
    return normal_log_prob(noise) - 0.5 * ops.sum(log_var, axis=-1)


class Prior(layers.Layer):
    """Prior distribution of z, optionally given a condition.

    A call of the layer maps standard normal noise to z, and ``log_prob`` is the log-density of the
    result. A condition is ``(n, size)``, a one-hot label or a flat tensor. ``build_for`` must be
    called before the prior is used. Names of networks and layers in it must contain "prior", so
    that int8 files keep them in float32: if the prior is narrow, a small error of its mean is many
    standard deviations.

    Attributes:
        conditional: Whether the prior needs a condition.
        is_standard_normal: Whether z is the noise itself. An artifact then has no signature for the
            prior.
    """

    conditional = False
    is_standard_normal = False

    def __init__(self, **kwargs):
        # z and its density are computed in float32 also under mixed precision.
        super().__init__(**{"dtype": keras.config.floatx()} | kwargs)

    def build_for(self, latent_dim: int, condition_size: int | None) -> None:
        """Creates the weights.

        Args:
            latent_dim: Length of z.
            condition_size: Length of a condition, or None for a model without a condition.

        Raises:
            ValueError: If the prior needs a condition and the model has none.
        """
        if self.conditional and condition_size is None:
            raise ValueError(
                "prior must not need a condition, because this model has none; "
                f"received: {type(self).__name__}."
            )
        self.latent_dim, self.condition_size = latent_dim, condition_size

    def call(self, noise, condition=None):
        """Maps noise ``(n, latent_dim)`` from N(0, I) to z of the same shape."""
        raise NotImplementedError

    def log_prob(self, z, condition=None):
        """Computes log p(z | y) in nats, ``(n,)``, from z ``(n, latent_dim)``."""
        raise NotImplementedError

    def standardize(self, z, condition=None):
        """Inverts a call: maps z to the noise e, for a normal prior.

        Returns:
            (e, log_det): ``(n, latent_dim)``, and log |det ∂e/∂z| in nats, ``(n,)``.
        """
        raise NotImplementedError

    def mean(self, condition=None):
        """Computes the mean of the prior, or returns None if it is unknown.

        The shape is ``(n, latent_dim)``, or ``(1, latent_dim)`` without a condition.
        """

    def posterior(self, mean, log_var, condition=None):
        """Maps the encoder's output to mean and log_var of q(z | x). By default they are equal."""
        return mean, log_var

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(N(mean, exp(log_var)) ‖ p(z | y)) in nats, ``(n,)``.

        By default it is None, for a prior without a closed form of the divergence.
        """

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config()


@keras.saving.register_keras_serializable("zoo")
class StandardNormal(Prior):
    """Standard normal prior N(0, I) (Kingma & Welling 2013)."""

    is_standard_normal = True

    def build_for(self, latent_dim, condition_size):
        """Builds the prior, which has no weights."""
        super().build_for(latent_dim, condition_size)
        self.built = True

    def call(self, noise, condition=None):
        """Returns the noise."""
        return noise

    def log_prob(self, z, condition=None):
        """Computes log N(z; 0, I) in nats, ``(n,)``."""
        return normal_log_prob(z)

    def standardize(self, z, condition=None):
        """Returns z and 0."""
        return z, ops.zeros_like(z[:, 0])

    def mean(self, condition=None):
        """Returns zeros ``(1, latent_dim)``."""
        return ops.zeros((1, self.latent_dim))

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(N(mean, exp(log_var)) ‖ N(0, I)) in nats, ``(n,)``."""
        return kl_divergence(mean, log_var)


@keras.saving.register_keras_serializable("zoo")
class ConditionalNormal(Prior):
    """Normal prior p(z | y) = N(μ, σ²) (Sohn et al. 2015, section 4).

    A network computes μ and σ² from the condition y. The encoder's output (m, v) is relative to
    the prior: q(z | x, y) = N(μ + σ m, σ² exp(v)), the residual normal distribution of Vahdat &
    Kautz 2020, section 3.2. The divergence of q from the prior is then that of N(m, exp(v)) from
    N(0, I).

    Args:
        hidden: int. Size of the network's hidden layer. Defaults to 128.
        activation: str. Activation of the hidden layer. Defaults to "elu".
    """

    conditional = True

    def __init__(self, hidden=128, activation="elu", **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.activation = hidden, activation

    def build_for(self, latent_dim, condition_size):
        """Builds the network, which maps a condition ``(n, condition_size)`` to (μ, log σ²)."""
        super().build_for(latent_dim, condition_size)
        condition = keras.Input((condition_size,), name="condition")
        h = layers.Dense(self.hidden, self.activation, name="dense")(condition)
        # Parameters of a distribution are computed in float32 also under mixed precision.
        full = keras.config.floatx()
        outputs = [
            layers.Dense(latent_dim, dtype=full, name=name)(h) for name in ("mean", "log_var")
        ]
        self.network = keras.Model(condition, outputs, name="prior")
        self.built = True

    def call(self, noise, condition=None):
        """Computes z = μ + σ noise, ``(n, latent_dim)``."""
        return reparameterize(*self.network(condition), noise)

    def log_prob(self, z, condition=None):
        """Computes log N(z; μ, σ²) in nats, ``(n,)``."""
        noise, log_det = self.standardize(z, condition)
        return normal_log_prob(noise) + log_det

    def standardize(self, z, condition=None):
        """Computes (z − μ) / σ and −Σ log σ."""
        mean, log_var = self.network(condition)
        return (z - mean) * ops.exp(-log_var / 2), -0.5 * ops.sum(log_var, axis=-1)

    def mean(self, condition=None):
        """Computes μ, ``(n, latent_dim)``."""
        return self.network(condition)[0]

    def posterior(self, mean, log_var, condition=None):
        """Computes mean μ + σ m and log-variance log σ² + v of q(z | x, y)."""
        prior_mean, prior_log_var = self.network(condition)
        return prior_mean + ops.exp(prior_log_var / 2) * mean, prior_log_var + log_var

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(N(mean, exp(log_var)) ‖ N(μ, σ²)) in nats, ``(n,)``."""
        prior_mean, prior_log_var = self.network(condition)
        return kl_divergence(
            (mean - prior_mean) * ops.exp(-prior_log_var / 2), log_var - prior_log_var
        )

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"hidden": self.hidden, "activation": self.activation}


@keras.saving.register_keras_serializable("zoo")
class Flow(Prior):
    """Flow prior: normal noise that passes through affine couplings (Xu et al. 2019).

    z = g(f⁻¹(noise | y) | y), in which f is a chain of affine couplings of vectors and g maps
    the noise of a normal prior, ``base``, to z. The posterior and its relation to the base stay
    the same, so that a flow can replace the base of a trained model. It is conditional if the
    model is.

    Args:
        couplings: int. Number of couplings. Each is followed by an invertible matrix. Defaults
            to 8.
        hidden: tuple of int. Sizes of the hidden layers of each coupling's network. Defaults to
            (128, 128).
        activation: str. Activation of the hidden layers. Defaults to "relu".
        base: str, dict or Prior. "standard_normal" or "conditional_normal". Defaults to
            "standard_normal".

    Reference:
        Xu, Chen, Lai & Shen 2019, "On the Necessity and Effectiveness of Learning the Prior of
        Variational Auto-Encoder", https://arxiv.org/abs/1905.13452
    """

    def __init__(
        self,
        couplings=8,
        hidden=(128, 128),
        activation="relu",
        base="standard_normal",
        name="prior",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.couplings = validation.positive_int(couplings, "couplings")
        self.hidden = validation.positive_ints(hidden, "hidden", least=1)
        self.activation, self.base = activation, get(base)

    def build_for(self, latent_dim, condition_size):
        """Builds the base and the couplings."""
        super().build_for(latent_dim, condition_size)
        self.conditional = condition_size is not None
        if not self.base.built:
            self.base.build_for(latent_dim, condition_size)
        network = functools.partial(bijections.dense_network, self.hidden, self.activation)
        steps = []
        for i in range(self.couplings):
            named = functools.partial(network, name=f"prior_{i}")
            steps += [bijections.Coupling(named, swap=i % 2 == 1), bijections.Linear()]
        self.flow = bijections.Chain(steps)
        self.flow.build_for((latent_dim,), (condition_size,) if self.conditional else None)
        self.built = True

    def call(self, noise, condition=None):
        """Computes z, ``(n, latent_dim)``."""
        return self.base(self.flow.inverse(noise, condition), self._of_base(condition))

    def log_prob(self, z, condition=None):
        """Computes log N(f(e); 0, I) + log |det ∂f/∂e| + log |det ∂e/∂z|, e = g⁻¹(z)."""
        # A call of the layer has this scope by itself.
        with tf.name_scope("prior"):
            base, of_base = self.base.standardize(z, self._of_base(condition))
            noise, of_flow = self.flow.forward_and_log_det(base, condition)
        return normal_log_prob(noise) + of_flow + of_base

    def posterior(self, mean, log_var, condition=None):
        """Maps the encoder's output as the base does."""
        return self.base.posterior(mean, log_var, self._of_base(condition))

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "couplings": self.couplings,
            "hidden": self.hidden,
            "activation": self.activation,
            "base": keras.saving.serialize_keras_object(self.base),
        }

    def _of_base(self, condition):
        return condition if self.base.conditional else None


PRIORS = {
    "standard_normal": StandardNormal,
    "conditional_normal": ConditionalNormal,
    "flow": Flow,
}


def get(identifier) -> Prior:
    """Returns the prior for a name, a config or the object itself.

    Raises:
        ValueError: As ``zoo.models.choices.get``.
    """
    return choices.get(identifier, "prior", Prior, PRIORS)

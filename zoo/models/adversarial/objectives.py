"""Objectives of adversarial training.

A new objective is one class with two methods::

    @keras.saving.register_keras_serializable("mine")
    class Mine(Objective):
        def discriminator_loss(self, discriminator, real, generated, seed):
            return Losses(real=..., generated=...)

        def generator_loss(self, discriminator, generated):
            return ...

    model = zoo.models.GAN(objective=Mine())
"""

import math
from types import MappingProxyType
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.models import choices, replicas


class Losses(NamedTuple):
    """Discriminator loss of a batch.

    Attributes:
        real: Terms of the real images ``(n,)``, to which sample weights apply.
        generated: Terms of the generated images ``(n,)``, including penalties.
        metrics: {name in ``Objective.metrics``: values ``(n,)``}.
    """

    real: tf.Tensor
    generated: tf.Tensor
    metrics: dict = MappingProxyType({})


class Objective(choices.Configurable):
    """Loss of the discriminator and of the generator, one value for each image.

    Attributes:
        metrics: Names of the metrics that ``discriminator_loss`` returns besides the losses.
    """

    metrics: tuple = ()

    def discriminator_loss(self, discriminator, real, generated, seed) -> Losses:
        """Computes the loss that the discriminator minimizes.

        Args:
            discriminator: Callable that maps images ``(n, height, width, channels)`` to outputs
                ``(n,)``. The labels of the batch are bound to it.
            real: float32 images ``(n, height, width, channels)`` of the data.
            generated: float32 images ``(n, height, width, channels)`` of the generator.
            seed: int64 ``(2,)`` for random numbers of ``zoo.models.replicas``.
        """
        raise NotImplementedError

    def generator_loss(self, discriminator, generated):
        """Computes the loss ``(n,)`` that the generator minimizes.

        Args:
            discriminator: As in ``discriminator_loss``.
            generated: float32 images ``(n, height, width, channels)`` of the generator.
        """
        raise NotImplementedError

    def validate(self, discriminator: keras.Model) -> None:
        """Validates that a discriminator is suitable for the objective. By default each one is.

        Raises:
            ValueError: If it is not.
        """


def squared_gradient_norm(discriminator, images):
    """Computes the squared norm ``(n,)`` of the gradient of the discriminator's output."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = discriminator(images)
    gradients = tape.gradient(outputs, images)
    return ops.sum(ops.square(gradients), axis=(1, 2, 3))


def refuse_batch_normalization(discriminator, objective):
    """Validates that a discriminator has no batch normalization, for a gradient penalty.

    Raises:
        ValueError: If it has. ``objective`` is the objective's name in the message.
    """
    if any(
        isinstance(layer, layers.BatchNormalization) for layer in discriminator._flatten_layers()
    ):
        raise ValueError(
            f"The discriminator of {objective} must not have batch normalization, because the "
            "gradient penalty must depend on each image alone; received: a discriminator with "
            "BatchNormalization layers. Use discriminator_normalization='layer' or None."
        )


def _penalty(value):
    """Validates and returns the weight of a gradient penalty."""
    if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"gradient_penalty must be a number of at least 0; received: {value!r}.")
    return value


class Probabilistic(Objective):
    """Objective of a discriminator with a probability.

    The discriminator's output is the logit of D(x), the probability that x is real.

    Args:
        label_smoothing: float in [0, 1). Difference of the target of real images from 1 (one-sided
            label smoothing, Salimans et al. 2016, section 3.4). Defaults to 0.0.
        gradient_penalty: float. Weight γ of γ/2 ‖∇f(x)‖², the penalty at real images x,
            where f is the logit (R1, Mescheder et al. 2018, arXiv 1801.04406, equation 9).
            Defaults to 0.0.
    """

    metrics = ("probability_real", "probability_generated")

    def __init__(self, label_smoothing=0.0, gradient_penalty=0.0):
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "label_smoothing must be at least 0 and less than 1; "
                f"received: {label_smoothing!r}."
            )
        self.label_smoothing = label_smoothing
        self.gradient_penalty = _penalty(gradient_penalty)

    def discriminator_loss(self, discriminator, real, generated, seed):
        """Computes −log D(x) − log(1 − D(G(z))), Goodfellow et al. 2014, equation 1."""
        on_real, on_generated = discriminator(real), discriminator(generated)
        s = self.label_smoothing
        log_loss = (1 - s) * ops.softplus(-on_real) + s * ops.softplus(on_real)
        return Losses(
            real=log_loss + self.penalty(discriminator, real),
            generated=ops.softplus(on_generated),
            metrics={
                "probability_real": ops.sigmoid(on_real),
                "probability_generated": ops.sigmoid(on_generated),
            },
        )

    def penalty(self, discriminator, real):
        """Computes γ/2 ‖∇f(x)‖² ``(n,)`` of the logit f, or 0.0 without a penalty."""
        if not self.gradient_penalty:
            return 0.0
        return self.gradient_penalty / 2 * squared_gradient_norm(discriminator, real)

    def validate(self, discriminator):
        """Validates that with a gradient penalty the discriminator has no batch normalization.

        Raises:
            ValueError: If it has.
        """
        if self.gradient_penalty:
            refuse_batch_normalization(discriminator, "an objective with gradient_penalty")

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            "label_smoothing": self.label_smoothing,
            "gradient_penalty": self.gradient_penalty,
        }


@keras.saving.register_keras_serializable("zoo")
class NonSaturating(Probabilistic):
    """Non-saturating objective (Goodfellow et al. 2014, section 3).

    The generator maximizes log D(G(z)).
    """

    def generator_loss(self, discriminator, generated):
        """Computes −log D(G(z))."""
        return ops.softplus(-discriminator(generated))


@keras.saving.register_keras_serializable("zoo")
class Minimax(Probabilistic):
    """Minimax objective (Goodfellow et al. 2014, equation 1).

    The generator minimizes log(1 − D(G(z))).
    """

    def generator_loss(self, discriminator, generated):
        """Computes log(1 − D(G(z)))."""
        return -ops.softplus(discriminator(generated))


@keras.saving.register_keras_serializable("zoo")
class LeastSquares(Objective):
    """Least-squares objective (Mao et al. 2016, arXiv 1611.04076, equation 9).

    The targets are a = 0 and b = c = 1.
    """

    def discriminator_loss(self, discriminator, real, generated, seed):
        """Computes ½ (D(x) − 1)² + ½ D(G(z))²."""
        return Losses(
            ops.square(discriminator(real) - 1) / 2, ops.square(discriminator(generated)) / 2
        )

    def generator_loss(self, discriminator, generated):
        """Computes ½ (D(G(z)) − 1)²."""
        return ops.square(discriminator(generated) - 1) / 2


@keras.saving.register_keras_serializable("zoo")
class Hinge(Objective):
    """Hinge objective (Lim & Ye 2017).

    The form is that of Miyato et al. 2018, arXiv 1802.05957, equations 16 and 17.
    """

    def discriminator_loss(self, discriminator, real, generated, seed):
        """Computes max(0, 1 − D(x)) + max(0, 1 + D(G(z)))."""
        return Losses(ops.relu(1 - discriminator(real)), ops.relu(1 + discriminator(generated)))

    def generator_loss(self, discriminator, generated):
        """Computes −D(G(z))."""
        return -discriminator(generated)


@keras.saving.register_keras_serializable("zoo")
class Wasserstein(Objective):
    """Wasserstein objective with gradient penalty (Gulrajani et al. 2017, equation 3).

    arXiv 1704.00028. The paper trains with ``discriminator_steps=5`` and Adam at 1e-4 with beta_1
    of 0 and beta_2 of 0.9.

    Args:
        gradient_penalty: float. Weight λ of the penalty. Defaults to 10.0.
    """

    metrics = ("gradient_norm",)

    def __init__(self, gradient_penalty=10.0):
        self.gradient_penalty = _penalty(gradient_penalty)

    def discriminator_loss(self, discriminator, real, generated, seed):
        """Computes D(G(z)) − D(x) + λ (‖∇D(x̂)‖ − 1)².

        x̂ is drawn uniformly from the line between x and G(z).
        """
        weight = replicas.uniform([tf.shape(real)[0], 1, 1, 1], seed, dtype=real.dtype)
        points = weight * real + (1 - weight) * generated
        norm = ops.sqrt(squared_gradient_norm(discriminator, points) + 1e-12)
        penalty = self.gradient_penalty * ops.square(norm - 1)
        return Losses(
            -discriminator(real), discriminator(generated) + penalty, {"gradient_norm": norm}
        )

    def generator_loss(self, discriminator, generated):
        """Computes −D(G(z))."""
        return -discriminator(generated)

    def validate(self, discriminator):
        """Validates that the discriminator has no batch normalization.

        Raises:
            ValueError: If it has.
        """
        refuse_batch_normalization(discriminator, "the 'wasserstein' objective")

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"gradient_penalty": self.gradient_penalty}


OBJECTIVES = {
    "non_saturating": NonSaturating,
    "minimax": Minimax,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
}


def get(identifier) -> Objective:
    """Returns the objective for a name, a config or the object itself.

    Raises:
        ValueError: As ``zoo.models.choices.get``.
    """
    return choices.get(identifier, "objective", Objective, OBJECTIVES)

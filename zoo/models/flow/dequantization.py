"""Dequantization: adds noise u in [0, 1) to 8-bit images, so that they have a density.

An image of grey levels k = 0, …, 255 becomes x = (k + u) / 256. A new dequantization is one
subclass of ``Dequantization``, given as ``zoo.models.Glow(dequantization=Mine())``.
"""

import functools

import keras
from keras import layers, ops

from zoo.models import bijections, choices

LEVELS = 256


def dequantized(images, u):
    """Computes x = (k + u) / 256 in [0, 1) from images k / 255."""
    return (ops.round(images * (LEVELS - 1)) + u) / LEVELS


class Dequantization(layers.Layer):
    """Distribution q(u | image) of the noise.

    Attributes:
        is_uniform: Whether u is uniform in [0, 1). An artifact then has no signature for it.
    """

    is_uniform = False

    def build_for(self, image_shape: tuple) -> None:
        """Creates the weights for images of a shape (height, width, channels)."""
        self.built = True

    def call(self, images, uniform, training=False):
        """Draws u.

        Args:
            images: float32 ``(n, *image_shape)`` in [0, 1].
            uniform: Uniform noise in (0, 1), ``(n, *image_shape)``.
            training: Whether networks run in training mode.

        Returns:
            (u, log_prob): u of the shape of the images, and log q(u | image) in nats, ``(n,)``.
        """
        raise NotImplementedError

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config()


@keras.saving.register_keras_serializable("zoo")
class Uniform(Dequantization):
    """Uniform noise (Theis et al. 2016, arXiv 1511.01844, section 3.1)."""

    is_uniform = True

    def call(self, images, uniform, training=False):
        """Returns the noise and log q = 0."""
        return uniform, ops.zeros_like(uniform[:, 0, 0, 0])


@keras.saving.register_keras_serializable("zoo")
class Variational(Dequantization):
    """Noise from a flow given the image (Ho et al. 2019, arXiv 1902.00275, section 3.1).

    The logits of uniform noise pass through affine couplings that are given the image, and the
    logistic function maps the result back to (0, 1). The first noise is uniform.

    Args:
        couplings: int. Number of couplings. Defaults to 4.
        filters: int. Channels of their networks. Defaults to 32.
    """

    def __init__(self, couplings=4, filters=32, **kwargs):
        super().__init__(**kwargs)
        self.couplings, self.filters = couplings, filters

    def build_for(self, image_shape):
        """Builds the couplings, on the grid of 2x2 cells."""
        height, width, channels = image_shape
        network = functools.partial(bijections.convolutional_network, self.filters, 1, "elu")
        self.squeeze = bijections.Squeeze()
        shape = self.squeeze.build_for((height, width, channels))
        self.flow = bijections.Chain(
            [bijections.Coupling(network, swap=i % 2 == 1) for i in range(self.couplings)]
        )
        self.flow.build_for(shape, shape)
        super().build_for(image_shape)

    def call(self, images, uniform, training=False):
        """Computes u and log q(u | image) = −log |det ∂u / ∂uniform|."""
        logits = ops.log(uniform) - ops.log(1 - uniform)
        given = self.squeeze.forward(images - 0.5)
        y, log_det = self.flow.forward_and_log_det(self.squeeze.forward(logits), given, training)
        y = self.squeeze.inverse(y)
        # The derivatives of the logit and of the logistic function.
        log_det += bijections.sum_of_row(
            -ops.log(uniform) - ops.log(1 - uniform) - ops.softplus(y) - ops.softplus(-y)
        )
        return ops.sigmoid(y), -log_det

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"couplings": self.couplings, "filters": self.filters}


DEQUANTIZATIONS = {"uniform": Uniform, "variational": Variational}


def get(identifier) -> Dequantization:
    """Returns the dequantization for a name, a config or the object itself.

    Raises:
        ValueError: As ``zoo.models.choices.get``.
    """
    return choices.get(identifier, "dequantization", Dequantization, DEQUANTIZATIONS)

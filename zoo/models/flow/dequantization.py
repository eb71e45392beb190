"""Dequantization: adds noise u in [0, 1) to 8-bit images, so that they have a density.

An image of grey levels k = 0, …, 255 becomes x = (k + u) / 256. A new dequantization is one
subclass of ``Dequantization``, given as ``zoo.models.Glow(dequantization=Mine())``.
"""

import functools
import math

import keras
from keras import layers, ops

from zoo.inference import validation
from zoo.inference.methods import LEVELS
from zoo.models import bijections, choices, replicas


def dequantized(images, u):
    """Computes x = (k + u) / 256 in [0, 1) from images k / 255."""
    return (ops.round(images * (LEVELS - 1)) + u) / LEVELS


class Dequantization(layers.Layer):
    """Distribution q(u | image) of the noise.

    Attributes:
        is_uniform: Whether u is the noise, which is uniform. An artifact then has no signature
            for it.
    """

    is_uniform = False

    def __init__(self, **kwargs):
        # The noise and its density are computed in float32 also under mixed precision.
        super().__init__(**{"dtype": keras.config.floatx()} | kwargs)

    def build_for(self, image_shape: tuple) -> None:
        """Creates the weights for images of a shape (height, width, channels)."""
        self.built = True

    def draw(self, shape, seed):
        """Draws the noise of ``call`` for training.

        Args:
            shape: Shape of a batch of images.
            seed: int32 or int64 ``(2,)``, for random numbers of ``zoo.models.replicas``.
        """
        raise NotImplementedError

    def call(self, images, noise, training=False):
        """Computes u.

        Args:
            images: float32 ``(n, *image_shape)`` in [0, 1].
            noise: float32 ``(n, *image_shape)``, uniform in (0, 1) if ``is_uniform``, otherwise
                standard normal.
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

    def draw(self, shape, seed):
        """Draws the noise, which is uniform in (0, 1): 0 has no logit."""
        return replicas.uniform(shape, seed, 2.0**-24, 1 - 2.0**-24)

    def call(self, images, noise, training=False):
        """Returns the noise and log q = 0."""
        return noise, ops.zeros_like(noise[:, 0, 0, 0])


@keras.saving.register_keras_serializable("zoo")
class Variational(Dequantization):
    """Noise from a flow given the image (Ho et al. 2019, arXiv 1902.00275, section 3.1).

    Normal noise is scaled and shifted by a network of the image, passes through affine couplings
    that are given the image, and the logistic function maps the result to (0, 1).

    Args:
        couplings: int. Number of couplings. Defaults to 2.
        filters: int. Channels of the networks, which have one hidden layer. Defaults to 32.
    """

    def __init__(self, couplings=2, filters=32, **kwargs):
        super().__init__(**kwargs)
        self.couplings = validation.count(couplings, "couplings")
        self.filters = validation.positive_int(filters, "filters")

    def build_for(self, image_shape):
        """Builds the networks, on the grid of 2x2 cells."""
        network = functools.partial(bijections.convolutional_network, self.filters, None)
        self.squeeze = bijections.Squeeze()
        shape = self.squeeze.build_for(image_shape)
        self.first = network(shape, 2 * shape[-1], None)
        self.flow = bijections.Chain(
            [bijections.Coupling(network, swap=i % 2 == 1) for i in range(self.couplings)]
        )
        self.flow.build_for(shape, shape)
        super().build_for(image_shape)

    def draw(self, shape, seed):
        """Draws the noise, which is standard normal."""
        return replicas.normal(shape, seed)

    def call(self, images, noise, training=False):
        """Computes u and log q(u | image) = log N(noise; 0, I) − log |det ∂u / ∂noise|."""
        given = self.squeeze.forward(images - 0.5)
        shift, log_scale = bijections.affine(self.first, given, None, training)
        y = (self.squeeze.forward(noise) + shift) * ops.exp(log_scale)
        y, log_det = self.flow.forward_and_log_det(y, given, training)
        y = self.squeeze.inverse(y)
        # The last two terms are the logarithm of the derivative of the logistic function.
        return ops.sigmoid(y), -log_det - bijections.sum_of_row(
            0.5 * ops.square(noise)
            + 0.5 * math.log(2 * math.pi)
            - ops.softplus(y)
            - ops.softplus(-y)
        ) - bijections.sum_of_row(log_scale)

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

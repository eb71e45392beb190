"""Plain VAE of the Keras tutorial, a baseline to compare other models with."""

import math

import keras
from keras import layers

from zoo.models.generative import dimensions
from zoo.models.variational.model import VariationalModel

KERNEL = {"kernel_size": 3, "padding": "same", "activation": "relu"}


@keras.saving.register_keras_serializable("zoo")
class BaselineVAE(VariationalModel):
    """Variational autoencoder with the layers of Keras's tutorial "Variational AutoEncoder".

    Args:
        image_shape: tuple. (height, width, channels) of the images, whose height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 2.
        **training: ``prior``, ``beta``, ``importance_samples``, ``seed`` and ``name`` as in
            ``zoo.models.variational.model.VariationalModel``.

    Reference:
        https://keras.io/examples/generative/vae
    """

    tags = ("variational", "baseline")
    # A baseline is compared in float32 alone.
    has_int8 = False

    def __init__(self, image_shape=(28, 28, 1), latent_dim=2, **training):
        image_shape, latent_dim, _ = dimensions(image_shape, latent_dim, None)
        super().__init__(
            _encoder(image_shape, latent_dim),
            _decoder(image_shape, latent_dim),
            image_shape=image_shape,
            latent_dim=latent_dim,
            **training,
        )


def _encoder(image_shape, latent_dim):
    images = keras.Input(image_shape, name="images")
    x = images
    for filters in (32, 64):
        x = layers.Conv2D(filters, strides=2, **KERNEL)(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    full = keras.config.floatx()
    outputs = [layers.Dense(latent_dim, dtype=full, name=name)(x) for name in ("mean", "log_var")]
    return keras.Model(images, outputs, name="encoder")


def _decoder(image_shape, latent_dim):
    height, width, channels = image_shape
    grid = (height // 4, width // 4, 64)
    z = keras.Input((latent_dim,), name="z")
    x = layers.Reshape(grid)(layers.Dense(math.prod(grid), activation="relu")(z))
    for filters in (64, 32):
        x = layers.Conv2DTranspose(filters, strides=2, **KERNEL)(x)
    logits = layers.Conv2DTranspose(channels, 3, padding="same", dtype=keras.config.floatx())(x)
    return keras.Model(z, logits, name="decoder")

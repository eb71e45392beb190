"""Plain convolutional GAN of a Keras tutorial, a baseline to compare other models with."""

import keras
from keras import layers

from zoo.models.adversarial.model import AdversarialModel
from zoo.models.generative import dimensions


@keras.saving.register_keras_serializable("zoo")
class BaselineDCGAN(AdversarialModel):
    """Convolutional GAN with the layers of Keras's tutorial "Conditional GAN", without labels.

    It has neither batch normalization nor a moving average of the weights.

    Args:
        image_shape: tuple. (height, width, channels) of the images, whose height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 128.
        **training: ``objective``, ``discriminator_steps``, ``instance_noise``,
            ``augmentations``, ``ema``, ``seed`` and ``name`` as in
            ``zoo.models.adversarial.model.AdversarialModel``.

    Reference:
        https://keras.io/examples/generative/conditional_gan
    """

    tags = ("adversarial", "baseline")
    # A baseline is compared in float32 alone.
    has_int8 = False

    def __init__(self, image_shape=(28, 28, 1), latent_dim=128, **training):
        image_shape, latent_dim, _ = dimensions(image_shape, latent_dim, None)
        super().__init__(
            _generator(image_shape, latent_dim),
            _discriminator(image_shape),
            image_shape=image_shape,
            latent_dim=latent_dim,
            **training,
        )


def _generator(image_shape, latent_dim):
    height, width, channels = image_shape
    z = keras.Input((latent_dim,), name="z")
    x = layers.Dense(height // 4 * (width // 4) * latent_dim)(z)
    x = layers.Reshape((height // 4, width // 4, latent_dim))(layers.LeakyReLU(0.2)(x))
    for _ in range(2):
        x = layers.Conv2DTranspose(128, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(channels, 7, padding="same", dtype=keras.config.floatx())(x)
    return keras.Model(z, layers.Activation("sigmoid")(x), name="generator")


def _discriminator(image_shape):
    images = keras.Input(image_shape, name="images")
    x = images
    for filters in (64, 128):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 3, strides=2, padding="same")(x))
    x = layers.Dense(1, dtype=keras.config.floatx())(layers.GlobalMaxPooling2D()(x))
    return keras.Model(images, layers.Reshape(())(x), name="discriminator")

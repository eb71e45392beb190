"""The deep convolutional generative adversarial network."""

import math

import keras
from keras import layers, ops

from zoo import checks
from zoo.models.adversarial import Adversarial
from zoo.models.layers import Conv2DTranspose, OneHot

# N(0, 0.02), as section 4 of the paper has it for every weight.
NORMAL = keras.initializers.RandomNormal(0.0, 0.02)
# Batch normalization with Keras's epsilon of 1e-3 would drown the small activations that such weights give.
EPSILON = 1e-5


@keras.saving.register_keras_serializable("zoo")
class DCGAN(Adversarial):
    """Deep convolutional GAN after the guidelines of Radford et al. 2015.

    No pooling, strided convolutions in the discriminator and transposed ones in the generator; batch normalization in both
    but at the generator's output and the discriminator's input; no dense layer; ReLU and tanh in the generator, LeakyReLU of
    slope 0.2 in the discriminator. With labels, the label enters at every convolution: the generator's first one sees it
    beside z, the discriminator's last one has an output for each label, of which the given one counts (a projection, Miyato &
    Koyama 2018), and to each channel of those between a number is added that the label decides, which is what a
    convolution over constant maps of the label adds away from the borders.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1]. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 100.
        filters: tuple of int. Channels of the generator's grids, from the first one to the last but the image; each
            convolution doubles the grid. The discriminator's are the same backwards. None halves the grid until it has 4
            cells a side, with 128 filters at the largest grid and twice as many at each coarser one: (512, 256, 128) for
            28x28 (4, 7 and 14 cells) and for 32x32, and the paper's (1024, 512, 256, 128) for 64x64. Defaults to None.
        kernel_size: int. Of the strided convolutions. Defaults to 5, as in the paper; a multiple of the stride, 4, leaves no
            checkerboard (Odena et al. 2016).
        discriminator_filters: tuple of int. Channels of the discriminator's grids, from the largest one to the last; None takes
            the generator's backwards. Defaults to None.
        num_classes: int. Number of labels. A dataset element is ``(images, labels)``. Defaults to None.
        generator_loss, discriminator_steps, label_smoothing, instance_noise, ema, seed, name: As in ``GAN``.

    Example:

    ```python
    model = zoo.models.DCGAN(filters=(64, 32), num_classes=10)
    model.fit(images, labels, batch_size=128, epochs=10)
    model.sample(16, labels=7, seed=0)
    ```

    Reference:
        Radford, Metz & Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks", https://arxiv.org/abs/1511.06434
    """

    def __init__(
        self, image_shape=(28, 28, 1), latent_dim=100, *, filters=None, discriminator_filters=None, kernel_size=5,
        num_classes=None, generator_loss="non_saturating", discriminator_steps=1, label_smoothing=0.0, instance_noise=0.0,
        ema=None, seed=0, name=None,
    ):  # fmt: skip
        image_shape = checks.dimensions(image_shape, latent_dim, num_classes)
        if filters is None:
            stages = math.ceil(math.log2(min(image_shape[:2]) / 4))
            filters = [128 * 2**i for i in reversed(range(stages))]
        self.filters, self.discriminator_filters = checks.counts(filters, "filters"), discriminator_filters
        if discriminator_filters is not None:
            self.discriminator_filters = checks.counts(discriminator_filters, "discriminator_filters")
        self.kernel_size = checks.count(kernel_size, "kernel_size")
        # What strided convolutions make of the image's grid, half of it rounded up each time.
        grids = [tuple(-(-side // 2**i) for side in image_shape[:2]) for i in range(len(self.filters) + 1)]
        if not self.filters or min(grids[-1]) < 2:
            raise ValueError(
                f"Each of the filters halves the grid, from {image_shape[0]}x{image_shape[1]} to 2 cells a side or more, and "
                f"there is at least 1, but the filters are {self.filters}."
            )
        super().__init__(
            _generator(grids[::-1], image_shape[2], latent_dim, self.filters, kernel_size, num_classes),
            _discriminator(image_shape, self.discriminator_filters or self.filters[::-1], kernel_size, num_classes),
            num_classes=num_classes, generator_loss=generator_loss, discriminator_steps=discriminator_steps,
            label_smoothing=label_smoothing, instance_noise=instance_noise, ema=ema, seed=seed, name=name,
        )  # fmt: skip

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters, "discriminator_filters": self.discriminator_filters, "kernel_size": self.kernel_size
        }  # fmt: skip


def _label(num_classes):
    """The label's input in a list and its one-hot map ``(n, 1, 1, num_classes)``, or an empty list and None."""
    if num_classes is None:
        return [], None
    label = keras.Input((), dtype="int32", name="label")
    return [label], layers.Reshape((1, 1, num_classes))(OneHot(num_classes)(label))


def _shift(x, one_hot, name):
    """Adds to each channel a number that the label decides, where there is a label."""
    if one_hot is None:
        return x
    return x + layers.Conv2D(x.shape[-1], 1, use_bias=False, kernel_initializer=NORMAL, name=name)(one_hot)


def _generator(grids, channels, latent_dim, filters, kernel_size, num_classes):
    z = keras.Input((latent_dim,), name="z")
    label, one_hot = _label(num_classes)
    x = layers.Reshape((1, 1, latent_dim))(z)
    x = x if one_hot is None else layers.Concatenate()([x, one_hot])
    x = Conv2DTranspose(
        filters[0], grids[0], grids[0], strides=grids[0], use_bias=False, kernel_initializer=NORMAL, name="project"
    )(x)  # fmt: skip
    for i, (size, grid) in enumerate(zip((*filters[1:], channels), grids[1:])):
        x = layers.ReLU()(layers.BatchNormalization(epsilon=EPSILON, name=f"normalize_{i}")(x))
        x = Conv2DTranspose(
            size, kernel_size, grid, strides=2, use_bias=i == len(filters) - 1, kernel_initializer=NORMAL, name=f"conv_{i}"
        )(x)  # fmt: skip
        x = _shift(x, one_hot, f"shift_{i}")
    full = keras.config.floatx()
    x = layers.Rescaling(0.5, 0.5, dtype=full)(layers.Activation("tanh", dtype=full)(x))
    return keras.Model([z, *label] if label else z, x, name="generator")


def _discriminator(image_shape, filters, kernel_size, num_classes):
    images = keras.Input(image_shape, name="images")
    label, one_hot = _label(num_classes)
    x = layers.Rescaling(2.0, -1.0)(images)
    for i, size in enumerate(filters):
        x = layers.Conv2D(
            size, kernel_size, strides=2, padding="same", use_bias=i == 0, kernel_initializer=NORMAL, name=f"conv_{i}"
        )(x)  # fmt: skip
        x = _shift(x, one_hot, f"shift_{i}")
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"normalize_{i}")(x) if i else x
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(num_classes or 1, x.shape[1:3], kernel_initializer=NORMAL, name="logit")(x)
    x = x if one_hot is None else ops.sum(x * one_hot, axis=-1)
    x = layers.Reshape((), dtype=keras.config.floatx())(x)
    return keras.Model([images, *label] if label else images, x, name="discriminator")

"""Deep convolutional generative adversarial network."""

import math

import keras
from keras import layers, ops

from zoo.inference import validation
from zoo.models.adversarial.model import AdversarialModel
from zoo.models.generative import dimensions
from zoo.models.layers import Conv2DTranspose, OneHot, SpectralConv2D, batch_normalization

# These weights give activations of a small variance, compared with which Keras's default of 1e-3
# would be large.
EPSILON = 1e-5

NORMALIZATIONS = ("batch", "layer", "spectral", None)


@keras.saving.register_keras_serializable("zoo")
class DCGAN(AdversarialModel):
    """Deep convolutional GAN by the guidelines of Radford et al. 2015.

    The discriminator has strided convolutions and the generator transposed convolutions, without
    pooling and dense layers. Both have batch normalization, except at the generator's output and
    the discriminator's input. The generator has ReLU and tanh activations, the discriminator
    LeakyReLU of slope 0.2.

    With labels, every convolution depends on the label. The one-hot label is concatenated to z
    before the generator's first convolution. The discriminator's last convolution has one output
    for each label, of which the one of the given label is used (a projection, Miyato & Koyama
    2018). At each convolution in between, a number that depends on the label is added to each
    channel. A convolution over constant maps of the label adds the same except at the borders.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 100.
        filters: tuple of int. Channels of the generator's grids, from the smallest grid to the
            largest one before the image. Each convolution doubles the grid. With None the smallest
            grid has 4 rows and columns, the largest has 128 filters, and each smaller one twice as
            many: (512, 256, 128) for 28x28 (grids of 4, 7 and 14) and for 32x32, and the paper's
            (1024, 512, 256, 128) for 64x64. Defaults to None.
        discriminator_filters: tuple of int. Channels of the discriminator's grids, from the largest
            to the smallest. None uses ``filters`` in reverse order. Defaults to None.
        kernel_size: int. Kernel size of the strided convolutions. Defaults to 5, as in the paper. A
            multiple of the stride, such as 4, avoids checkerboard patterns (Odena et al. 2016).
        discriminator_normalization: str. "batch", "layer", "spectral" (Miyato et al. 2018) or None.
            Defaults to "batch".
        num_classes: int. Number of labels. A dataset element is then ``(images, labels)``. Defaults
            to None.
        generator: keras.Model. Generator to use instead of the one described above. Defaults to
            None.
        discriminator: keras.Model. Discriminator to use instead of the one described above.
            Defaults to None.
        **training: ``objective``, ``discriminator_steps``, ``instance_noise``,
            ``augmentations``, ``ema``, ``seed`` and ``name`` as in
            ``zoo.models.adversarial.model.AdversarialModel``.

    Example:
    ```python
    model = zoo.models.DCGAN(filters=(64, 32), num_classes=10)
    model.fit(images, labels, batch_size=128, epochs=10)
    model.sample(16, labels=7, seed=0)
    ```

    Reference:
        Radford, Metz & Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional
        Generative Adversarial Networks", https://arxiv.org/abs/1511.06434
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=100,
        *,
        filters=None,
        discriminator_filters=None,
        kernel_size=5,
        discriminator_normalization="batch",
        num_classes=None,
        generator=None,
        discriminator=None,
        **training,
    ):
        image_shape, latent_dim, num_classes = dimensions(image_shape, latent_dim, num_classes)
        filters = _default_filters(image_shape) if filters is None else filters
        filters = validation.positive_ints(filters, "filters")
        if discriminator_filters is not None:
            discriminator_filters = validation.positive_ints(
                discriminator_filters, "discriminator_filters"
            )
        validation.positive_int(kernel_size, "kernel_size")
        if discriminator_normalization not in NORMALIZATIONS:
            raise ValueError(
                "discriminator_normalization must be one of "
                f"{', '.join(map(repr, NORMALIZATIONS))}; "
                f"received: {discriminator_normalization!r}."
            )

        # Networks
        given = generator, discriminator
        grids = _grids(image_shape, filters)
        if generator is None:
            generator = _generator(
                grids[::-1], image_shape[2], latent_dim, filters, kernel_size, num_classes
            )
        if discriminator is None:
            discriminator = _discriminator(
                image_shape,
                discriminator_filters or filters[::-1],
                kernel_size,
                num_classes,
                discriminator_normalization,
            )

        # Training
        super().__init__(
            generator,
            discriminator,
            image_shape=image_shape,
            latent_dim=latent_dim,
            num_classes=num_classes,
            **training,
        )

        # Configuration
        self.filters, self.discriminator_filters = filters, discriminator_filters
        self.kernel_size = kernel_size
        self.discriminator_normalization = discriminator_normalization
        self.given_networks = dict(zip(("generator", "discriminator"), given))

    def get_config(self):
        """Returns the configuration of ``AdversarialModel`` and the sizes of the networks."""
        return super().get_config() | {
            "filters": self.filters,
            "discriminator_filters": self.discriminator_filters,
            "kernel_size": self.kernel_size,
            "discriminator_normalization": self.discriminator_normalization,
        }


def _normal():
    """Returns a new initializer of weights, section 4 of the paper.

    One initializer gives equal values to all weights of one shape.
    """
    return keras.initializers.RandomNormal(0.0, 0.02)


def _default_filters(image_shape):
    stages = math.ceil(math.log2(min(image_shape[:2]) / 4))
    return tuple(128 * 2**i for i in reversed(range(stages)))


def _grids(image_shape, filters):
    """Returns the grids from the image's to the smallest, each half the previous, rounded up."""
    grids = [tuple(-(-side // 2**i) for side in image_shape[:2]) for i in range(len(filters) + 1)]
    if not filters or min(grids[-1]) < 2:
        raise ValueError(
            "filters must have at least 1 element, and each element halves the grid of "
            f"{image_shape[0]}x{image_shape[1]}, which must keep at least 2 rows and columns; "
            f"received: {filters}."
        )
    return grids


def _label_input(num_classes):
    """Returns the label's input in a list and its one-hot map ``(n, 1, 1, num_classes)``.

    Without labels it returns an empty list and None.
    """
    if num_classes is None:
        return [], None
    label = keras.Input((), dtype="int32", name="label")
    return [label], layers.Reshape((1, 1, num_classes))(OneHot(num_classes)(label))


def _shift(x, one_hot, name):
    """Adds to each channel a number that depends on the label, if there is a label."""
    if one_hot is None:
        return x
    return x + layers.Conv2D(
        x.shape[-1], 1, use_bias=False, kernel_initializer=_normal(), name=name
    )(one_hot)


def _generator(grids, channels, latent_dim, filters, kernel_size, num_classes):
    z = keras.Input((latent_dim,), name="z")
    label, one_hot = _label_input(num_classes)
    x = layers.Reshape((1, 1, latent_dim))(z)
    x = x if one_hot is None else layers.Concatenate()([x, one_hot])
    project = {
        "strides": grids[0],
        "use_bias": False,
        "kernel_initializer": _normal(),
        "name": "project",
    }
    x = Conv2DTranspose(filters[0], grids[0], grids[0], **project)(x)
    for i, (size, grid) in enumerate(zip((*filters[1:], channels), grids[1:])):
        x = layers.ReLU()(batch_normalization(epsilon=EPSILON, name=f"normalize_{i}")(x))
        last = i == len(filters) - 1
        settings = {
            "strides": 2,
            "use_bias": last,
            "kernel_initializer": _normal(),
            "name": f"conv_{i}",
        }
        x = _shift(Conv2DTranspose(size, kernel_size, grid, **settings)(x), one_hot, f"shift_{i}")
    full = keras.config.floatx()
    x = layers.Rescaling(0.5, 0.5, dtype=full)(layers.Activation("tanh", dtype=full)(x))
    return keras.Model([z, *label] if label else z, x, name="generator")


def _discriminator(image_shape, filters, kernel_size, num_classes, normalization):
    convolution = SpectralConv2D if normalization == "spectral" else layers.Conv2D
    normalize = {"batch": batch_normalization, "layer": layers.LayerNormalization}.get(
        normalization
    )
    images = keras.Input(image_shape, name="images")
    label, one_hot = _label_input(num_classes)
    x = layers.Rescaling(2.0, -1.0)(images)
    for i, size in enumerate(filters):
        # A normalization layer has its own bias.
        settings = {
            "use_bias": i == 0 or normalize is None,
            "kernel_initializer": _normal(),
            "name": f"conv_{i}",
        }
        x = convolution(size, kernel_size, strides=2, padding="same", **settings)(x)
        x = _shift(x, one_hot, f"shift_{i}")
        if i and normalize:
            x = normalize(epsilon=EPSILON, name=f"normalize_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
    x = convolution(num_classes or 1, x.shape[1:3], kernel_initializer=_normal(), name="output")(x)
    x = x if one_hot is None else ops.sum(x * one_hot, axis=-1)
    outputs = layers.Reshape((), dtype=keras.config.floatx())(x)
    return keras.Model([images, *label] if label else images, outputs, name="discriminator")

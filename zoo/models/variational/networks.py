"""Encoder and decoder of variational models, as functional Keras models.

The encoder has convolutional stages (``filters``), each of which halves the grid, residual blocks
on the last grid (``blocks``), a 1x1 convolution to fewer channels (``bottleneck``) and dense layers
(``hidden``). The decoder has the same in reverse
order, and computes the image from the last grid by one sub-pixel convolution (Shi et al. 2016,
equation 4). Without filters both are the dense networks of the papers. A condition is concatenated
to the input of the first dense layer of each network.
"""

import math

import keras
from keras import layers

from zoo.models.layers import Center, DepthToSpace, OneHot, OneHots, PixelBias


def check_grid(image_shape, filters, blocks, bottleneck) -> None:
    """Validates that the convolutional stages divide the grid of an image.

    Args:
        image_shape: (height, width, channels).
        filters: Channels of the stages, each of which halves the grid.
        blocks: Number of residual blocks.
        bottleneck: Channels of the 1x1 convolution, or None.

    Raises:
        ValueError: If the grid is not divisible, or if there are residual blocks or a bottleneck
            without stages.
    """
    for name, value, none in (("blocks", blocks, 0), ("bottleneck", bottleneck, None)):
        if value and not filters:
            raise ValueError(
                f"{name} must be {none} without filters; received: {value!r}. Give filters too."
            )
    stride = 2 ** len(filters)
    height, width, _ = image_shape
    if height % stride or width % stride:
        raise ValueError(
            f"image_shape must be a multiple of {stride} in height and width for {len(filters)} "
            f"filters, each of which halves the grid; received: {image_shape}."
        )


def encoder(
    image_shape, latent_dim, hidden, filters, blocks, bottleneck, activation, condition
) -> keras.Model:
    """Builds the encoder, from images (and a condition) to mean and log_var ``(n, latent_dim)``.

    Args:
        image_shape: (height, width, channels).
        latent_dim: Length of z.
        hidden: Sizes of the dense layers.
        filters: Channels of the convolutional stages.
        blocks: Number of residual blocks.
        bottleneck: Channels of the 1x1 convolution between the grid and the dense layers, or None.
        activation: Activation of the hidden layers.
        condition: Function that returns the condition's ``keras.Input`` and flat tensor, as
            ``condition_input`` does.
    """
    images = keras.Input(image_shape, name="images")
    given, flat = condition()
    x = Center(name="center")(images)
    for i, size in enumerate(filters):
        x = layers.Activation(activation)(x) if i else x
        x = layers.Conv2D(size, 3 if i else 5, strides=2, padding="same", name=f"conv_{i}")(x)
    if filters:
        x = layers.Activation(activation)(_residual_blocks(x, blocks, activation))
    if bottleneck:
        x = layers.Activation(activation)(layers.Conv2D(bottleneck, 1, name="bottleneck")(x))
    x = layers.Flatten()(x)
    x = x if flat is None else layers.Concatenate()([x, flat])
    for i, size in enumerate(hidden):
        x = layers.Activation(activation)(layers.Dense(size, name=f"dense_{i}")(x))
    # Parameters of a distribution are computed in float32 also under mixed precision.
    full = keras.config.floatx()
    outputs = [layers.Dense(latent_dim, dtype=full, name=name)(x) for name in ("mean", "log_var")]
    return keras.Model(images if given is None else [images, given], outputs, name="encoder")


def decoder(
    image_shape, latent_dim, hidden, filters, blocks, bottleneck, activation, condition, parameters
) -> keras.Model:
    """Builds the decoder, from z (and a condition) to the parameters of p(x | z).

    The output is ``(n, height, width, channels * parameters)``.

    Args:
        image_shape: (height, width, channels).
        latent_dim: Length of z.
        hidden: Sizes of the encoder's dense layers, used in reverse order.
        filters: Channels of the encoder's stages, used in reverse order.
        blocks: Number of residual blocks.
        bottleneck: Channels of the 1x1 convolution between the grid and the dense layers, or None.
        activation: Activation of the hidden layers.
        condition: As in ``encoder``.
        parameters: Number of parameters of each value of an image.
    """
    height, width, channels = image_shape
    stride, channels = 2 ** len(filters), channels * parameters
    full = keras.config.floatx()
    z = keras.Input((latent_dim,), name="z")
    given, flat = condition()
    x = z if flat is None else layers.Concatenate()([z, flat])
    for i, size in enumerate(reversed(hidden)):
        x = layers.Activation(activation)(layers.Dense(size, name=f"dense_{i}")(x))
    grid = (height // stride, width // stride, bottleneck or (filters[-1] if filters else channels))
    x = layers.Dense(math.prod(grid), dtype=None if filters else full, name=f"dense_{len(hidden)}")(
        x
    )
    x = layers.Reshape(grid)(x)
    if bottleneck:
        x = layers.Conv2D(filters[-1], 1, name="bottleneck")(layers.Activation(activation)(x))
    if filters:
        x = layers.Activation(activation)(_residual_blocks(x, blocks, activation))
        x = layers.Conv2D(
            stride**2 * channels, 3, padding="same", use_bias=False, name="sub_pixels"
        )(x)
        x = PixelBias(dtype=full, name="bias")(DepthToSpace(stride, name="to_space")(x))
    return keras.Model(z if given is None else [z, given], x, name="decoder")


def condition_input(num_classes, condition_shape, attributes=None):
    """Returns the input of a condition and its flat tensor ``(n, size)``, or (None, None)."""
    if attributes:
        values = keras.Input((len(attributes),), dtype="int32", name="condition")
        return values, OneHots([len(names) for names in attributes.values()])(values)
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        return label, OneHot(num_classes)(label)
    if condition_shape:
        condition = keras.Input(condition_shape, name="condition")
        return condition, layers.Flatten()(condition)
    return None, None


def start_from_mean(encoder, decoder, likelihood, mean) -> None:
    """Initializes the encoder and the decoder from the mean training image.

    The encoder then subtracts the mean from its input. If the likelihood has an output for the
    mean, the bias of the decoder's last layer is set to it. This saves the first epochs of
    training. Networks that do not end in such a layer are left unchanged.

    Args:
        encoder: Result of ``encoder``, or another network.
        decoder: Result of ``decoder``, or another network.
        likelihood: Likelihood of the model.
        mean: float32 ``(height, width, channels)`` in [0, 1].
    """
    for layer in encoder.layers:
        if isinstance(layer, Center):
            layer.mean.assign(mean)
    output = likelihood.output_for(mean)
    last = next((layer for layer in reversed(decoder.layers) if layer.weights), None)
    if (
        output is not None
        and isinstance(last, (PixelBias, layers.Dense))
        and last.bias is not None
        and last.bias.shape.num_elements() == mean.size
    ):
        last.bias.assign(keras.ops.reshape(output, last.bias.shape))


def _residual_blocks(x, blocks, activation):
    for i in range(blocks):
        initializer = keras.initializers.VarianceScaling(0.1)
        branch = layers.Conv2D(
            x.shape[-1], 3, padding="same", kernel_initializer=initializer, name=f"block_{i}"
        )
        x = x + branch(layers.Activation(activation)(x))
    return x

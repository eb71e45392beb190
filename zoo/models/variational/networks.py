"""Encoder and decoder of variational models, as functional Keras models.

The encoder has convolutional stages (``filters``, each halving the grid), residual blocks on the
last grid (``blocks``) and dense layers (``hidden``). The decoder has the same in reverse order, and
computes the image from the last grid by one sub-pixel convolution (Shi et al. 2016, equation 4).
Without filters both are the dense networks of the papers. A condition is concatenated to the input
of the first dense layer of either.
"""

import math

import keras
from keras import layers

from zoo.models.layers import Center, DepthToSpace, OneHot, PixelBias


def check_grid(image_shape, filters, blocks) -> None:
    """Validates that the convolutional stages divide the grid of an image.

    Raises:
        ValueError: If they do not, or if there are residual blocks without stages.
    """
    if blocks and not filters:
        raise ValueError(f"blocks must be 0 without filters; received: {blocks!r} blocks.")
    stride = 2 ** len(filters)
    height, width, _ = image_shape
    if height % stride or width % stride:
        raise ValueError(
            f"image_shape must be a multiple of {stride} in height and width for {len(filters)} filters, each of which halves "
            f"the grid; received: {image_shape}."
        )


def encoder(image_shape, latent_dim, hidden, filters, blocks, activation, condition) -> keras.Model:
    """Builds the encoder: images (and a condition) to mean and log_var, each ``(n, latent_dim)``.

    Args:
        condition: function that returns the condition's ``keras.Input`` and flat tensor, or (None,
            None).
    """
    images = keras.Input(image_shape, name="images")
    given, flat = condition()
    x = Center(name="center")(images)
    for i, size in enumerate(filters):
        x = layers.Activation(activation)(x) if i else x
        x = layers.Conv2D(size, 3 if i else 5, strides=2, padding="same", name=f"conv_{i}")(x)
    if filters:
        x = layers.Activation(activation)(_residual_blocks(x, blocks, activation))
    x = layers.Flatten()(x)
    x = x if flat is None else layers.Concatenate()([x, flat])
    for i, size in enumerate(hidden):
        x = layers.Activation(activation)(layers.Dense(size, name=f"dense_{i}")(x))
    # Parameters of a distribution are in full precision under mixed precision too.
    full = keras.config.floatx()
    outputs = [layers.Dense(latent_dim, dtype=full, name=name)(x) for name in ("mean", "log_var")]
    return keras.Model(images if given is None else [images, given], outputs, name="encoder")


def decoder(
    image_shape, latent_dim, hidden, filters, blocks, activation, condition, parameters
) -> keras.Model:
    """Builds the decoder: z (and a condition) to the parameters of p(x | z), ``(n, height, width, channels * parameters)``.

    Args:
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
    grid = (height // stride, width // stride, filters[-1] if filters else channels)
    x = layers.Dense(math.prod(grid), dtype=None if filters else full, name=f"dense_{len(hidden)}")(
        x
    )
    x = layers.Reshape(grid)(x)
    if filters:
        x = layers.Activation(activation)(_residual_blocks(x, blocks, activation))
        x = layers.Conv2D(
            stride**2 * channels, 3, padding="same", use_bias=False, name="sub_pixels"
        )(x)
        x = PixelBias(dtype=full, name="bias")(DepthToSpace(stride, name="to_space")(x))
    return keras.Model(z if given is None else [z, given], x, name="decoder")


def condition_input(num_classes, condition_shape):
    """Returns the input of a condition and its flat tensor ``(n, size)``, or (None, None)."""
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        return label, OneHot(num_classes)(label)
    if condition_shape:
        condition = keras.Input(condition_shape, name="condition")
        return condition, layers.Flatten()(condition)
    return None, None


def start_from_mean(encoder, decoder, likelihood, mean) -> None:
    """Centres the encoder's input by the mean image, and makes it the decoder's output for z = 0 where that is defined.

    This saves the first epochs of training. Networks that are not of this module are left
    unchanged.
    """
    for layer in encoder.layers:
        if isinstance(layer, Center):
            layer.mean.assign(mean)
    output = likelihood.output_for(mean)
    last = next((layer for layer in reversed(decoder.layers) if layer.weights), None)
    if (
        output is not None
        and isinstance(last, (PixelBias, layers.Dense))
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

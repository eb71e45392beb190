"""The encoder and the decoder of a variational model, as functional Keras models.

The encoder is convolutional stages (``filters``, each halving the grid), residual blocks on the last grid (``blocks``) and
dense layers (``hidden``); the decoder is the same backwards, and goes from the last grid to the image at once, by a
sub-pixel convolution (Shi et al. 2016, eq. 4). Without filters both are the dense networks of the papers. What the model is
conditioned on is concatenated with the input of the first dense layer of either.
"""

import math

import keras
from keras import layers

from zoo.models.layers import Center, DepthToSpace, OneHot, PixelBias, ToPrior


def encoder_and_decoder(
    image_shape, latent_dim, hidden, filters, blocks, activation, *, parameters, num_classes, condition_shape, learned_prior
) -> tuple[keras.Model, keras.Model]:
    """Builds both networks; ``parameters`` is how many numbers describe p(x | z) of a pixel.

    Returns:
        (encoder, decoder): images to (mean, log_var), and z to parameters, either with the condition as second input.

    Raises:
        ValueError: where the stages do not divide the image's grid.
    """
    height, width, channels = image_shape
    stride = 2 ** len(filters)
    if height % stride or width % stride:
        raise ValueError(f"{len(filters)} filters halve the grid as often: {height}x{width} is not a multiple of {stride}.")

    full = keras.config.floatx()  # Parameters of distributions are in full precision under mixed precision too.

    def activate(x):
        return layers.Activation(activation)(x)

    def residual_blocks(x):
        for i in range(blocks):
            branch = layers.Conv2D(
                x.shape[-1], 3, padding="same", kernel_initializer=keras.initializers.VarianceScaling(0.1), name=f"block_{i}"
            )
            x = x + branch(activate(x))
        return x

    def condition_input():
        if num_classes:
            return keras.Input((), dtype="int32", name="label")
        return keras.Input(condition_shape, name="condition") if condition_shape else None

    def flat(condition):
        return OneHot(num_classes)(condition) if num_classes else layers.Flatten()(condition)

    def model(first, condition, outputs, name):
        return keras.Model(first if condition is None else [first, condition], outputs, name=name)

    def encoder():
        images, condition = keras.Input(image_shape, name="images"), condition_input()
        x = Center(name="center")(images)
        for i, size in enumerate(filters):
            x = layers.Conv2D(size, 3 if i else 5, strides=2, padding="same", name=f"conv_{i}")(x if i == 0 else activate(x))
        if filters:
            x = activate(residual_blocks(x))
        x = layers.Flatten()(x)
        if condition is not None:
            x = layers.Concatenate()([x, flat(condition)])
        for i, size in enumerate(hidden):
            x = activate(layers.Dense(size, name=f"dense_{i}")(x))
        mean, log_var = (layers.Dense(latent_dim, dtype=full, name=name)(x) for name in ("mean", "log_var"))
        return model(images, condition, [mean, log_var], "encoder")

    def decoder():
        z, condition = keras.Input((latent_dim,), name="z"), condition_input()
        x = z
        if condition is not None:
            y = flat(condition)
            if learned_prior:
                h = activate(layers.Dense(max(hidden, default=latent_dim), name="prior")(y))
                mean, log_var = (layers.Dense(latent_dim, name=f"prior_{part}")(h) for part in ("mean", "log_var"))
                x = ToPrior(name="to_prior")(z, mean, log_var)
            x = layers.Concatenate()([x, y])
        grid = (height // stride, width // stride, [channels * parameters, *filters][-1])
        for i, size in enumerate(reversed(hidden)):
            x = activate(layers.Dense(size, name=f"dense_{i}")(x))
        x = layers.Dense(math.prod(grid), dtype=None if filters else full, name=f"dense_{len(hidden)}")(x)
        x = layers.Reshape(grid)(x)
        if filters:
            x = activate(residual_blocks(x))
            x = layers.Conv2D(stride**2 * channels * parameters, 3, padding="same", use_bias=False, name="sub_pixels")(x)
            x = PixelBias(dtype=full, name="bias")(DepthToSpace(stride, name="to_space")(x))
        return model(z, condition, x, "decoder")

    return encoder(), decoder()

"""The encoder and the decoder of a variational model, as functional Keras models.

The encoder is convolutional stages (``filters``, each halving the grid) and then dense layers (``hidden``); the decoder is
the same backwards. Without filters both are the dense networks of the papers.

What the model is conditioned on joins the first layer of either network as an added linear projection, which equals
concatenating it (a label as one-hot vector) with that layer's input.
"""

import math

import keras
from keras import layers, ops

KERNEL_SIZE = 5


@keras.saving.register_keras_serializable("zoo")
class ToPrior(layers.Layer):
    """Moves a standard normal z to the learned prior p(z | y): mean + exp(log_var / 2) z.

    A prior N(mean, exp(log_var)) with a posterior N(m, exp(v)), and the standard prior with the posterior
    N((m - mean) / exp(log_var / 2), exp(v - log_var)) in front of this layer, are one model: the Kullback-Leibler divergence
    does not change under an invertible map of z (the residual normal of Vahdat & Kautz 2020, section 3.2). So z is standard
    at the decoder's door, and sampling and likelihoods need not know whether a prior was learned.
    """

    def call(self, z, mean, log_var):
        return mean + ops.exp(log_var / 2) * z


@keras.saving.register_keras_serializable("zoo")
class Center(layers.Layer):
    """Subtracts a constant image, the mean of the training data once the model has adapted to them; zero before."""

    def build(self, shape):
        self.mean = self.add_weight(shape=shape[1:], initializer="zeros", trainable=False, name="mean")

    def call(self, images):
        return images - self.mean


def encoder_and_decoder(
    image_shape, latent_dim, hidden, filters, activation, *, parameters, num_classes, condition_shape, learned_prior
) -> tuple[keras.Model, keras.Model]:
    """Builds both networks; ``parameters`` is how many numbers describe p(x | z) of a pixel.

    Returns:
        (encoder, decoder): images to (mean, log_var), and z to parameters, either with the condition as second input.

    Raises:
        ValueError: where the stages do not divide the image's grid.
    """
    stride = 2 ** len(filters)
    height, width, channels = image_shape
    if height % stride or width % stride:
        raise ValueError(f"{len(filters)} filters halve the grid as often: {height}x{width} is not a multiple of {stride}.")

    def condition_input():
        if num_classes:
            return keras.Input((), dtype="int32", name="label")
        return keras.Input(condition_shape, name="condition") if condition_shape else None

    def project(condition, units, name):
        if num_classes:
            return layers.Embedding(num_classes, units, name=name)(condition)
        return layers.Dense(units, name=name)(layers.Flatten()(condition))

    def model(x, condition, outputs, name):
        return keras.Model(x if condition is None else [x, condition], outputs, name=name)

    def encoder():
        images, condition = keras.Input(image_shape, name="images"), condition_input()
        x = Center(name="center")(images)
        for i, size in enumerate(filters):
            x = layers.Conv2D(size, KERNEL_SIZE, strides=2, padding="same", name=f"conv_{i}")(x)
            if i == 0 and condition is not None:
                x = x + layers.Reshape((1, 1, size))(project(condition, size, "projection"))
            x = layers.Activation(activation)(x)
        x = layers.Flatten()(x)
        for i, size in enumerate(hidden):
            x = layers.Dense(size, name=f"dense_{i}")(x)
            if i == 0 and not filters and condition is not None:
                x = x + project(condition, size, "projection")
            x = layers.Activation(activation)(x)
        mean, log_var = layers.Dense(latent_dim, name="mean")(x), layers.Dense(latent_dim, name="log_var")(x)
        return model(images, condition, [mean, log_var], "encoder")

    def decoder():
        z, condition = keras.Input((latent_dim,), name="z"), condition_input()
        x = z
        if learned_prior:
            h = layers.Activation(activation)(project(condition, (hidden or [latent_dim])[-1], "prior"))
            x = ToPrior()(z, layers.Dense(latent_dim, name="prior_mean")(h), layers.Dense(latent_dim, name="prior_log_var")(h))
        sizes = [channels * parameters, *filters]
        grid = (height // stride, width // stride, sizes[-1])
        for i, size in enumerate([*reversed(hidden), math.prod(grid)]):
            if i > 0:
                x = layers.Activation(activation)(x)
            x = layers.Dense(size, name=f"dense_{i}")(x)
            if i == 0 and condition is not None:
                x = x + project(condition, size, "projection")
        x = layers.Reshape(grid)(x)
        for i, size in enumerate(reversed(sizes[:-1])):
            x = layers.Activation(activation)(x)
            x = layers.Conv2DTranspose(size, KERNEL_SIZE, strides=2, padding="same", name=f"conv_{i}")(x)
        return model(z, condition, x, "decoder")

    return encoder(), decoder()

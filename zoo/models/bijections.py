"""Bijections: invertible layers whose Jacobian determinant is known.

Flow models are chains of bijections of images, and flow priors are chains of bijections of vectors.
``forward`` maps data towards normal noise and ``inverse`` maps noise to data.

TF Lite files store constants in float16. The weights are rounded to it before an export, but values
that are computed from weights alone would be rounded in the file only. The bijections therefore
compute with such a value as the sum of two, which has 22 bits, or compute it at run time.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from zoo.models.layers import halves

# The logarithm of the scale of an affine coupling lies between −LOG_SCALE and LOG_SCALE, so that
# no step of the training can make the map singular.
LOG_SCALE = 2.0

# Rows of the blocks of matrix products: those of a register of 512 bits, or a multiple of them.
BLOCK = 16

# Signs of the pixels of a 2x2 cell, row by row, in the three differences of the Haar transform.
HAAR = ((1, 1, 1), (-1, 1, -1), (1, -1, -1), (-1, -1, 1))


def sum_of_row(values):
    """Computes the sum of each row over all axes but the first, ``(n,)``."""
    return ops.sum(values, axis=list(range(1, len(values.shape))))


def zero_of_row(values):
    """Returns a zero for each row, ``(n,)``."""
    return ops.zeros_like(_vectors(values)[:, 0])


def number_of_row(values, number):
    """Returns a number for each row, ``(n,)``, with an absolute value below 6e7."""
    # A TF Lite file may store constants in float16, which has 11 significant bits and no number
    # above 65,504. The sum of two of them has 22 bits, and the factor is a power of 2.
    scaled = number / 1024
    high = float(np.float16(scaled))
    parts = ops.convert_to_tensor([high, scaled - high], values.dtype)
    return 1024 * ops.sum(ops.zeros_like(_vectors(values)[:, :2]) + parts, axis=-1)


def _vectors(values):
    return ops.reshape(values, (-1, math.prod(values.shape[1:])))


class Bijection(layers.Layer):
    """Invertible map x → y of arrays, whose parameters may depend on a condition.

    A condition is float32 ``(n, *condition_shape)``, or None: a vector, or features of an image on
    the grid of x. ``build_for`` must be called before the other methods.
    """

    def build_for(self, shape: tuple, condition_shape: tuple | None = None) -> tuple:
        """Creates the weights.

        Args:
            shape: Shape of one x, (height, width, channels) or (dimension,).
            condition_shape: Shape of one condition, or None if there is none.

        Returns:
            Shape of one y.

        Raises:
            ValueError: If the bijection cannot be applied to the shape.
        """
        self.built = True
        return shape

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes y and log |det ∂y/∂x|, ``(n,)``, for x ``(n, *shape)``."""
        raise NotImplementedError

    def inverse(self, y, condition=None):
        """Computes x from y."""
        raise NotImplementedError

    def forward(self, x, condition=None):
        """Computes y from x."""
        return self.forward_and_log_det(x, condition)[0]

    def log_det(self, x, condition=None):
        """Computes log |det ∂y/∂x| in nats, ``(n,)``."""
        return self.forward_and_log_det(x, condition)[1]

    def initialize(self, x, condition=None):
        """Sets the weights that depend on data from a first batch x, and returns y."""
        return self.forward(x, condition)

    def call(self, x, condition=None, training=False):
        """Computes (y, log-determinant), see ``forward_and_log_det``."""
        return self.forward_and_log_det(x, condition, training)


class Chain(Bijection):
    """Composition of bijections, the first of which is applied to x.

    Args:
        steps: list of Bijection.
    """

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = list(steps)

    def build_for(self, shape, condition_shape=None):
        """Builds all steps and returns the shape of the last one's result."""
        for step in self.steps:
            shape = step.build_for(shape, condition_shape)
        return super().build_for(shape, condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Applies all steps; log-determinants add up."""
        total = 0.0
        for step in self.steps:
            x, log_det = step.forward_and_log_det(x, condition, training)
            total = total + log_det
        return x, total

    def inverse(self, y, condition=None):
        """Inverts the steps in reverse order."""
        for step in reversed(self.steps):
            y = step.inverse(y, condition)
        return y

    def initialize(self, x, condition=None):
        """Initializes each step with the result of those before."""
        for step in self.steps:
            x = step.initialize(x, condition)
        return x


class InBlocks(Chain):
    """Chain for vectors whose inverse does not depend on the number of rows.

    A matrix product computes the rows in blocks. The sums of the rows that are left have another
    order and are rounded differently, and the inverse of a flow amplifies the difference.
    """

    def inverse(self, y, condition=None):
        """Inverts the steps, with rows of zeros after those of y, so that none of y is left."""
        more = [[0, BLOCK - 1], [0, 0]]
        condition = None if condition is None else ops.pad(condition, more)
        return super().inverse(ops.pad(y, more), condition)[: 1 - BLOCK]


class Logit(Bijection):
    """Logit of values in [0, 1], y = logit(α + (1 − 2α) x) (Dinh et al. 2017, section 4.1).

    Args:
        alpha: float. Distance of the arguments of the logit from 0 and 1. A small one, such as
            1e-5, gives better densities of images with many black pixels. It is rounded to float16.
            Defaults to 1e-5.

    Raises:
        ValueError: If alpha is 0 in float16, or at least 0.5.
    """

    def __init__(self, alpha=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.alpha = float(np.float16(alpha))
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha must be between 1e-7 and 0.5; received: {alpha!r}.")

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes the logit of p and the log-determinant Σ log(1 − 2α) − log p(1 − p)."""
        # p and 1 − p are sums with a small term, because float16 rounds 1 − 2α to 1.
        # Neither is ever 0.
        log_p = ops.log(x + self.alpha * (1 - 2 * x))
        log_q = ops.log((1 - x) - self.alpha * (1 - 2 * x))
        return log_p - log_q, sum_of_row(math.log(1 - 2 * self.alpha) - log_p - log_q)

    def inverse(self, y, condition=None):
        """Computes (σ(y) − α) / (1 − 2α)."""
        p = ops.sigmoid(y)
        return p + (2 * p - 1) * (self.alpha / (1 - 2 * self.alpha))


class Squeeze(Bijection):
    """Moves the pixels of each 2x2 cell to channels (Dinh et al. 2017, section 3.6)."""

    def build_for(self, shape, condition_shape=None):
        """Returns (height / 2, width / 2, 4 channels).

        Raises:
            ValueError: If the height or the width is odd.
        """
        height, width, channels = shape
        if height % 2 or width % 2:
            raise ValueError(f"Height and width must be even for a squeeze; received: {shape}.")
        return super().build_for((height // 2, width // 2, 4 * channels), condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Rearranges the pixels; the log-determinant is 0."""
        return tf.nn.space_to_depth(x, 2), zero_of_row(x)

    def inverse(self, y, condition=None):
        """Rearranges the channels to pixels."""
        return tf.nn.depth_to_space(y, 2)


class Flatten(Bijection):
    """Reshapes an image ``(height, width, channels)`` to a vector."""

    def build_for(self, shape, condition_shape=None):
        """Returns (height * width * channels,)."""
        self.shape = tuple(shape)
        return super().build_for((math.prod(shape),), condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Reshapes x; the log-determinant is 0."""
        return ops.reshape(x, (-1, math.prod(self.shape))), zero_of_row(x)

    def inverse(self, y, condition=None):
        """Reshapes y to images."""
        return ops.reshape(y, (-1, *self.shape))


class ActNorm(Bijection):
    """Affine map y = (x + b) exp(s) of each channel (Kingma & Dhariwal 2018, section 3.1).

    ``initialize`` sets b and s so that each channel of a first batch has mean 0 and variance 1.
    """

    def build_for(self, shape, condition_shape=None):
        """Creates b and s, one for each channel."""
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias")
        self.log_scale = self.add_weight(shape=shape[-1:], initializer="zeros", name="log_scale")
        return super().build_for(shape, condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes y; the log-determinant is height * width * Σ s."""
        return _scaled(x + self.bias, ops.exp(self.log_scale)), _repeated(self.log_scale, x)

    def inverse(self, y, condition=None):
        """Computes x = y exp(−s) − b."""
        return _scaled(y, ops.exp(-self.log_scale)) - self.bias

    def initialize(self, x, condition=None):
        """Sets b and s from the mean and the standard deviation of each channel of x."""
        axes = list(range(len(x.shape) - 1))
        self.bias.assign(-ops.mean(x, axis=axes))
        self.log_scale.assign(-ops.log(ops.std(x, axis=axes) + 1e-6))
        return self.forward(x)


class Linear(Bijection):
    """Invertible 1x1 convolution y = x W, for a vector a matrix (Kingma & Dhariwal 2018, 3.2).

    W = P L (U + diag(σ exp(s))), equation 10 of the paper: P is a fixed permutation, L a lower
    triangular matrix with ones on the diagonal, U strictly upper triangular, and σ fixed signs.

    Args:
        rotation: bool. Whether the first W is a random rotation, as in the paper, or the identity.
            The inverse of a large random rotation has larger rounding errors. Defaults to True.
    """

    def __init__(self, rotation=True, **kwargs):
        super().__init__(**kwargs)
        self.rotation = rotation

    def build_for(self, shape, condition_shape=None):
        """Creates the factors of W ``(channels, channels)``."""
        size = shape[-1]
        matrix = np.eye(size, dtype="float32")
        if self.rotation:
            matrix, _ = np.linalg.qr(ops.convert_to_numpy(keras.random.normal((size, size))))
        packed, permutation = tf.linalg.lu(matrix)
        packed, diagonal = packed.numpy(), np.diag(packed.numpy())
        parts = {
            "permutation": np.eye(size)[:, permutation.numpy()],
            "sign": np.sign(diagonal),
            "lower": np.tril(packed, -1),
            "upper": np.triu(packed, 1),
            "log_scale": np.log(np.abs(diagonal)),
        }
        for name, value in parts.items():
            fixed = name in ("permutation", "sign")
            weight = self.add_weight(
                shape=value.shape,
                initializer=lambda _, dtype, value=value: ops.convert_to_tensor(value, dtype),
                trainable=not fixed,
                name=name,
            )
            setattr(self, name, weight)
        return super().build_for(shape, condition_shape)

    def _factors(self):
        """Returns the strictly lower part of L, and N and d with U + diag(d) = (I + N) diag(d)."""
        diagonal = self.sign * ops.exp(self.log_scale)
        # Computed, because a constant would be written into each signature of an artifact.
        index = ops.arange(self.log_scale.shape[0])
        mask = ops.cast(ops.expand_dims(index, 1) > index, diagonal.dtype)
        return self.lower * mask, self.upper * ops.transpose(mask) / diagonal, diagonal

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes x W; the log-determinant is height * width * Σ s."""
        lower, upper, diagonal = self._factors()
        one = ops.eye(self.log_scale.shape[0], dtype=lower.dtype)
        matrix = self.permutation @ (lower + one) @ ((upper + one) * diagonal)
        return _times(x, matrix), _repeated(self.log_scale, x)

    def inverse(self, y, condition=None):
        """Computes y W⁻¹."""
        lower, upper, diagonal = self._factors()
        matrix = (_inverse_of_unit(upper) / diagonal[:, None]) @ _inverse_of_unit(lower)
        return _times(y, matrix @ ops.transpose(self.permutation))


class Coupling(Bijection):
    """Affine coupling of one half of the channels given the other (Dinh et al. 2017, equation 7).

    A network computes a shift t and a log-scale s from the first half of x (and the condition). The
    second half becomes (x + t) exp(s), and the first half is unchanged.

    Args:
        network: Callable, ``network(shape, outputs, condition_shape)``, for example
            ``dense_network`` with its first arguments. It returns a ``keras.Model`` from the
            unchanged values of that shape (and a condition) to ``outputs`` channels.
        swap: bool. Whether the first half is changed, given the second. Defaults to False.
    """

    def __init__(self, network, swap=False, **kwargs):
        super().__init__(**kwargs)
        self.make_network, self.swap = network, swap

    def build_for(self, shape, condition_shape=None):
        """Builds the network.

        Raises:
            ValueError: If there is only one channel, of which no half can be unchanged.
        """
        channels = shape[-1]
        if channels < 2:
            raise ValueError(f"A coupling needs at least 2 channels; received: {shape}.")
        changed = channels // 2 if self.swap else channels - channels // 2
        unchanged = (*shape[:-1], channels - changed)
        self.network = self.make_network(unchanged, 2 * changed, condition_shape)
        self.sizes = (changed, channels - changed) if self.swap else (channels - changed, changed)
        return super().build_for(shape, condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes y; the log-determinant is Σ s."""
        unchanged, changed = self._halves(x)
        shift, log_scale = affine(self.network, unchanged, condition, training)
        return self._joined(unchanged, (changed + shift) * ops.exp(log_scale)), sum_of_row(
            log_scale
        )

    def inverse(self, y, condition=None):
        """Computes x from y by the same network."""
        unchanged, changed = self._halves(y)
        shift, log_scale = affine(self.network, unchanged, condition, False)
        return self._joined(unchanged, changed * ops.exp(-log_scale) - shift)

    def _halves(self, x):
        first, second = x[..., : self.sizes[0]], x[..., self.sizes[0] :]
        return (second, first) if self.swap else (first, second)

    def _joined(self, unchanged, changed):
        halves = (changed, unchanged) if self.swap else (unchanged, changed)
        return ops.concatenate(halves, axis=-1)


class CheckerboardCoupling(Bijection):
    """Affine coupling of every second pixel given the others (Dinh et al. 2017, section 3.4).

    Args:
        network: As in ``Coupling``; it has the shape of the image, in which the changed pixels
            are 0.
        swap: bool. Whether the pixels whose row and column have an even sum are changed. Defaults
            to False: they are unchanged.
    """

    def __init__(self, network, swap=False, **kwargs):
        super().__init__(**kwargs)
        self.make_network, self.swap = network, swap

    def build_for(self, shape, condition_shape=None):
        """Builds the network and the mask, which is 1 for unchanged pixels."""
        height, width, channels = shape
        parity = np.add.outer(np.arange(height), np.arange(width)) % 2
        self.mask = (parity == int(self.swap))[..., None]
        self.network = self.make_network(shape, 2 * channels, condition_shape)
        return super().build_for(shape, condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes y; the log-determinant is the sum of s over the changed pixels."""
        mask = ops.cast(self.mask, x.dtype)
        shift, log_scale = affine(self.network, x * mask, condition, training)
        changed = 1 - mask
        log_scale = log_scale * changed
        return (x + shift * changed) * ops.exp(log_scale), sum_of_row(log_scale)

    def inverse(self, y, condition=None):
        """Computes x from y by the same network."""
        mask = ops.cast(self.mask, y.dtype)
        shift, log_scale = affine(self.network, y * mask, condition, False)
        changed = 1 - mask
        return y * ops.exp(-log_scale * changed) - shift * changed


class Split(Bijection):
    """Multi-scale architecture: only half of the channels goes on (Dinh et al. 2017, section 3.6).

    A coupling before the split makes the other half a normal variable given the half that goes on.

    Args:
        rest: Bijection from images of half of the channels to vectors.
    """

    def __init__(self, rest, **kwargs):
        super().__init__(**kwargs)
        self.rest = rest

    def build_for(self, shape, condition_shape=None):
        """Builds the rest. The result is a vector.

        Raises:
            ValueError: If the number of channels is odd.
        """
        height, width, channels = shape
        if channels % 2:
            raise ValueError(f"A split needs an even number of channels; received: {shape}.")
        self.half = (height, width, channels // 2)
        (size,) = self.rest.build_for(self.half, condition_shape)
        self.size = size
        return super().build_for((size + math.prod(self.half),), condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes the vector of the rest's result and the other half."""
        y, log_det = self.rest.forward_and_log_det(x[..., : self.half[-1]], condition, training)
        return self._joined(x, y), log_det

    def inverse(self, y, condition=None):
        """Computes x from both parts of y."""
        first = self.rest.inverse(y[:, : self.size], condition)
        return ops.concatenate([first, ops.reshape(y[:, self.size :], (-1, *self.half))], axis=-1)

    def initialize(self, x, condition=None):
        """Initializes the rest."""
        return self._joined(x, self.rest.initialize(x[..., : self.half[-1]], condition))

    def _joined(self, x, y):
        other = ops.reshape(x[..., self.half[-1] :], (-1, math.prod(self.half)))
        return ops.concatenate([y, other], axis=-1)


class Wavelet(Bijection):
    """Scale of a wavelet flow: the averages of 2x2 cells, and their differences given the averages.

    The Haar transform turns the four pixels of a cell into their average and three differences
    (Yu et al. 2020). The averages that the differences are given are limited to the range of those
    that initialize the bijection. The differences of an image with averages that no image of the
    data has would otherwise be arbitrarily large.

    Args:
        rest: Bijection from the averages (height / 2, width / 2, channels) to vectors.
        details: Bijection from the differences (height / 2, width / 2, 3 channels) to vectors. Its
            condition is an image of the averages, to whose channels those of a vector are added.

    Reference:
        Yu, Derpanis & Brubaker 2020, "Wavelet Flow: Fast Training of High Resolution Normalizing
        Flows", https://arxiv.org/abs/2010.13821
    """

    def __init__(self, rest, details, **kwargs):
        super().__init__(**kwargs)
        self.rest, self.details = rest, details
        self.squeeze = Squeeze()

    def build_for(self, shape, condition_shape=None):
        """Builds both bijections. The result is a vector.

        Raises:
            ValueError: If the height or the width is odd.
        """
        height, width, channels = self.squeeze.build_for(shape)
        self.channels = channels // 4
        self.low, self.high = (
            self.add_weight(shape=(), initializer=initializer, trainable=False, name=name)
            for name, initializer in (
                ("low", keras.initializers.Constant(-math.inf)),
                ("high", keras.initializers.Constant(math.inf)),
            )
        )
        given = self.channels + sum(condition_shape or ())
        (self.size,) = self.rest.build_for((height, width, self.channels), condition_shape)
        (others,) = self.details.build_for(
            (height, width, 3 * self.channels), (height, width, given)
        )
        return super().build_for((self.size + others,), condition_shape)

    def forward_and_log_det(self, x, condition=None, training=False):
        """Computes the vectors of the averages and of the differences."""
        averages, differences = self._transformed(x)
        first, of_rest = self.rest.forward_and_log_det(averages, condition, training)
        second, of_details = self.details.forward_and_log_det(
            differences, self._given(averages, condition), training
        )
        # The average is half of what an orthonormal transform gives.
        constant = number_of_row(x, -math.log(2) * math.prod(averages.shape[1:]))
        return ops.concatenate([first, second], axis=-1), of_rest + of_details + constant

    def inverse(self, y, condition=None):
        """Computes the averages, then the differences given them, and then the pixels."""
        averages = self.rest.inverse(y[:, : self.size], condition)
        differences = self.details.inverse(y[:, self.size :], self._given(averages, condition))
        signed = ops.split(differences / 2, 3, axis=-1)
        pixels = [averages + _signed_sum(signed, signs) for signs in HAAR]
        return self.squeeze.inverse(ops.concatenate(pixels, axis=-1))

    def initialize(self, x, condition=None):
        """Sets the range of the averages and initializes both bijections."""
        averages, differences = self._transformed(x)
        self.low.assign(ops.min(averages))
        self.high.assign(ops.max(averages))
        first = self.rest.initialize(averages, condition)
        second = self.details.initialize(differences, self._given(averages, condition))
        return ops.concatenate([first, second], axis=-1)

    def _given(self, averages, condition):
        """Returns the condition of the differences."""
        low, high = (ops.cast(limit, averages.dtype) for limit in (self.low, self.high))
        return _with_channels(ops.clip(averages, low, high), condition)

    def _transformed(self, x):
        """Returns the averages and the differences of the cells."""
        pixels = ops.split(self.squeeze.forward(x), 4, axis=-1)
        differences = [_signed_sum(pixels, signs) / 2 for signs in zip(*HAAR, strict=True)]
        return sum(pixels) / 4, ops.concatenate(differences, axis=-1)


def _signed_sum(values, signs):
    return sum(value if sign > 0 else -value for value, sign in zip(values, signs, strict=True))


def _with_channels(images, condition):
    """Appends a vector, ``(n, size)`` or None, to the channels of each pixel."""
    if condition is None:
        return images
    maps = ops.zeros_like(images[..., :1]) + condition[:, None, None, :]
    return ops.concatenate([images, maps], axis=-1)


def affine(network, unchanged, condition, training):
    """Computes the shift and the log-scale of a coupling, the latter bounded by ``LOG_SCALE``."""
    inputs = unchanged if condition is None else [unchanged, condition]
    shift, log_scale = halves(network(inputs, training=training))
    return shift, LOG_SCALE * ops.tanh(log_scale / LOG_SCALE)


def dense_network(hidden, activation, shape, outputs, condition_shape, name="coupling"):
    """Builds the network of a coupling of vectors.

    The last layer starts at 0, so that the coupling starts as the identity.

    Args:
        hidden: Sizes of the hidden layers, at least one.
        activation: Their activation.
        shape: (dimension,) of the unchanged values.
        outputs: Number of outputs.
        condition_shape: (size,) of a condition, or None.
        name: Name of the network.
    """
    x = keras.Input(shape)
    inputs, h = x, layers.Dense(hidden[0])(x)
    if condition_shape is not None:
        condition = keras.Input(condition_shape)
        # A concatenation with x would be quantized in int8 files although a prior stays in float32.
        h = h + layers.Dense(hidden[0], use_bias=False)(layers.Flatten()(condition))
        inputs = [x, condition]
    h = layers.Activation(activation)(h)
    for size in hidden[1:]:
        h = layers.Dense(size, activation)(h)
    # The parameters of the map are computed in float32 also under mixed precision.
    full = keras.config.floatx()
    h = layers.Dense(outputs, kernel_initializer="zeros", dtype=full)(h)
    return keras.Model(inputs, h, name=name)


def convolutional_network(filters, hidden, shape, outputs, condition_shape):
    """Builds the network of a coupling of images, between two convolutions of 3x3 cells.

    The last layer starts at 0, so that the coupling starts as the identity.

    Args:
        filters: Number of channels.
        hidden: Callable from the features of the first convolution to those of the last, or None
            if they are the same.
        shape: (height, width, channels) of the unchanged values.
        outputs: Number of channels of the result.
        condition_shape: (size,) of a vector, (height, width, channels) of an image, or None.
    """
    first = layers.Conv2D(filters, 3, padding="same")
    x = keras.Input(shape)
    condition = None if condition_shape is None else keras.Input(condition_shape)
    if condition is None:
        h = first(x)
    elif len(condition_shape) == 3:
        h = first(layers.Concatenate()([x, condition]))
    else:
        h = first(x) + layers.Reshape((1, 1, filters))(layers.Dense(filters)(condition))
    h = layers.Activation("relu")(hidden(h) if hidden else h)
    # The parameters of the map are computed in float32 also under mixed precision.
    last = layers.Conv2D(
        outputs, 3, padding="same", kernel_initializer="zeros", dtype=keras.config.floatx()
    )
    return keras.Model(x if condition is None else [x, condition], last(h), name="coupling")


def _repeated(weights, x):
    """Sums weights of the channels of x over all positions, ``(n,)``, at run time."""
    return sum_of_row(ops.zeros_like(x) + weights)


def _scaled(x, factor):
    """Multiplies the channels of x by numbers that are computed from weights."""
    rounded, rest = _parts(factor)
    return x * rounded + x * rest


def _times(x, matrix):
    """Multiplies the channels of vectors or images by a matrix that is computed from weights."""
    rounded, rest = _parts(matrix)
    return _product(x, rounded) + _product(x, rest)


def _parts(value):
    """Splits a value in two, each of which is nearly exact in float16."""
    rounded = ops.cast(ops.cast(value, "float16"), value.dtype)
    return rounded, value - rounded


def _product(x, matrix):
    # A product of tensors of rank 4 would have shapes that TensorFlow Lite must compute.
    return ops.matmul(x, matrix) if len(x.shape) == 2 else ops.conv(x, matrix[None, None])


def _inverse_of_unit(strict):
    """Computes (I + N)⁻¹ of a strictly triangular N, the product of all I + (−N)^(2^k).

    It is exact, because a power of N from its size on is 0. A solver of triangular systems is not
    among the built-in operations of TensorFlow Lite.
    """
    size = strict.shape[0]
    one, power = ops.eye(size, dtype=strict.dtype), -strict
    inverse = one + power
    for _ in range(max(0, math.ceil(math.log2(max(size, 2))) - 1)):
        power = power @ power
        inverse = inverse @ (one + power)
    return inverse

"""Layers that are not part of Keras."""

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.models import replicas


@keras.saving.register_keras_serializable("zoo")
class Center(layers.Layer):
    """Subtracts the mean training image, which is zero until ``GenerativeModel.adapt`` sets it."""

    def build(self, shape):
        """Creates the mean image, of the shape of one input."""
        self.mean = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="mean"
        )

    def call(self, images):
        """Subtracts the mean from images ``(n, height, width, channels)``."""
        return images - self.mean


@keras.saving.register_keras_serializable("zoo")
class PixelBias(layers.Layer):
    """Adds a trainable bias to each pixel of each channel."""

    def build(self, shape):
        """Creates the bias, of the shape of one input."""
        self.bias = self.add_weight(shape=shape[1:], initializer="zeros", name="bias")

    def call(self, images):
        """Adds the bias to images ``(n, height, width, channels)``."""
        return images + self.bias


@keras.saving.register_keras_serializable("zoo")
class OneHot(layers.Layer):
    """Encodes int labels ``(n,)`` as one-hot vectors ``(n, num_classes)``.

    Args:
        num_classes: int. Number of labels.
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, labels):
        """Encodes labels."""
        return one_hot(labels, self.num_classes, self.compute_dtype)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"num_classes": self.num_classes}


@keras.saving.register_keras_serializable("zoo")
class OneHots(layers.Layer):
    """Encodes the values of k attributes, int ``(n, k)``, as one-hot vectors side by side.

    Args:
        sizes: tuple of int. Number of values of each attribute.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)

    def call(self, values):
        """Encodes values, ``(n, sum of the sizes)``."""
        return one_hots(values, self.sizes, self.compute_dtype)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"sizes": self.sizes}


def one_hot(labels, size, dtype):
    """Encodes int labels ``(n,)`` as the layer ``OneHot`` does."""
    # TensorFlow Lite's int8 quantizer gives the result of tf.one_hot a wrong scale. The scale of
    # the result of gather is correct.
    return tf.gather(tf.eye(size, dtype=dtype), labels)


def one_hots(values, sizes, dtype):
    """Encodes the values of k attributes, int ``(n, k)``, as the layer ``OneHots`` does."""
    columns = [one_hot(values[:, i], size, dtype) for i, size in enumerate(sizes)]
    return tf.concat(columns, axis=-1)


@keras.saving.register_keras_serializable("zoo")
class DepthToSpace(layers.Layer):
    """Rearranges the channels of each cell to pixels (Shi et al. 2016, equation 4).

    Args:
        stride: int. Side of the square of pixels that replaces a cell.
    """

    def __init__(self, stride, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, grid):
        """Maps ``(n, h, w, stride² * channels)`` to ``(n, h * stride, w * stride, channels)``."""
        return tf.nn.depth_to_space(grid, self.stride)

    def compute_output_shape(self, shape):
        """Returns the shape of the output for an input shape."""
        n, height, width, channels = shape
        return n, height * self.stride, width * self.stride, channels // self.stride**2

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"stride": self.stride}


@keras.saving.register_keras_serializable("zoo")
class Dropout(layers.Dropout):
    """Dropout whose random state is saved with the model and differs between replicas.

    Arguments as in ``keras.layers.Dropout``.
    """

    def call(self, x, training=False):
        """Sets random values to 0 and scales the others by 1 / (1 − rate), in training only."""
        if not training or self.rate == 0:
            return x
        seed = tf.random.fold_in(
            tf.cast(self.seed_generator.next(), tf.int64), tf.cast(replicas.index(), tf.int64)
        )
        keep = tf.random.stateless_uniform(tf.shape(x), seed) >= self.rate
        return tf.where(keep, x / (1 - self.rate), tf.zeros_like(x))

    def save_own_variables(self, store):
        """Saves the random state."""
        if self.rate:
            store["state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        """Loads the random state."""
        if self.rate:
            self.seed_generator.state.assign(store["state"])


@keras.saving.register_keras_serializable("zoo")
class SpectralConv2D(layers.Conv2D):
    """Convolution with spectral normalization (Miyato et al. 2018, algorithm 1).

    The kernel is divided by its largest singular value. One power iteration in each training step
    estimates this value, and the gradient includes the division. Arguments as in
    ``keras.layers.Conv2D``.
    """

    def build(self, shape):
        """Creates the kernel, the bias and the estimate u of the left singular vector."""
        super().build(shape)
        self.u = self.add_weight(
            shape=(1, self.filters), initializer="random_normal", trainable=False, name="u"
        )

    def call(self, x, training=False):
        """Convolves with the normalized kernel; updates u in training."""
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        u = ops.cast(self.u, matrix.dtype)
        v = ops.stop_gradient(ops.normalize(ops.matmul(u, ops.transpose(matrix))))
        u = ops.stop_gradient(ops.normalize(ops.matmul(v, matrix)))
        if training:
            self.u.assign(u)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        kernel = ops.cast(self.kernel / sigma, x.dtype)
        x = self.convolution_op(x, kernel)
        return self.activation(x + ops.cast(self.bias, x.dtype) if self.use_bias else x)

    # A convolution of Keras saves its kernel and bias, but not u.
    def save_own_variables(self, store):
        """Saves all variables, u included."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads all variables, u included."""
        layers.Layer.load_own_variables(self, store)


@keras.saving.register_keras_serializable("zoo")
class Maxout(layers.Layer):
    """Maximum of several affine maps for each output (Goodfellow et al. 2013, arXiv 1302.4389).

    Args:
        units: int. Number of outputs.
        pieces: int. Number of affine maps for each output.
        kernel_initializer: As in ``keras.layers.Dense``.
    """

    def __init__(self, units, pieces, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, shape):
        """Creates the kernel and the bias of all affine maps."""
        size = self.units * self.pieces
        self.kernel = self.add_weight(
            shape=(shape[-1], size), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")

    def call(self, x):
        """Maps ``(n, features)`` to ``(n, units)``."""
        return ops.max(
            ops.reshape(ops.matmul(x, self.kernel) + self.bias, (-1, self.units, self.pieces)),
            axis=-1,
        )

    def get_config(self):
        """Returns the arguments of the constructor."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {
            "units": self.units,
            "pieces": self.pieces,
            "kernel_initializer": initializer,
        }


@keras.saving.register_keras_serializable("zoo")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Transposed convolution with "same" padding whose output is cropped to a grid.

    In inference it is computed as an ordinary convolution. Pixel s m + p of a row of the full
    output is a sum over the kernel's taps s t + p and the inputs m − t. This is an ordinary
    convolution for each position p in a cell of s pixels, with the positions as channels, which are
    then rearranged to pixels. LiteRT has fast kernels for ordinary convolutions, but not for
    transposed convolutions with a dynamic batch. In training the transposed convolution of Keras
    is faster.

    Args:
        filters: As in ``keras.layers.Conv2DTranspose``.
        kernel_size: As in ``keras.layers.Conv2DTranspose``.
        grid: tuple of int. (height, width) of the output. Each is at most the stride times the
            input's size, and more than that minus the stride.
        **kwargs: ``strides``, ``use_bias``, ``kernel_initializer`` and the others of
            ``keras.layers.Conv2DTranspose``, except ``padding``, ``output_padding`` and
            ``dilation_rate``.
    """

    def __init__(self, filters, kernel_size, grid, **kwargs):
        super().__init__(filters, kernel_size, **kwargs | {"padding": "same"})
        self.grid = tuple(grid)

    def call(self, x, training=False):
        """Maps ``(n, h, w, channels)`` to ``(n, *grid, filters)``."""
        height, width = self.grid
        if training:
            return super().call(x)[:, :height, :width]
        (*sizes, filters, channels), strides = self.kernel.shape, self.strides
        taps = [-(-size // stride) for size, stride in zip(sizes, strides)]
        kernel = ops.pad(
            self.kernel,
            [*((0, t * s - size) for t, s, size in zip(taps, strides, sizes)), (0, 0), (0, 0)],
        )
        kernel = ops.reshape(kernel, (taps[0], strides[0], taps[1], strides[1], filters, channels))
        kernel = ops.transpose(ops.flip(kernel, (0, 2)), (0, 2, 5, 1, 3, 4))
        # "same" padding removes these numbers of pixels at the start of the full output. Only the
        # cells of the remaining pixels are computed.
        front = [max(size - stride, 0) // 2 for size, stride in zip(sizes, strides)]
        margins = [
            (t - 1 - first // s, (first + size - 1) // s - given + 1)
            for t, first, s, size, given in zip(taps, front, strides, self.grid, x.shape[1:3])
        ]
        x = ops.conv(
            ops.pad(x, [(0, 0), *margins, (0, 0)]), ops.reshape(kernel, (*taps, channels, -1))
        )
        rows, columns = x.shape[1:3]
        x = ops.transpose(
            ops.reshape(x, (-1, rows, columns, *strides, filters)), (0, 1, 3, 2, 4, 5)
        )
        x = ops.reshape(x, (-1, rows * strides[0], columns * strides[1], filters))
        top, left = (first % stride for first, stride in zip(front, strides))
        x = x[:, top : top + height, left : left + width]
        return self.activation(x + self.bias if self.use_bias else x)

    def compute_output_shape(self, shape):
        """Returns the shape of the output for an input shape."""
        return shape[0], *self.grid, self.filters

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"grid": self.grid}


def batch_normalization(**settings):
    """Returns a layer of batch normalization by the statistics of the global batch.

    Args:
        **settings: As in ``keras.layers.BatchNormalization``.
    """
    return layers.BatchNormalization(synchronized=replicas.count() > 1, **settings)


def halves(output):
    """Returns the first and the second half of the channels of a tensor."""
    # Slices, because an operation with two results is not quantized with the rest of an int8 file.
    half = output.shape[-1] // 2
    return output[..., :half], output[..., half:]

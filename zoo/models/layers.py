"""Layers that Keras does not have."""

import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class Center(layers.Layer):
    """Subtracts the mean image of the training data, which is zero until the model is adapted to them."""

    def build(self, shape):
        self.mean = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="mean"
        )

    def call(self, images):
        return images - self.mean


@keras.saving.register_keras_serializable("zoo")
class PixelBias(layers.Layer):
    """Adds a bias to each pixel of each channel."""

    def build(self, shape):
        self.bias = self.add_weight(shape=shape[1:], initializer="zeros", name="bias")

    def call(self, images):
        return images + self.bias


@keras.saving.register_keras_serializable("zoo")
class OneHot(layers.Layer):
    """Labels ``(n,)`` to ``(n, num_classes)``."""

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, labels):
        # TensorFlow Lite's int8 quantizer gives the result of one_hot a wrong scale, and is right
        # about a gather.
        return tf.gather(tf.eye(self.num_classes, dtype=self.compute_dtype), labels)

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes}


@keras.saving.register_keras_serializable("zoo")
class DepthToSpace(layers.Layer):
    """Rearranges the channels of each cell to ``stride`` x ``stride`` pixels (Shi et al. 2016, equation 4)."""

    def __init__(self, stride, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, grid):
        return tf.nn.depth_to_space(grid, self.stride)

    def compute_output_shape(self, shape):
        n, height, width, channels = shape
        return n, height * self.stride, width * self.stride, channels // self.stride**2

    def get_config(self):
        return super().get_config() | {"stride": self.stride}


@keras.saving.register_keras_serializable("zoo")
class Dropout(layers.Dropout):
    """Dropout as in Keras whose noise continues after saving and loading, and differs between replicas."""

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.random.fold_in(
            tf.cast(self.seed_generator.next(), tf.int64), tf.cast(replica, tf.int64)
        )
        keep = tf.random.stateless_uniform(tf.shape(x), seed) >= self.rate
        return tf.where(keep, x / (1 - self.rate), tf.zeros_like(x))

    def save_own_variables(self, store):
        if self.rate:
            store["state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        if self.rate:
            self.seed_generator.state.assign(store["state"])


@keras.saving.register_keras_serializable("zoo")
class SpectralConv2D(layers.Conv2D):
    """Convolution whose kernel is divided by its largest singular value (Miyato et al. 2018, algorithm 1).

    The singular value is estimated by one power iteration in each training step, and the gradient
    flows through it.
    """

    def build(self, shape):
        super().build(shape)
        self.u = self.add_weight(
            shape=(1, self.filters), initializer="random_normal", trainable=False, name="u"
        )

    def call(self, x, training=False):
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        u = ops.cast(self.u, matrix.dtype)
        v = ops.stop_gradient(ops.normalize(ops.matmul(u, ops.transpose(matrix))))
        u = ops.stop_gradient(ops.normalize(ops.matmul(v, matrix)))
        if training:
            self.u.assign(u)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        kernel = ops.cast(self.kernel / sigma, x.dtype)
        x = ops.conv(x, kernel, strides=list(self.strides), padding=self.padding)
        return x + ops.cast(self.bias, x.dtype) if self.use_bias else x

    # A convolution of Keras saves its kernel and bias alone.
    def save_own_variables(self, store):
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        layers.Layer.load_own_variables(self, store)


@keras.saving.register_keras_serializable("zoo")
class Maxout(layers.Layer):
    """The largest of ``pieces`` affine maps, for each of ``units`` outputs (Goodfellow et al. 2013, arXiv 1302.4389).

    Args:
        units: int. Outputs.
        pieces: int. Affine maps an output.
        kernel_initializer: as in ``keras.layers.Dense``.
    """

    def __init__(self, units, pieces, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, shape):
        size = self.units * self.pieces
        self.kernel = self.add_weight(
            shape=(shape[-1], size), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")

    def call(self, x):
        return ops.max(
            ops.reshape(ops.matmul(x, self.kernel) + self.bias, (-1, self.units, self.pieces)),
            axis=-1,
        )

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {
            "units": self.units,
            "pieces": self.pieces,
            "kernel_initializer": initializer,
        }


@keras.saving.register_keras_serializable("zoo")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Transposed convolution with "same" padding, cropped to a grid, and computed in inference as a plain convolution.

    Pixel s m + p of a row of the full output sums over the kernel's taps s t + p and the inputs m -
    t. This is an ordinary convolution for each position p in a cell of s pixels, with the positions
    as channels, which are then rearranged. LiteRT has fast kernels for it, and none for a
    transposed convolution with a dynamic batch. In training Keras's own is faster.

    Args:
        filters, kernel_size, strides, use_bias, kernel_initializer: as in
            ``keras.layers.Conv2DTranspose``.
        grid: tuple of int. (height, width) of the output, at most ``strides`` times the input's and
            less than a stride below.
    """

    def __init__(self, filters, kernel_size, grid, **kwargs):
        super().__init__(filters, kernel_size, **kwargs | {"padding": "same"})
        self.grid = tuple(grid)

    def call(self, x, training=False):
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
        # "same" leaves out these many pixels at the start of the full output; only the cells of the
        # others are computed.
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
        return x + self.bias if self.use_bias else x

    def compute_output_shape(self, shape):
        return shape[0], *self.grid, self.filters

    def get_config(self):
        return super().get_config() | {"grid": self.grid}

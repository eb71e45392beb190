"""Convolutional classifier, whose features and labels measure generative models."""

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.inference import methods, validation
from zoo.models import replicas
from zoo.models.base import ImageModel
from zoo.models.layers import Dropout, batch_normalization


@keras.saving.register_keras_serializable("zoo")
class Classifier(methods.Classifies, ImageModel):
    """Residual convolutional classifier (He et al. 2016).

    The network has a stage of convolutions for each element of ``filters``. Each stage after the
    first halves the grid, and ends in a residual block. The features are the means of the last
    stage's channels over the grid, and the logits are an affine function of them. A classifier of
    attributes has the logits of the values of each attribute, side by side.

    In training, each image is shifted by a few pixels, and perhaps mirrored.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Defaults to (28, 28, 1).
        num_classes: int. Number of labels. A dataset element is ``(images, labels)``. Defaults to
            10, or None if there are attributes.
        attributes: dict. {attribute: list of the names of its values}, for a classifier of several
            categorical attributes in place of labels. A dataset element is ``(images,
            attributes)``, with int32 ``(n, k)``. Defaults to None.
        filters: tuple of int. Channels of the stages. The last element is the number of features.
            Defaults to (16, 48, 96).
        dropout: float. Share of the features that are set to 0 in training. Defaults to 0.2.
        shift: int. Largest shift in pixels, in each direction. Defaults to 2.
        mirror: bool. Whether half of the images are mirrored from left to right. Defaults to False.
        seed: int. Seed of the shifts. Defaults to 0.
        name: str. Name of the model.

    Example:
    ```python
    model = zoo.models.Classifier(num_classes=10)
    model.fit(images, labels, batch_size=128, epochs=10)
    logits, features = model.classify(images)
    ```
    """

    call_signature = "classify"
    default_signature = "classify"
    tags = ("classifier",)
    cycle_arguments = ("shift", "mirror")

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_classes=None,
        *,
        attributes=None,
        filters=(16, 48, 96),
        dropout=0.2,
        shift=2,
        mirror=False,
        seed=0,
        name=None,
    ):
        if attributes is None:
            num_classes = 10 if num_classes is None else num_classes
        elif num_classes is not None:
            raise ValueError(
                f"num_classes must be None with attributes; received: {num_classes!r}."
            )
        super().__init__(
            image_shape, num_classes=num_classes, attributes=attributes, seed=seed, name=name
        )
        self.filters = validation.positive_ints(filters, "filters")
        self.dropout, self.shift, self.mirror = dropout, shift, mirror
        outputs = self.num_classes or sum(self.attribute_sizes)
        self.network = _network(self.image_shape, outputs, self.filters, dropout)
        self.track("loss", "accuracy")
        self.compile()

    @property
    def evaluation_metrics(self):
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        if not self.attributes:
            return {"accuracy": {}}
        return {f"accuracy_{name}": {} for name in self.attributes}

    def train_step(self, data):
        """Updates the weights once by the gradient of the cross-entropy of a batch."""
        images, labels, weights = self.unpack(data)
        seed = self.noise_seed(self.optimizer.iterations)
        images = augment(images, self.shift, self.mirror, seed)
        with tf.GradientTape() as tape:
            loss, accuracy = self.cross_entropy(images, labels, weights, training=True)
            scaled = self.scaled(loss, self.optimizer)
        self.apply_gradients(tape, scaled, self.optimizer, self.trainable_variables)
        return self.report(images, loss, accuracy)

    def test_step(self, data):
        """Computes the cross-entropy and the accuracy of a batch."""
        images, labels, weights = self.unpack(data)
        return self.report(images, *self.cross_entropy(images, labels, weights))

    def cross_entropy(self, images, labels, weights=None, training=False):
        """Computes the mean of −log p(label | image), in nats, and the accuracy.

        With attributes the cross-entropy is the sum over them, and the accuracy is their mean.

        Args:
            images: float32 ``(n, *image_shape)`` in [0, 1].
            labels: int32 ``(n,)``, or ``(n, k)`` of k attributes.
            weights: float32 ``(n,)``, or None for 1.
            training: Whether the network runs in training mode.
        """
        logits, _ = (self.to_float(part) for part in self.network(images, training=training))
        sizes = self.attribute_sizes or [self.num_classes]
        columns = ops.unstack(ops.reshape(labels, (-1, len(sizes))), axis=-1)
        losses, correct = 0.0, []
        for part, column in zip(tf.split(logits, sizes, axis=-1), columns):
            losses += keras.losses.sparse_categorical_crossentropy(column, part, from_logits=True)
            correct.append(self.to_float(ops.equal(ops.argmax(part, axis=-1), column)))
        return self.weighted_mean(losses, weights), ops.mean(ops.stack(correct))

    def signatures(self):
        """Returns the signature ``classify``, images to logits and features."""

        def classify(images):
            logits, features = self.network(images, training=False)
            return {"logits": self.to_float(logits), "features": self.to_float(features)}

        images = tf.TensorSpec([None, *self.image_shape], tf.float32, "images")
        return {"classify": (classify, [images])}

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "attributes": self.listed_attributes,
            "filters": self.filters,
            "dropout": self.dropout,
            "shift": self.shift,
            "mirror": self.mirror,
        }


def augment(images, shift: int, mirror: bool, seed):
    """Shifts each image by whole pixels, and mirrors half of them. New pixels are 0.

    Args:
        images: float32 ``(n, height, width, channels)``.
        shift: Largest shift in each direction.
        mirror: Whether to mirror images from left to right.
        seed: int64 ``(2,)``.
    """
    n, width = tf.shape(images)[0], images.shape[2]
    *shifts, turn = tf.unstack(replicas.uniform([n, 3], seed), axis=1)
    right, down = (tf.floor(drawn * (2 * shift + 1)) - shift for drawn in shifts)
    sign = tf.where(turn < 0.5, -1.0, 1.0) if mirror else tf.ones([n])
    first = right + tf.where(sign < 0, tf.cast(width - 1, tf.float32), 0.0)
    zero, one = tf.zeros([n]), tf.ones([n])
    # Pixel (x, y) of the result is pixel (sign x + first, y + down) of the image.
    transforms = tf.stack([sign, zero, first, zero, one, down, zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )


def _network(image_shape, outputs, filters, dropout) -> keras.Model:
    """Returns the network, from images to logits ``(n, outputs)`` and features."""
    images = keras.Input(image_shape, name="images")
    x = layers.Rescaling(2.0, -1.0)(images)
    for i, size in enumerate(filters):
        x = _normalized_convolution(x, size, strides=2 if i else 1)
        if i:
            x = x + _normalized_convolution(x, size)
    # The sums over the grid are in float32 also under mixed precision.
    full = keras.config.floatx()
    features = layers.GlobalAveragePooling2D(dtype=full, name="features")(x)
    logits = layers.Dense(outputs, dtype=full, name="logits")(Dropout(dropout)(features))
    return keras.Model(images, [logits, features], name="network")


def _normalized_convolution(x, size, strides=1):
    x = layers.Conv2D(size, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(batch_normalization(momentum=0.9)(x))

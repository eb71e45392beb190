"""Generative adversarial network of dense layers."""

import math

import keras
from keras import layers

from zoo.inference import validation
from zoo.models.adversarial.model import AdversarialModel
from zoo.models.generative import dimensions
from zoo.models.layers import Dropout, Maxout, OneHot


@keras.saving.register_keras_serializable("zoo")
class GAN(AdversarialModel):
    """Generative adversarial network of dense layers.

    The generator has ReLU activations, the discriminator maxout layers and dropout.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 100.
        hidden: tuple of int. Sizes of the generator's hidden layers. Defaults to (1200, 1200).
        maxout: tuple of (int, int). Units and pieces of the discriminator's maxout layers. Defaults
            to ((240, 5), (240, 5)).
        dropout: tuple of (float, float). Dropout rates of the discriminator's inputs and of its
            hidden units. Defaults to (0.2, 0.5).
        num_classes: int. Number of labels. The one-hot label is then an input of each layer of both
            networks, and a dataset element is ``(images, labels)``. Defaults to None.
        generator: keras.Model. Generator to use instead of the one described by ``hidden``.
            Defaults to None.
        discriminator: keras.Model. Discriminator to use instead of the one described by ``maxout``
            and ``dropout``. Defaults to None.
        **training: ``objective``, ``discriminator_steps``, ``instance_noise``,
            ``augmentations``, ``ema``, ``seed`` and ``name`` as in
            ``zoo.models.adversarial.model.AdversarialModel``.

    Example:
    ```python
    model = zoo.models.GAN()
    model.fit(images, batch_size=100, epochs=10)
    model.sample(16, seed=0)
    ```

    Reference:
        Goodfellow et al. 2014, "Generative Adversarial Networks", https://arxiv.org/abs/1406.2661
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=100,
        *,
        hidden=(1200, 1200),
        maxout=((240, 5), (240, 5)),
        dropout=(0.2, 0.5),
        num_classes=None,
        generator=None,
        discriminator=None,
        **training,
    ):
        image_shape, latent_dim, num_classes = dimensions(image_shape, latent_dim, num_classes)
        hidden = validation.positive_ints(hidden, "hidden")
        if not hasattr(maxout, "__iter__"):
            raise ValueError(f"maxout must be a tuple of (units, pieces); received: {maxout!r}.")
        maxout = tuple(
            validation.positive_ints(sizes, "Each element of maxout", 2) for sizes in maxout
        )
        _validate_dropout(dropout)

        # Networks
        given = generator, discriminator
        if generator is None:
            generator = _generator(image_shape, latent_dim, hidden, num_classes)
        if discriminator is None:
            discriminator = _discriminator(image_shape, maxout, dropout, num_classes)

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
        self.hidden, self.maxout, self.dropout = hidden, maxout, tuple(dropout)
        self.given_networks = dict(zip(("generator", "discriminator"), given))

    def get_config(self):
        """Returns the configuration of ``AdversarialModel`` and the sizes of the networks."""
        return super().get_config() | {
            "hidden": self.hidden,
            "maxout": self.maxout,
            "dropout": self.dropout,
        }


def _validate_dropout(dropout):
    is_pair = hasattr(dropout, "__len__") and len(dropout) == 2
    if not is_pair or not all(0 <= rate < 1 for rate in dropout):
        raise ValueError(
            f"dropout must be two rates of at least 0 and less than 1; received: {dropout!r}."
        )


def _label_input(num_classes):
    """Returns the label's input in a list, and a function that concatenates the label to a tensor.

    Without labels it returns an empty list and the identity.
    """
    if num_classes is None:
        return [], lambda x: x
    label = keras.Input((), dtype="int32", name="label")
    one_hot = OneHot(num_classes)(label)
    return [label], lambda x: layers.Concatenate()([x, one_hot])


def _uniform(bound):
    """Returns a new initializer, because one gives equal values to all weights of one shape."""
    return keras.initializers.RandomUniform(-bound, bound)


def _generator(image_shape, latent_dim, hidden, num_classes):
    z = keras.Input((latent_dim,), name="z")
    label, with_label = _label_input(num_classes)
    x = z
    for i, size in enumerate(hidden):
        x = layers.Dense(size, "relu", kernel_initializer=_uniform(0.05), name=f"dense_{i}")(
            with_label(x)
        )
    x = layers.Dense(
        math.prod(image_shape), kernel_initializer=_uniform(0.05), name=f"dense_{len(hidden)}"
    )(with_label(x))
    x = layers.Activation("sigmoid", dtype=keras.config.floatx())(x)
    return keras.Model(
        [z, *label] if label else z, layers.Reshape(image_shape)(x), name="generator"
    )


def _discriminator(image_shape, maxout, dropout, num_classes):
    images = keras.Input(image_shape, name="images")
    label, with_label = _label_input(num_classes)
    x = Dropout(dropout[0])(layers.Flatten()(images))
    for i, (units, pieces) in enumerate(maxout):
        x = Maxout(units, pieces, kernel_initializer=_uniform(0.005), name=f"maxout_{i}")(
            with_label(x)
        )
        x = Dropout(dropout[1])(x)
    x = layers.Dense(1, kernel_initializer=_uniform(0.005), name="output")(with_label(x))
    outputs = layers.Reshape((), dtype=keras.config.floatx())(x)
    return keras.Model([images, *label] if label else images, outputs, name="discriminator")

"""The generative adversarial network."""

import math

import keras
from keras import layers

from zoo import checks
from zoo.models.adversarial import Adversarial
from zoo.models.layers import Dropout, Maxout, OneHot


@keras.saving.register_keras_serializable("zoo")
class GAN(Adversarial):
    """Generative adversarial network of dense layers: a rectified generator and a maxout discriminator with dropout.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1]. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 100.
        hidden: tuple of int. Sizes of the generator's rectified layers. Defaults to (1200, 1200).
        maxout: tuple of (int, int). Units and pieces of the discriminator's maxout layers. Defaults to ((240, 5), (240, 5)).
        dropout: tuple of (float, float). Rates that drop the discriminator's inputs and its hidden units. Defaults to
            (0.2, 0.5).
        num_classes: int. Number of labels; both players then see the label beside the input of each layer. A dataset element
            is ``(images, labels)``. Defaults to None.
        generator_loss: str. "non_saturating" (maximize log D(G(z))) or "minimax". Defaults to "non_saturating".
        discriminator_steps: int. k, the updates of D in each training step; each sees a k-th of the batch. Defaults to 1.
        label_smoothing: float. How far below 1 the discriminator's target for real images is. Defaults to 0.0.
        instance_noise: float. Standard deviation of noise on all that the discriminator sees in training, so that it minds
            what the eye does and not the last grey level (Sønderby et al. 2016). Defaults to 0.0.
        ema: float. Rate of the moving average of the generator's weights that ``sample`` uses; None uses the weights.
            Defaults to None.
        seed: int. Seed of the noise in training and in ``evaluate``; initial weights have Keras's own,
            ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.

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
        self, image_shape=(28, 28, 1), latent_dim=100, *, hidden=(1200, 1200), maxout=((240, 5), (240, 5)), dropout=(0.2, 0.5),
        num_classes=None, generator_loss="non_saturating", discriminator_steps=1, label_smoothing=0.0, instance_noise=0.0,
        ema=None, seed=0, name=None,
    ):  # fmt: skip
        image_shape = checks.dimensions(image_shape, latent_dim, num_classes)
        self.hidden = checks.counts(hidden, "hidden")
        self.maxout = tuple(checks.counts(sizes, "maxout's pairs", 2) for sizes in _listed(maxout, "maxout"))
        self.dropout = tuple(_listed(dropout, "dropout"))
        if len(self.dropout) != 2 or not all(0 <= rate < 1 for rate in self.dropout):
            raise ValueError(f"dropout must be two rates of at least 0 and below 1, but it is {dropout!r}.")
        super().__init__(
            _generator(image_shape, latent_dim, self.hidden, num_classes),
            _discriminator(image_shape, self.maxout, self.dropout, num_classes),
            num_classes=num_classes, generator_loss=generator_loss, discriminator_steps=discriminator_steps,
            label_smoothing=label_smoothing, instance_noise=instance_noise, ema=ema, seed=seed, name=name,
        )  # fmt: skip

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "maxout": self.maxout, "dropout": self.dropout}


def _listed(given, what):
    if not hasattr(given, "__iter__"):
        raise ValueError(f"{what} must be a tuple, but it is {given!r}.")
    return given


def _label(num_classes):
    """The label's input, and a function that sets the label beside what a layer is given."""
    if num_classes is None:
        return [], lambda x: x
    label = keras.Input((), dtype="int32", name="label")
    one_hot = OneHot(num_classes)(label)
    return [label], lambda x: layers.Concatenate()([x, one_hot])


def _model(first, label, outputs, name):
    return keras.Model([first, *label] if label else first, outputs, name=name)


def _generator(image_shape, latent_dim, hidden, num_classes):
    initializer = keras.initializers.RandomUniform(-0.05, 0.05)
    z = keras.Input((latent_dim,), name="z")
    label, labelled = _label(num_classes)
    x = z
    for i, size in enumerate(hidden):
        x = layers.Dense(size, "relu", kernel_initializer=initializer, name=f"dense_{i}")(labelled(x))
    x = layers.Dense(math.prod(image_shape), kernel_initializer=initializer, name=f"dense_{len(hidden)}")(labelled(x))
    x = layers.Activation("sigmoid", dtype=keras.config.floatx())(x)
    return _model(z, label, layers.Reshape(image_shape)(x), "generator")


def _discriminator(image_shape, maxout, dropout, num_classes):
    initializer = keras.initializers.RandomUniform(-0.005, 0.005)
    images = keras.Input(image_shape, name="images")
    label, labelled = _label(num_classes)
    x = Dropout(dropout[0])(layers.Flatten()(images))
    for i, (units, pieces) in enumerate(maxout):
        x = Maxout(units, pieces, kernel_initializer=initializer, name=f"maxout_{i}")(labelled(x))
        x = Dropout(dropout[1])(x)
    x = layers.Dense(1, kernel_initializer=initializer, name="logit")(labelled(x))
    return _model(images, label, layers.Reshape((), dtype=keras.config.floatx())(x), "discriminator")

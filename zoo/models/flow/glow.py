"""Glow."""

import functools

import keras
from keras import layers

from zoo.inference import validation
from zoo.models import bijections
from zoo.models.flow.model import FlowModel


@keras.saving.register_keras_serializable("zoo")
class Glow(FlowModel):
    """Glow: flow with activation normalization, invertible 1x1 convolutions and affine couplings.

    At each scale the grid is halved by a squeeze, ``steps`` steps of the three bijections follow,
    and half of the channels is split off, except at the last scale. Dense couplings of the vector
    that is left are not in the paper. They see the whole image at once, unlike the convolutions.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Height and width must be multiples of 2 to the number of scales. Defaults to
            (28, 28, 1).
        steps: tuple of int. Number of steps of each scale. Defaults to (8, 8).
        filters: int or tuple of int. Channels of the couplings' networks, at each scale if it is
            a tuple. Defaults to 64.
        couplings: int. Number of dense couplings, which may be 0. Defaults to 4.
        hidden: tuple of int. Sizes of the hidden layers of their networks. Defaults to (256, 256).
        alpha: float. As in ``zoo.models.bijections.Logit``. Defaults to 1e-5.
        **settings: ``num_classes``, ``dequantization``, ``seed`` and ``name`` as in
            ``zoo.models.flow.model.FlowModel``.

    Example:
    ```python
    model = zoo.models.Glow(steps=(4, 4), filters=32)
    model.fit(images, batch_size=128, epochs=10)
    model.sample(16, seed=0)
    ```

    Reference:
        Kingma & Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions",
        https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        *,
        steps=(8, 8),
        filters=64,
        couplings=4,
        hidden=(256, 256),
        alpha=1e-5,
        **settings,
    ):
        # Layers
        image_shape = validation.image_shape(image_shape)
        steps = validation.positive_ints(steps, "steps")
        filters = (filters,) * len(steps) if isinstance(filters, int) else filters
        filters = validation.positive_ints(filters, "filters", len(steps))
        couplings = validation.positive_int(couplings, "couplings") if couplings != 0 else 0
        hidden = validation.positive_ints(hidden, "hidden")

        # Bijection
        network = functools.partial(bijections.dense_network, hidden, "relu")
        dense = [bijections.Coupling(network, swap=i % 2 == 1) for i in range(couplings)]
        scales = _scales(steps, filters, dense)
        bijection = bijections.Chain([bijections.Logit(alpha), scales])

        # Training
        super().__init__(bijection, image_shape=image_shape, **settings)

        # Configuration
        self.steps, self.filters, self.alpha = steps, filters, alpha
        self.couplings, self.hidden = couplings, hidden

    def get_config(self):
        """Returns the configuration of ``FlowModel`` and the sizes of the networks."""
        return super().get_config() | {
            "steps": self.steps,
            "filters": self.filters,
            "couplings": self.couplings,
            "hidden": self.hidden,
            "alpha": self.alpha,
        }


def _scales(steps, filters, dense):
    """Returns the bijection of all scales, which is composed from the last to the first."""
    rest = bijections.Chain([bijections.Flatten(), *dense])
    for i in reversed(range(len(steps))):
        hidden = functools.partial(_hidden, filters[i])
        network = functools.partial(bijections.convolutional_network, filters[i], hidden)
        scale = [bijections.Squeeze()]
        for _ in range(steps[i]):
            scale += [bijections.ActNorm(), bijections.Linear(), bijections.Coupling(network)]
        if i < len(steps) - 1:
            scale += [bijections.Coupling(network), bijections.Split(rest)]
        else:
            scale.append(rest)
        rest = bijections.Chain(scale)
    return rest


def _hidden(filters, h):
    """Applies the hidden layer of a coupling's network, a 1x1 convolution (section 5)."""
    return layers.Conv2D(filters, 1)(layers.Activation("relu")(h))

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

    With ``multiscale="wavelet"``, a scale is split by the Haar transform instead (Yu et al. 2020).
    The averages of 2x2 cells go on, and the steps map the differences of the four pixels, given
    the averages, to noise. The dense couplings then see a small version of the image, and a
    sample is drawn from the shape of the whole to its details.

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
        multiscale: str. "split" or "wavelet". Defaults to "split".
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
        Yu, Derpanis & Brubaker 2020, "Wavelet Flow: Fast Training of High Resolution Normalizing
        Flows", https://arxiv.org/abs/2010.13821
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
        multiscale="split",
        **settings,
    ):
        # Layers
        image_shape = validation.image_shape(image_shape)
        steps = validation.positive_ints(steps, "steps", least=1)
        filters = (filters,) * len(steps) if isinstance(filters, int) else filters
        filters = validation.positive_ints(filters, "filters", len(steps))
        couplings = validation.count(couplings, "couplings")
        hidden = validation.positive_ints(hidden, "hidden", least=1)
        if multiscale not in MULTISCALE:
            raise ValueError(
                f"multiscale must be one of {', '.join(map(repr, MULTISCALE))}; "
                f"received: {multiscale!r}."
            )

        # Bijection
        scales = MULTISCALE[multiscale](steps, filters, couplings, hidden)
        bijection = bijections.Chain([bijections.Logit(alpha), scales])

        # Training
        super().__init__(bijection, image_shape=image_shape, **settings)

        # Configuration
        self.steps, self.filters, self.alpha = steps, filters, alpha
        self.couplings, self.hidden, self.multiscale = couplings, hidden, multiscale

    def get_config(self):
        """Returns the configuration of ``FlowModel`` and the sizes of the networks."""
        return super().get_config() | {
            "steps": self.steps,
            "filters": self.filters,
            "couplings": self.couplings,
            "hidden": self.hidden,
            "alpha": self.alpha,
            "multiscale": self.multiscale,
        }


def _split(steps, filters, couplings, hidden):
    """Returns the bijection of the paper, which is composed from the last scale to the first."""
    network = functools.partial(bijections.dense_network, hidden, "relu")
    dense = [bijections.Coupling(network, swap=i % 2 == 1) for i in range(couplings)]
    rest = bijections.Chain([bijections.Flatten(), *dense])
    for i in reversed(range(len(steps))):
        network = _convolutional(filters[i])
        scale = [bijections.Squeeze(), *_steps(steps[i], network)]
        if i < len(steps) - 1:
            scale += [bijections.Coupling(network), bijections.Split(rest)]
        else:
            scale.append(rest)
        rest = bijections.Chain(scale)
    return rest


def _wavelet(steps, filters, couplings, hidden):
    """Returns the bijection of averages and differences, from the last scale to the first."""
    network = functools.partial(bijections.dense_network, hidden, "silu")
    dense = [
        bijection
        for i in range(couplings)
        for bijection in (
            bijections.Coupling(network, swap=i % 2 == 1),
            bijections.Linear(rotation=False),
        )
    ]
    rest = bijections.InBlocks([bijections.Flatten(), *dense])
    for i in reversed(range(len(steps))):
        details = [*_steps(steps[i], _convolutional(filters[i])), bijections.Flatten()]
        rest = bijections.Wavelet(rest, bijections.Chain(details))
    # Fixed, because the range of the averages is that of the first images.
    return bijections.Chain([bijections.ActNorm(trainable=False), rest])


MULTISCALE = {"split": _split, "wavelet": _wavelet}


def _steps(count, network):
    """Returns steps of the three bijections (figure 2a of the paper)."""
    return [
        bijection
        for _ in range(count)
        for bijection in (
            bijections.ActNorm(),
            bijections.Linear(),
            bijections.Coupling(network),
        )
    ]


def _convolutional(filters):
    """Returns the network of the couplings of images, with a hidden 1x1 layer (section 5)."""
    return functools.partial(
        bijections.convolutional_network, filters, functools.partial(_hidden, filters)
    )


def _hidden(filters, h):
    """Applies the hidden layer of a coupling's network, a 1x1 convolution."""
    return layers.Conv2D(filters, 1)(layers.Activation("relu")(h))

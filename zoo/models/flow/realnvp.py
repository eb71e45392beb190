"""RealNVP."""

import functools

import keras
from keras import layers

from zoo.inference import validation
from zoo.models import bijections
from zoo.models.flow.model import FlowModel


@keras.saving.register_keras_serializable("zoo")
class RealNVP(FlowModel):
    """RealNVP: flow of affine couplings with checkerboard and channel masks.

    Each scale has couplings with checkerboard masks, a squeeze and couplings with channel masks,
    each followed by activation normalization, and half of the channels is split off. The last
    scale has couplings with checkerboard masks only (Dinh et al. 2017, section 3.6).

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Height and width must be multiples of 2 to the number of scales minus 1. Defaults to
            (28, 28, 1).
        scales: int. Number of scales. Defaults to 3.
        checkerboards: int. Number of couplings with checkerboard masks at each scale. Defaults
            to 4.
        channels: int. Number of couplings with channel masks at each scale. Defaults to 4.
        filters: int. Channels of the couplings' networks. Defaults to 32.
        blocks: int. Residual blocks of the couplings' networks. Defaults to 2.
        alpha: float. As in ``zoo.models.bijections.Logit``. Defaults to 1e-5.
        **settings: ``num_classes``, ``dequantization``, ``seed`` and ``name`` as in
            ``zoo.models.flow.model.FlowModel``.

    Example:
    ```python
    model = zoo.models.RealNVP(scales=2, filters=16)
    model.fit(images, batch_size=128, epochs=10)
    model.sample(16, seed=0)
    ```

    Reference:
        Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP",
        https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        *,
        scales=3,
        checkerboards=4,
        channels=4,
        filters=32,
        blocks=2,
        alpha=1e-5,
        **settings,
    ):
        # Layers
        image_shape = validation.image_shape(image_shape)
        filters = validation.positive_int(filters, "filters")
        checkerboards = validation.count(checkerboards, "checkerboards")
        channels = validation.count(channels, "channels")
        blocks = validation.count(blocks, "blocks")
        residual = functools.partial(_residual_blocks, filters, blocks)
        network = functools.partial(bijections.convolutional_network, filters, residual)

        # Bijection, from the last scale to the first
        checkerboard = functools.partial(
            _couplings, bijections.CheckerboardCoupling, network, checkerboards
        )
        rest = bijections.Chain([*checkerboard(), bijections.Flatten()])
        for _ in range(validation.positive_int(scales, "scales") - 1):
            of_channels = _couplings(bijections.Coupling, network, channels)
            rest = bijections.Chain(
                [*checkerboard(), bijections.Squeeze(), *of_channels, bijections.Split(rest)]
            )
        bijection = bijections.Chain([bijections.Logit(alpha), rest])

        # Training
        super().__init__(bijection, image_shape=image_shape, **settings)

        # Configuration
        self.scales, self.checkerboards, self.channels = scales, checkerboards, channels
        self.filters, self.blocks, self.alpha = filters, blocks, alpha

    def get_config(self):
        """Returns the configuration of ``FlowModel`` and the sizes of the networks."""
        return super().get_config() | {
            "scales": self.scales,
            "checkerboards": self.checkerboards,
            "channels": self.channels,
            "filters": self.filters,
            "blocks": self.blocks,
            "alpha": self.alpha,
        }


def _couplings(kind, network, count):
    """Returns couplings that change each half in turn, with activation normalization."""
    return [
        bijection
        for i in range(count)
        for bijection in (kind(network, swap=i % 2 == 1), bijections.ActNorm())
    ]


def _residual_blocks(filters, count, h):
    """Applies residual blocks of two convolutions of 3x3 cells (Dinh et al. 2017, section 4.1)."""
    for _ in range(count):
        branch = h
        for _ in range(2):
            branch = layers.Activation("relu")(branch)
            branch = layers.Conv2D(filters, 3, padding="same")(branch)
        h = h + branch
    return h

"""Glow."""

import functools

import keras

from zoo.inference import validation
from zoo.models import bijections
from zoo.models.flow.model import FlowModel


@keras.saving.register_keras_serializable("zoo")
class Glow(FlowModel):
    """Glow: flow with activation normalization, invertible 1x1 convolutions and affine couplings.

    At each scale the grid is halved by a squeeze, ``steps`` steps of the three bijections follow,
    and half of the channels is split off, except at the last scale.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Height and width must be multiples of 2 to the number of scales. Defaults to
            (28, 28, 1).
        steps: tuple of int. Number of steps of each scale. Defaults to (8, 8).
        filters: int. Channels of the couplings' networks. Defaults to 64.
        blocks: int. Residual blocks of the couplings' networks. Defaults to 1.
        alpha: float. As in ``zoo.models.bijections.Logit``. Defaults to 1e-5.
        split: bool. Whether half of the channels is split off after a scale. Defaults to True.
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
        blocks=1,
        alpha=1e-5,
        split=True,
        **settings,
    ):
        # Layers
        image_shape = validation.image_shape(image_shape)
        steps = validation.positive_ints(steps, "steps")
        network = functools.partial(
            bijections.convolutional_network,
            validation.positive_int(filters, "filters"),
            blocks,
            "relu",
        )

        # Bijection
        bijection = bijections.Chain([bijections.Logit(alpha), _scales(steps, network, split)])

        # Training
        super().__init__(bijection, image_shape=image_shape, **settings)

        # Configuration
        self.steps, self.filters, self.blocks = steps, filters, blocks
        self.alpha, self.split = alpha, split

    def get_config(self):
        """Returns the configuration of ``FlowModel`` and the sizes of the networks."""
        return super().get_config() | {
            "steps": self.steps,
            "filters": self.filters,
            "blocks": self.blocks,
            "alpha": self.alpha,
            "split": self.split,
        }


def _scales(steps, network, split):
    """Returns the bijection of all scales, which is composed from the last to the first."""
    rest = None
    for count in reversed(steps):
        scale = [bijections.Squeeze()]
        for _ in range(count):
            scale += [bijections.ActNorm(), bijections.Linear(), bijections.Coupling(network)]
        if rest is None:
            scale.append(bijections.Flatten())
        elif split:
            scale += [bijections.Coupling(network), bijections.Split(rest)]
        else:
            scale.append(rest)
        rest = bijections.Chain(scale)
    return rest

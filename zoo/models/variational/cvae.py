"""Conditional variational autoencoder."""

import keras

from zoo.inference import validation
from zoo.models.variational.vae import VAE


@keras.saving.register_keras_serializable("zoo")
class CVAE(VAE):
    """Conditional variational autoencoder p(x | y), in which y is a label, attributes or a tensor.

    The condition y is an input of the encoder and of the decoder, and of a conditional prior. A
    dataset element is ``(images, y)``.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 50.
        num_classes: int. Number of labels if y is an int32 label. Exactly one of ``num_classes``,
            ``attributes`` and ``condition_shape`` must be given.
        attributes: dict. {attribute: list of the names of its values} if y is the value of each of
            several categorical attributes, int32 ``(k,)``: its number in the list.
        condition_shape: tuple. Shape of one y if y is a float32 tensor.
        condition_at: tuple. (row, column) of y if it is a part of the image. p(x | y) is then the
            distribution of the other pixels, and y is copied into the images that the model
            computes. Defaults to None.
        **settings: As in ``VAE``. ``prior="conditional_normal"`` learns p(z | y).

    Example:
    ```python
    model = zoo.models.CVAE(num_classes=10)
    model.fit(images, labels, batch_size=128, epochs=10)
    model.sample(16, labels=7, seed=0)

    model = zoo.models.CVAE(attributes={"glasses": ["0", "1"], "hair": ["short", "long"]})
    model.fit(images, values, batch_size=128, epochs=10)  # int32 (n, 2), 0 or 1
    model.sample(16, condition={"glasses": "1", "hair": "long"}, seed=0)
    ```

    Reference:
        Sohn, Lee & Yan 2015, "Learning Structured Output Representation using Deep Conditional
        Generative Models", NeurIPS 28; Kingma et al. 2014, "Semi-supervised Learning with Deep
        Generative Models", https://arxiv.org/abs/1406.5298
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        *,
        num_classes=None,
        attributes=None,
        condition_shape=None,
        condition_at=None,
        **settings,
    ):
        image_shape = validation.image_shape(image_shape)
        given = num_classes, attributes, condition_shape
        if sum(one is not None for one in given) != 1:
            raise ValueError(
                "Exactly one of num_classes, attributes and condition_shape must be given; "
                f"received: {', '.join(map(repr, given))}."
            )
        if condition_shape is not None:
            condition_shape = validation.positive_ints(condition_shape, "condition_shape", least=1)
        if condition_at is not None and not _fits(condition_at, condition_shape, image_shape):
            raise ValueError(
                "condition_at must be the (row, column) at which a condition of condition_shape "
                f"lies within the image; received: {condition_at!r}, {condition_shape!r} and "
                f"images of {image_shape!r}."
            )
        super().__init__(
            image_shape,
            latent_dim,
            num_classes=num_classes,
            attributes=attributes,
            condition_shape=condition_shape,
            condition_at=condition_at,
            **settings,
        )


def _fits(at, part, image) -> bool:
    """Returns whether a part (height, width, channels) at (row, column) lies within an image."""
    is_pair = isinstance(at, (tuple, list)) and len(at) == 2
    if part is None or not is_pair or len(part) != 3 or part[2] != image[2]:
        return False
    return all(first >= 0 and first + size <= whole for first, size, whole in zip(at, part, image))

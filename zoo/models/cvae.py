"""The conditional variational autoencoder."""

import keras

from zoo.models.variational import Variational


@keras.saving.register_keras_serializable("zoo")
class CVAE(Variational):
    """Conditional variational autoencoder, p(x | y) with y a label or any tensor.

    The condition enters the encoder and the decoder, and the prior too where it is learned. A dataset element is
    ``(images, y)``.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1]. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 50.
        num_classes: int. Number of labels, for y an int32 label. Give this or ``condition_shape``.
        condition_shape: tuple. Shape of one y, for y a float32 tensor.
        condition_at: tuple. (row, column) where y is a patch of the image itself: p(x | y) is then of the other pixels, and
            images that the model draws have y at its place. Defaults to None.
        learned_prior: bool. Whether p(z | y) is a network instead of N(0, I); z at every door is then in units of that
            prior. Defaults to False.
        hidden, filters, blocks, activation, likelihood, variance, beta, importance_samples, seed, name: As in ``VAE``.

    Example:

    ```python
    model = zoo.models.CVAE(num_classes=10)
    model.fit(images, labels, batch_size=128, epochs=10)
    model.sample(16, labels=7, seed=0)
    ```

    Reference:
        Sohn, Lee & Yan 2015, "Learning Structured Output Representation using Deep Conditional Generative Models",
        NeurIPS 28; Kingma et al. 2014, "Semi-supervised Learning with Deep Generative Models", https://arxiv.org/abs/1406.5298
    """

    def __init__(
        self, image_shape=(28, 28, 1), latent_dim=50, *, num_classes=None, condition_shape=None, condition_at=None,
        learned_prior=False, hidden=(200, 200), filters=(), blocks=0, activation="tanh", likelihood="bernoulli",
        variance=None, beta=1.0, importance_samples=1, seed=0, name=None,
    ):  # fmt: skip
        if (num_classes is None) == (condition_shape is None):
            raise ValueError(f"Give num_classes or condition_shape, one of them, not {num_classes!r} and {condition_shape!r}.")
        super().__init__(
            image_shape, latent_dim, hidden=hidden, filters=filters, blocks=blocks, activation=activation,
            likelihood=likelihood, variance=variance, beta=beta, importance_samples=importance_samples, seed=seed, name=name,
            num_classes=num_classes, condition_shape=condition_shape, condition_at=condition_at, learned_prior=learned_prior,
        )  # fmt: skip

    def get_config(self):
        return super().get_config() | {
            "num_classes": self.num_classes, "condition_shape": self.condition_shape, "condition_at": self.condition_at,
            "learned_prior": self.learned_prior,
        }  # fmt: skip

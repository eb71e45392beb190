"""The variational autoencoder."""

import keras

from zoo.models.variational import Variational


@keras.saving.register_keras_serializable("zoo")
class VAE(Variational):
    """Variational autoencoder, p(x) with a latent z of prior N(0, I).

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1]. Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 50.
        hidden: tuple of int. Sizes of the encoder's dense layers; the decoder's are the same backwards. Defaults to
            (200, 200), the network of Burda et al. 2015.
        filters: tuple of int. Channels of the encoder's convolutional stages, each of which halves the grid; the decoder's
            are the same backwards. Defaults to (), a dense network.
        blocks: int. Residual blocks after the convolutional stages. Defaults to 0.
        activation: str. Activation of the hidden layers. Defaults to "tanh".
        likelihood: str. "bernoulli" (grey pixels count as means) or "gaussian". Defaults to "bernoulli".
        variance: float. Variance of a Gaussian likelihood; None learns one for each pixel. Defaults to None.
        beta: float. Weight of the Kullback-Leibler divergence in the bound. Defaults to 1.0.
        importance_samples: int. Samples k of the importance-weighted bound; 1 is the evidence lower bound. Defaults to 1.
        seed: int. Seed of the noise in training and in ``evaluate``; initial weights have Keras's own,
            ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.

    Example:

    ```python
    model = zoo.models.VAE(latent_dim=20, filters=(16, 32), hidden=(128,), activation="elu")
    model.fit(images, batch_size=128, epochs=10)
    model.sample(16, seed=0)
    ```

    Reference:
        Kingma & Welling 2013, "Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114
    """

    def __init__(
        self, image_shape=(28, 28, 1), latent_dim=50, *, hidden=(200, 200), filters=(), blocks=0, activation="tanh",
        likelihood="bernoulli", variance=None, beta=1.0, importance_samples=1, seed=0, name=None,
    ):  # fmt: skip
        super().__init__(
            image_shape, latent_dim, hidden=hidden, filters=filters, blocks=blocks, activation=activation,
            likelihood=likelihood, variance=variance, beta=beta, importance_samples=importance_samples, seed=seed, name=name,
        )  # fmt: skip

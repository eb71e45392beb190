"""Variational autoencoder."""

import functools

import keras

from zoo.inference import validation
from zoo.models.generative import dimensions
from zoo.models.variational import likelihoods, networks
from zoo.models.variational.model import VariationalModel


@keras.saving.register_keras_serializable("zoo")
class VAE(VariationalModel):
    """Variational autoencoder p(x) = ∫ p(x | z) p(z) dz.

    Args:
        image_shape: tuple. (height, width, channels) of the images, which are float32 in [0, 1].
            Defaults to (28, 28, 1).
        latent_dim: int. Length of z. Defaults to 50.
        hidden: tuple of int. Sizes of the encoder's dense layers. The decoder has them in reverse
            order. Defaults to (200, 200), the network of Burda et al. 2015.
        filters: tuple of int. Channels of the encoder's convolutional stages, each of which halves
            the grid. The decoder has them in reverse order. Defaults to (), a dense network.
        blocks: int. Number of residual blocks after the convolutional stages. Defaults to 0.
        bottleneck: int. Channels of a 1x1 convolution between the last grid and the dense layers,
            which makes the first dense layer smaller. Defaults to None: no such convolution.
        activation: str. Activation of the hidden layers. Defaults to "tanh".
        encoder: keras.Model. Encoder to use instead of the one described above. Defaults to None.
        decoder: keras.Model. Decoder to use instead of the one described above. Defaults to None.
        likelihood: str, dict or Likelihood. As in
            ``zoo.models.variational.model.VariationalModel``. Defaults to "bernoulli".
        num_classes: int. As in ``CVAE``. Defaults to None.
        condition_shape: tuple. As in ``CVAE``. Defaults to None.
        attributes: dict. As in ``CVAE``. Defaults to None.
        **training: ``prior``, ``beta``, ``importance_samples``, ``seed`` and ``name`` as in
            ``zoo.models.variational.model.VariationalModel``.

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
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        *,
        hidden=(200, 200),
        filters=(),
        blocks=0,
        bottleneck=None,
        activation="tanh",
        encoder=None,
        decoder=None,
        likelihood="bernoulli",
        num_classes=None,
        condition_shape=None,
        attributes=None,
        **training,
    ):
        image_shape, latent_dim, num_classes = dimensions(image_shape, latent_dim, num_classes)
        hidden = validation.positive_ints(hidden, "hidden")
        filters = validation.positive_ints(filters, "filters")
        if bottleneck is not None:
            bottleneck = validation.positive_int(bottleneck, "bottleneck")
        networks.check_grid(image_shape, filters, blocks, bottleneck)
        likelihood = likelihoods.get(likelihood)
        if attributes is not None:
            attributes = validation.attributes(attributes)

        # Networks
        given = encoder, decoder
        condition = functools.partial(
            networks.condition_input, num_classes, condition_shape, attributes
        )
        sizes = (image_shape, latent_dim, hidden, filters, blocks, bottleneck)
        if encoder is None:
            encoder = networks.encoder(*sizes, activation, condition)
        if decoder is None:
            decoder = networks.decoder(*sizes, activation, condition, likelihood.parameters)

        # Training
        super().__init__(
            encoder,
            decoder,
            image_shape=image_shape,
            latent_dim=latent_dim,
            num_classes=num_classes,
            condition_shape=condition_shape,
            attributes=attributes,
            likelihood=likelihood,
            **training,
        )

        # Configuration
        self.hidden, self.filters = hidden, filters
        self.blocks, self.bottleneck, self.activation = blocks, bottleneck, activation
        self.given_networks = dict(zip(("encoder", "decoder"), given))

    def get_config(self):
        """Returns the configuration of ``VariationalModel``, the condition and the sizes."""
        condition = {
            "attributes": self.listed_attributes,
            "condition_shape": None if self.attributes else self.condition_shape,
            "condition_at": self.condition_at,
        }
        sizes = {
            "hidden": self.hidden,
            "filters": self.filters,
            "blocks": self.blocks,
            "bottleneck": self.bottleneck,
            "activation": self.activation,
        }
        # A subclass without a condition need not have the arguments.
        given = {name: value for name, value in condition.items() if value is not None}
        return super().get_config() | given | sizes

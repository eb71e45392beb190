"""Training of a flow by its exact likelihood."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.data import for_model, get
from zoo.inference import methods
from zoo.models import batches, bijections
from zoo.models.flow import dequantization as noises
from zoo.models.generative import GenerativeModel
from zoo.models.layers import one_hot

# Number of images whose statistics initialize the bijections.
INITIALIZATION = 256


class FlowModel(methods.ExactLikelihood, methods.Scores, GenerativeModel):
    """Trains a bijection f from images to normal noise by the change of variables.

    The density of a dequantized image x is log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|
    (Dinh et al. 2017, equation 3). A family such as RealNVP is a subclass that builds the
    bijection. z is f(x), and a call of the model computes the score of images.

    Args:
        bijection: ``zoo.models.bijections.Bijection``. Maps images in [0, 1] to vectors. It is
            built by this constructor.
        image_shape: tuple. (height, width, channels).
        num_classes: int. Number of labels of a model of p(x | label), or None. Defaults to None.
        dequantization: str, dict or Dequantization. "uniform", or "variational", which learns
            q(u | image), see ``zoo.models.flow.dequantization``. Defaults to "uniform".
        seed: int. Seed of the noise in training and in ``evaluate``. Initial weights follow Keras's
            own seed, ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.
    """

    call_signature = "score"
    tags = ("flow",)
    has_int8 = False

    def __init__(
        self,
        bijection,
        *,
        image_shape,
        num_classes=None,
        dequantization="uniform",
        seed=0,
        name=None,
    ):
        super().__init__(
            image_shape,
            math.prod(image_shape),
            num_classes=num_classes,
            seed=seed,
            name=name,
        )
        condition_shape = (self.num_classes,) if self.num_classes else None
        shape = bijection.build_for(self.image_shape, condition_shape)
        if shape != (self.latent_dim,):
            raise ValueError(
                f"bijection must map images to vectors of length {self.latent_dim}; received: one "
                f"whose results have the shape {shape}."
            )
        self.bijection, self.dequantization = bijection, noises.get(dequantization)
        self.dequantization.build_for(self.image_shape)
        # Whether the bijections know the statistics of the data.
        self.initialized = self.add_weight(
            shape=(), dtype="bool", initializer="zeros", trainable=False, name="initialized"
        )
        self.track("loss", "bits_per_dim")
        self.compile()

    @property
    def parameters(self):
        """Number of parameters of the bijection as "generator", and of all as "total"."""
        return {"generator": self.bijection.count_params(), "total": self.count_params()}

    @property
    def evaluation_metrics(self):
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        return {"bits_per_dim": {}}

    def adapt(self, images) -> None:
        """Initializes an untrained model from training images (Kingma & Dhariwal 2018, 3.1).

        Args:
            images: ``zoo.data.Source``, or data of which ``zoo.data.get`` makes one.

        Raises:
            ValueError: If the model cannot be trained on the images, see ``zoo.data.for_model``.
        """
        source = for_model(get(images), self)
        # In a random order, because the pictures of a folder are listed class by class.
        batch = next(iter(source.batches(min(INITIALIZATION, len(source)), self.seed)))
        batch = batch if isinstance(batch, tuple) else (batch, None)
        self._initialize(*(None if part is None else np.asarray(part) for part in batch))

    def _initialize(self, images, labels):
        images = ops.convert_to_tensor(images, keras.config.floatx())
        labels = None if labels is None else ops.cast(ops.reshape(labels, [-1]), "int32")
        condition = labels if self.num_classes else None
        u, _ = self.dequantization(images, self._noise(images, step=-2))
        x = noises.dequantized(images, u)
        self.bijection.initialize(x, self._one_hot(condition))
        self.initialized.assign(True)

    def _validated_for_training(self, given):
        """Validates the first batch of ``fit``, and initializes an untrained model from it."""
        given = super()._validated_for_training(given)
        if not self.initialized.numpy():
            first = batches.first(given["x"], given["y"], given["sample_weight"])
            if first is not None:
                images, labels, _ = first
                few = slice(INITIALIZATION)
                self._initialize(images[few], None if labels is None else labels[few])
        return given

    def train_step(self, data):
        """Updates the weights once by the gradient of the negative log-likelihood of a batch."""
        images, condition, weights = self.unpack(data)
        noise = self._noise(images, step=self.optimizer.iterations)
        with tf.GradientTape() as tape:
            loss = self.weighted_mean(self.nll(images, noise, condition, training=True), weights)
            scaled = self.scaled(loss, self.optimizer)
        self.apply_gradients(tape, scaled, self.optimizer, self.trainable_variables)
        return self.report(images, loss, self.bits_per_dim(loss))

    def test_step(self, data):
        """Computes the negative log-likelihood of a batch, in inference mode."""
        images, condition, weights = self.unpack(data)
        noise = self._noise(images, step=-1)
        loss = self.weighted_mean(self.nll(images, noise, condition), weights)
        return self.report(images, loss, self.bits_per_dim(loss))

    def nll(self, images, noise, condition=None, training=False):
        """Computes the bound −log P(image) ≤ −log p(x) + log q(u | image) + d log 256.

        Theis et al. 2016, section 3.1, for uniform u; Ho et al. 2019, equation 5, for others.

        Args:
            images: float32 ``(n, *image_shape)``, grey levels k / 255.
            noise: Noise of the dequantization, of the shape of the images.
            condition: int32 labels ``(n,)``, or None.
            training: Whether networks run in training mode.

        Returns:
            ``(n,)`` in nats. d is the number of values of an image.
        """
        u, log_q = self.dequantization(images, noise, training=training)
        x = noises.dequantized(images, u)
        log_prob = self.log_prob(x, condition, training)
        return log_q - log_prob + self.latent_dim * math.log(noises.LEVELS)

    def bits_per_dim(self, nats):
        """Converts nats for each image to bits for each value of an image."""
        return nats / (self.latent_dim * math.log(2))

    def log_prob(self, x, condition=None, training=False):
        """Computes log p(x) in nats, ``(n,)``, for x ``(n, *image_shape)`` in [0, 1]."""
        return self._forward(x, condition, training)["log_prob"]

    def _forward(self, x, condition=None, training=False):
        """Computes z = f(x), ``(n, latent_dim)``, and log p(x) = log N(z; 0, I) + log |det|."""
        z, log_det = self.bijection.forward_and_log_det(x, self._one_hot(condition), training)
        constant = bijections.number_of_row(z, -0.5 * self.latent_dim * math.log(2 * math.pi))
        log_prob = constant - 0.5 * ops.sum(ops.square(z), axis=-1) + log_det
        return {"z": z, "log_prob": log_prob}

    def decode_tensor(self, z, condition=None):
        """Computes x = f⁻¹(z), ``(n, *image_shape)``, limited to [0, 1]."""
        return ops.clip(self.bijection.inverse(z, self._one_hot(condition)), 0.0, 1.0)

    def score_tensor(self, images, condition=None):
        """Computes the anomaly score −log p(x) + d log 256 in nats, ``(n,)``, with u = ½."""
        middle = noises.dequantized(images, 0.5)
        constant = self.latent_dim * math.log(noises.LEVELS)
        given = [middle] if condition is None else [middle, condition]
        log_prob = self.nested("forward", *given)["log_prob"]
        return bijections.number_of_row(images, constant) - log_prob

    def signatures(self):
        """Returns the signatures of every model and those of the exact likelihood."""
        images = self.specs("images", self.image_shape)
        found = super().signatures() | {
            "encode": (lambda *given: {"z": self.nested("forward", *given)["z"]}, images),
            "score": (lambda *given: {"score": self.score_tensor(*given)}, images),
            "log_likelihood": (
                lambda *given: {"log_prob": self.nested("forward", *given)["log_prob"]},
                images,
            ),
        }
        if self.dequantization.is_uniform:
            return found
        noise = tf.TensorSpec([None, self.latent_dim], tf.float32, "noise")
        return found | {"dequantize": (self._dequantize, [images[0], noise])}

    def functions(self):
        """Returns the signatures and the function ``forward``."""
        forward = (self._forward, self.specs("images", self.image_shape))
        return super().functions() | {"forward": forward}

    def _dequantize(self, images, noise):
        u, log_prob = self.dequantization(images, ops.reshape(noise, (-1, *self.image_shape)))
        return {"images": noises.dequantized(images, u), "log_prob": log_prob}

    def get_config(self):
        """Returns the arguments of the constructor, except the bijection of a family."""
        config = super().get_config()
        del config["latent_dim"]  # It follows from image_shape.
        return config | {"dequantization": keras.saving.serialize_keras_object(self.dequantization)}

    def _one_hot(self, condition):
        """Returns labels as the condition of the bijection, ``(n, num_classes)``, or None."""
        if condition is None:
            return None
        return one_hot(condition, self.num_classes, keras.config.floatx())

    def _noise(self, images, step):
        return self.dequantization.draw(tf.shape(images), self.noise_seed(step))

"""The variational idea: learn an encoder q(z | x) and a decoder p(x | z) together, by the evidence lower bound."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo import checks
from zoo.models import networks
from zoo.models.generative import Generative
from zoo.verbs import VariationalVerbs

# Importance samples decoded at once: enough to fill the matrix product, few enough for their images to stay in the cache.
CHUNK = 500
# The smallest standard deviation of a learned Gaussian likelihood: below half a grey level of 255 a density says nothing.
MIN_LOG_VAR = 2 * math.log(0.5 / 255)


class Variational(VariationalVerbs, Generative):
    """Parent of VAE and CVAE: trains an encoder and a decoder by the evidence lower bound of Kingma & Welling 2013.

    The families differ only in what they are conditioned on, and their docstrings give the arguments.

    Attributes:
        encoder: keras.Model. Images (and a condition) to mean and log_var of q(z | x), each ``(n, latent_dim)``.
        decoder: keras.Model. z (and a condition) to the parameters of p(x | z): logits for a Bernoulli likelihood, the mean
            for a Gaussian of fixed variance, the mean and the log-variance along the channels for one of learned variance.
    """

    called = "reconstruct"

    def __init__(
        self, image_shape, latent_dim, *, hidden, filters, blocks, activation, likelihood, variance, beta, importance_samples,
        seed, name, num_classes=None, condition_shape=None, condition_at=None, learned_prior=False,
    ):  # fmt: skip
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood must be 'bernoulli' or 'gaussian', but it is {likelihood!r}.")
        if variance is not None and (likelihood != "gaussian" or variance <= 0):
            raise ValueError(f"variance must be positive and goes with likelihood='gaussian', but it is {variance!r}.")
        if blocks and not filters:
            raise ValueError(f"blocks are convolutional and need filters before them, but there are {blocks!r} and no filters.")
        if condition_at is not None and not (condition_shape and _fits(condition_at, condition_shape, image_shape)):
            raise ValueError(
                f"condition_at goes with a condition_shape that fits in the image there, but they are {condition_at!r} and "
                f"{condition_shape!r} with images of {image_shape!r}."
            )
        super().__init__(name)
        self.image_shape, self.latent_dim = checks.dimensions(image_shape, latent_dim, num_classes), latent_dim
        self.hidden, self.filters, self.blocks = checks.counts(hidden, "hidden"), checks.counts(filters, "filters"), blocks
        self.activation = activation
        self.likelihood, self.variance = likelihood, variance
        self.beta, self.importance_samples = beta, checks.count(importance_samples, "importance_samples")
        self.seed = checks.seed(seed)
        self.num_classes, self.learned_prior = num_classes, learned_prior
        self.condition_shape = None if condition_shape is None else tuple(condition_shape)
        self.condition_at = None if condition_at is None else tuple(condition_at)
        self.encoder, self.decoder = networks.encoder_and_decoder(
            self.image_shape, self.latent_dim, self.hidden, self.filters, blocks, activation,
            parameters=2 if likelihood == "gaussian" and variance is None else 1,
            num_classes=num_classes, condition_shape=self.condition_shape, learned_prior=learned_prior,
        )  # fmt: skip
        self.track("loss", "reconstruction", "kl")
        self.compile()

    def compile(self, optimizer=None, **kwargs):
        """As ``keras.Model.compile``, with Adam at 1e-3 by default; the loss is the model's own, the negative bound."""
        super().compile(optimizer=keras.optimizers.Adam(1e-3) if optimizer is None else optimizer, **kwargs)

    def optimizers(self):
        return {"optimizer": (1, self.trainable_variables)}

    @property
    def parameters(self):
        return {"generator": self.decoder.count_params(), "total": self.count_params()}

    def adapt(self, images) -> None:
        """Starts an untrained model from the mean image of the data, which saves the first epochs: the encoder's input is
        centred by it, and the decoder's last bias gives it where the likelihood is Bernoulli.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: where the images are not as above.
        """
        mean = checks.images(images, self.image_shape).mean(axis=0)
        self.encoder.get_layer("center").mean.assign(mean)
        bias = next(layer for layer in reversed(self.decoder.layers) if layer.weights).bias
        if self.likelihood == "bernoulli":
            mean = np.clip(mean, 1e-3, 1 - 1e-3)
            bias.assign(np.log(mean / (1 - mean)).reshape(bias.shape))

    def train_step(self, data):
        images, condition, weights = self.unpack(data)
        noise = self._noise(images, step=self.optimizer.iterations)
        with tf.GradientTape() as tape:
            loss, reconstruction, kl = self.negative_bound(images, condition, noise, weights, training=True)
            # tf.distribute sums the gradients of the replicas.
            scaled = self.optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)
        self.optimizer.apply(tape.gradient(scaled, self.trainable_variables), self.trainable_variables)
        return self.report(loss, reconstruction, kl)

    def test_step(self, data):
        images, condition, weights = self.unpack(data)
        return self.report(*self.negative_bound(images, condition, self._noise(images, step=-1), weights))

    def negative_bound(self, images, condition, noise, weights=None, training=False):
        """The training loss, from noise of shape ``(importance_samples, n, latent_dim)``.

        With one sample it is the negative of eq. 10 of Kingma & Welling 2013 with the Kullback-Leibler divergence in closed
        form (appendix B), weighted by beta (Higgins et al. 2017, eq. 4); with k samples, the negative of eq. 8 of Burda et
        al. 2015.

        Returns:
            (loss, reconstruction, kl): scalars in nats, sums over pixels and latents, means over the batch of weight times
            value.
        """
        mean, log_var = self.encode_tensor(images, condition, training=training)
        z = mean + ops.exp(log_var / 2) * noise
        log_prob = ops.stack([self.log_prob(images, self._decoder(sample, condition, training)) for sample in ops.unstack(z)])
        kl = 0.5 * ops.sum(ops.exp(log_var) + ops.square(mean) - 1 - log_var, axis=-1)
        if self.importance_samples == 1:
            loss = self.beta * kl - log_prob[0]
        else:
            log_ratio = 0.5 * ops.sum(ops.square(noise) - ops.square(z) + log_var, axis=-1)
            loss = math.log(self.importance_samples) - ops.logsumexp(log_prob + self.beta * log_ratio, axis=0)
        return tuple(self.weighted_mean(term, weights) for term in (loss, -ops.mean(log_prob, axis=0), kl))

    def log_prob(self, images, parameters):
        """log p(x | z) in nats, ``(n,)``, from the decoder's output; grey images count as means of Bernoulli pixels.

        Pixels that the condition gives are left out: the model is p(the other pixels | condition).
        """
        parameters = self.full(parameters)
        if self.likelihood == "bernoulli":
            pixels = images * parameters - ops.softplus(parameters)
        else:
            mean, log_var = self._gaussian(parameters)
            pixels = -0.5 * (ops.square(images - mean) * ops.exp(-log_var) + log_var + math.log(2 * math.pi))
        return ops.sum(pixels if self.condition_at is None else pixels * self._unknown(), axis=(-3, -2, -1))

    def encode_tensor(self, images, condition=None, training=False):
        mean, log_var = self.encoder(images if condition is None else [images, condition], training=training)
        return self.full(mean), self.full(log_var)

    def decode_tensor(self, z, condition=None):
        parameters = self.full(self._decoder(z, condition, training=False))
        if self.likelihood == "bernoulli":
            images = ops.sigmoid(parameters)
        else:
            images = ops.clip(self._gaussian(parameters)[0], 0.0, 1.0)
        if self.condition_at is None:
            return images
        return images * self._unknown() + ops.pad(ops.clip(condition, 0.0, 1.0), [(0, 0), *self._margins(), (0, 0)])

    def score_tensor(self, images, condition=None):
        mean, log_var = self.encode_tensor(images, condition)
        kl = 0.5 * ops.sum(ops.exp(log_var) + ops.square(mean) - 1 - log_var, axis=-1)
        return kl - self.log_prob(images, self._decoder(mean, condition, training=False))

    def signatures(self):
        specs = [tf.TensorSpec([None, *self.image_shape], tf.float32, "images"), *self.condition_spec()]

        def encode(images, condition=None):
            mean, log_var = self.encode_tensor(images, condition)
            return {"mean": mean, "log_var": log_var}

        def reconstruct(images, condition=None):
            return {"images": self.decode_tensor(self.encode_tensor(images, condition)[0], condition)}

        def score(images, condition=None):
            return {"score": self.score_tensor(images, condition)}

        return super().signatures() | {"encode": (encode, specs), "reconstruct": (reconstruct, specs), "score": (score, specs)}

    def log_likelihood(self, images, labels=None, *, samples=5000, seed=0, condition=None, proposal="posterior") -> np.ndarray:
        """Estimates log p(x) of each image (log p(x | y) for a conditional model) with importance samples.

        log 1/k sum_i p(x, z_i) / r(z_i), a lower bound in expectation that tightens with k (Burda et al. 2015, eq. 8).

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].
            labels: one label for all, or n of them.
            samples: k, the number of samples an image.
            seed: row i's samples depend on seed + i alone.
            condition: for a model conditioned on a tensor, one condition for all, or n of them.
            proposal: r, "posterior" for q(z | x), or "prior" for plain Monte Carlo from p(z).

        Returns:
            float32 ``(n,)``, nats.

        Raises:
            ValueError: where an argument is not as above.
        """
        inputs = self._images(images)
        n = len(inputs["images"])
        checks.count(samples, "samples")
        if proposal not in ("posterior", "prior"):
            raise ValueError(f"proposal must be 'posterior' or 'prior', but it is {proposal!r}.")
        condition = self._conditioning(n, labels, condition)
        rows = (inputs["images"], checks.seeds(seed, n), *condition.values())
        return np.array([self._log_likelihood(samples, proposal == "prior", *row).numpy() for row in zip(*rows)], np.float32)

    @tf.function
    def _log_likelihood(self, samples, from_prior, image, seed, condition=None):
        """log 1/k sum_i p(x, z_i) / r(z_i) for one image, CHUNK samples at a time."""
        given = None if condition is None else condition[None]
        mean, log_var = self.encode_tensor(image[None], given)
        if from_prior:
            mean, log_var = tf.zeros_like(mean), tf.zeros_like(log_var)
        total = tf.constant(-math.inf)
        for start in tf.range(0, samples, CHUNK):
            size = tf.minimum(CHUNK, samples - start)
            noise = tf.random.stateless_normal([size, self.latent_dim], tf.stack([seed, tf.cast(start, tf.int64)]))
            z = mean + tf.exp(log_var / 2) * noise
            log_ratio = 0.5 * tf.reduce_sum(tf.square(noise) - tf.square(z) + log_var, axis=-1)
            repeated = None if given is None else tf.repeat(given, size, axis=0)
            log_weight = self.log_prob(image, self._decoder(z, repeated, training=False)) + log_ratio
            total = tf.reduce_logsumexp(tf.concat([log_weight, total[None]], axis=0))
        return total - math.log(samples)

    def get_config(self):
        return super().get_config() | {
            "image_shape": self.image_shape, "latent_dim": self.latent_dim, "hidden": self.hidden, "filters": self.filters,
            "blocks": self.blocks, "activation": self.activation, "likelihood": self.likelihood, "variance": self.variance,
            "beta": self.beta, "importance_samples": self.importance_samples, "seed": self.seed,
        }  # fmt: skip

    def _decoder(self, z, condition, training):
        return self.decoder(z if condition is None else [z, condition], training=training)

    def _gaussian(self, parameters):
        """Mean and log-variance of a Gaussian likelihood, bounded below as ``MIN_LOG_VAR`` says."""
        if self.variance is not None:
            return parameters, ops.full_like(parameters, math.log(self.variance))
        channels = self.image_shape[-1]
        mean, log_var = parameters[..., :channels], parameters[..., channels:]
        return mean, MIN_LOG_VAR + ops.softplus(log_var - MIN_LOG_VAR)

    def _margins(self):
        """How many rows and columns of the image lie before and behind the condition."""
        return [(at, size - at - given) for at, size, given in zip(self.condition_at, self.image_shape, self.condition_shape)]

    def _unknown(self):
        """1 for the pixels that the condition leaves open, 0 for those that it gives: ``(height, width, 1)``."""
        return np.pad(np.zeros((*self.condition_shape[:2], 1), "float32"), [*self._margins(), (0, 0)], constant_values=1)

    def _noise(self, images, step):
        return self.noise([self.importance_samples, tf.shape(images)[0], self.latent_dim], step)


def _fits(at, patch, image) -> bool:
    """Whether a patch (height, width, channels) at (row, column) lies in an image."""
    inside = all(first >= 0 and first + size <= whole for first, size, whole in zip(at, patch, image))
    return len(at) == 2 and len(patch) == 3 and patch[2] == image[2] and inside

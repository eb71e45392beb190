"""Variational training: an encoder q(z | x) and a decoder p(x | z) learned together by the evidence lower bound."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo import data
from zoo.inference import methods, validation
from zoo.models import base
from zoo.models.variational import likelihoods, networks, priors

# Importance samples decoded at once: enough to fill the matrix product, few enough for their images
# to stay in the cache.
CHUNK = 500

REPLACED = {
    "learned_prior": "prior='conditional_normal'",
    "variance": "likelihood={'class_name': 'gaussian', 'config': {'variance': …}}",
}


def reparameterize(mean, log_var, noise):
    """Draws z = mean + exp(log_var / 2) noise from N(mean, exp(log_var)) (Kingma & Welling 2013, section 2.4)."""
    return mean + ops.exp(log_var / 2) * noise


class VariationalModel(
    methods.Encodes,
    methods.Reconstructs,
    methods.Scores,
    methods.LogPrior,
    methods.Decodes,
    base.GenerativeModel,
):
    """Trains an encoder and a decoder by the evidence lower bound of Kingma & Welling 2013.

    A family such as VAE builds the networks and hands them over. Calling the model reconstructs
    images.

    Args:
        encoder: keras.Model. Images (and a condition) to mean and log_var of q(z | x), each ``(n,
            latent_dim)``.
        decoder: keras.Model. z (and a condition) to the parameters of p(x | z), ``(n, height,
            width, channels * k)`` with k the likelihood's ``parameters``.
        image_shape: tuple. (height, width, channels).
        latent_dim: int. Length of z.
        num_classes, condition_shape, condition_at: As in ``CVAE``.
        likelihood: str, dict or Likelihood. "bernoulli", "continuous_bernoulli", "gaussian" or
            "discretized_logistic", see ``zoo.models.variational.likelihoods``. Defaults to
            "bernoulli".
        prior: str, dict or Prior. "standard_normal", or "conditional_normal" for a conditional
            model, see ``zoo.models.variational.priors``. Defaults to "standard_normal".
        beta: float. Weight of the divergence from the prior (Higgins et al. 2017). Defaults to 1.0.
        importance_samples: int. Samples k of the importance-weighted bound; 1 is the evidence lower
            bound. Defaults to 1.
        seed: int. Seed of the noise in training and in ``evaluate``. Initial weights follow Keras's
            own seed, ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.
    """

    called = "reconstruct"
    calibrates_on_images = True

    def __init__(
        self,
        encoder,
        decoder,
        *,
        image_shape,
        latent_dim,
        num_classes=None,
        condition_shape=None,
        condition_at=None,
        likelihood="bernoulli",
        prior="standard_normal",
        beta=1.0,
        importance_samples=1,
        seed=0,
        name=None,
        **unknown,
    ):
        base.refuse(unknown, REPLACED, type(self))
        super().__init__(
            image_shape,
            latent_dim,
            num_classes=num_classes,
            condition_shape=condition_shape,
            condition_at=condition_at,
            seed=seed,
            name=name,
        )
        self.likelihood, self.prior = likelihoods.get(likelihood), priors.get(prior)
        self.beta = beta
        self.importance_samples = validation.positive_int(importance_samples, "importance_samples")
        self.check_network(encoder, "encoder", self.image_shape, [(self.latent_dim,)] * 2)
        height, width, channels = self.image_shape
        output_shape = (height, width, channels * self.likelihood.parameters)
        self.check_network(decoder, "decoder", (self.latent_dim,), output_shape)
        self.encoder, self.decoder = encoder, decoder
        self.prior.build_for(self.latent_dim, self._condition_size())
        self.track("loss", "reconstruction", "kl")
        self.compile()

    def _condition_size(self):
        return self.num_classes or (
            math.prod(self.condition_shape) if self.condition_shape else None
        )

    def compile(self, optimizer=None, **kwargs):
        """Configures training as ``keras.Model.compile`` does, with Adam at 1e-3 by default and no loss or metrics."""
        super().compile(
            optimizer=keras.optimizers.Adam(1e-3) if optimizer is None else optimizer, **kwargs
        )

    def optimizers(self):
        return {"optimizer": (1, self.trainable_variables)}

    @property
    def parameters(self):
        generator = self.decoder.count_params() + self.prior.count_params()
        return {"generator": generator, "total": self.count_params()}

    @property
    def evaluation_metrics(self):
        return {"nll": {"samples": 500}} | self.likelihood.evaluation_metrics

    def adapt(self, images) -> None:
        """Initializes the biases from the mean training image, which saves the first epochs.

        Args:
            images: ``zoo.data.Source``, or data of which ``zoo.data.get`` makes one.

        Raises:
            ValueError: If the images are of another shape than the model's.
        """
        source = data.for_model(data.get(images), self)
        total = np.zeros(self.image_shape)
        for batch in source.batches(min(1000, len(source))):
            batch = batch[0] if isinstance(batch, tuple) else batch
            total += np.sum(batch, axis=0, dtype=np.float64)
        mean = np.float32(total / len(source))
        networks.start_from_mean(self.encoder, self.decoder, self.likelihood, mean)

    def train_step(self, element):
        """One step of gradient descent on the negative bound."""
        images, condition, weights = self.unpack(element)
        noise = self._noise(images, step=self.optimizer.iterations)
        with tf.GradientTape() as tape:
            loss, reconstruction, kl = self.negative_elbo(
                images, condition, noise, weights, training=True
            )
            scaled = self.scaled(loss, self.optimizer)
        self.apply_gradients(tape, scaled, self.optimizer, self.trainable_variables)
        return self.report(loss, reconstruction, kl)

    def test_step(self, element):
        images, condition, weights = self.unpack(element)
        return self.report(
            *self.negative_elbo(images, condition, self._noise(images, step=-1), weights)
        )

    def negative_elbo(self, images, condition, noise, weights=None, training=False):
        """Computes the training loss from noise ``(importance_samples, n, latent_dim)``.

        With one sample it is −E_q[log p(x | z)] + beta KL(q(z | x) ‖ p(z)), the negative of
        equation 10 of Kingma & Welling 2013, with the divergence in closed form where the prior has
        one. With k samples it is the negative of equation 8 of Burda et al. 2015.

        Returns:
            (loss, reconstruction, kl): scalars in nats, sums over pixels and latents, means over
                the batch of weight times
            value.
        """
        mean, log_var = self.encode_tensor(images, condition, training=training)
        log_prob, log_ratio = [], []
        for sample in ops.unstack(noise):
            z = reparameterize(mean, log_var, sample)
            log_prob.append(self.log_prob(images, self._decoder(z, condition, training)))
            log_ratio.append(self.log_ratio(z, sample, log_var, condition))
        log_prob, log_ratio = ops.stack(log_prob), ops.stack(log_ratio)
        kl = self.kl_divergence(mean, log_var, condition)
        kl = -ops.mean(log_ratio, axis=0) if kl is None else kl
        if self.importance_samples == 1:
            loss = self.beta * kl - log_prob[0]
        else:
            loss = math.log(self.importance_samples) - ops.logsumexp(
                log_prob + self.beta * log_ratio, axis=0
            )
        return tuple(
            self.weighted_mean(term, weights) for term in (loss, -ops.mean(log_prob, axis=0), kl)
        )

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(q(z | x) ‖ p(z)) in nats, ``(n,)``, or None if the prior has no closed form."""
        return self.prior.kl_divergence(mean, log_var, self._flat(condition))

    def log_ratio(self, z, noise, log_var, condition=None):
        """Computes log p(z) − log q(z | x) in nats, ``(n,)``, for z = mean + exp(log_var / 2) noise."""
        log_posterior = priors.normal_log_prob(noise) - 0.5 * ops.sum(log_var, axis=-1)
        return self.full(self.prior.log_prob(z, self._flat(condition))) - log_posterior

    def log_prob(self, images, output):
        """Computes log p(x | z) in nats, ``(n,)``, from the decoder's output.

        The pixels that the condition gives are left out: the model is p(the other pixels |
            condition).
        """
        values = self.likelihood.log_prob(images, self.full(output))
        return ops.sum(
            values if self.condition_at is None else values * self._unknown(), axis=(-3, -2, -1)
        )

    def encode_tensor(self, images, condition=None, training=False):
        """Computes mean and log_var of q(z | x)."""
        output = self.encoder(
            images if condition is None else [images, condition], training=training
        )
        mean, log_var = (self.full(part) for part in output)
        return self.prior.posterior(mean, log_var, self._flat(condition))

    def decode_tensor(self, z, condition=None):
        images = self.likelihood.mean(self.full(self._decoder(z, condition, training=False)))
        if self.condition_at is None:
            return images
        return images * self._unknown() + ops.pad(
            ops.clip(condition, 0.0, 1.0), [(0, 0), *self._margins(), (0, 0)]
        )

    def prior_tensor(self, noise, condition=None):
        return self.full(self.prior(noise, self._flat(condition)))

    def score_tensor(self, images, condition=None):
        """Computes −log p(x | z) and the divergence from the prior, or its value at z, with z at the posterior mean."""
        mean, log_var = self.encode_tensor(images, condition)
        kl = self.kl_divergence(mean, log_var, condition)
        if kl is None:
            kl = -self.log_ratio(mean, ops.zeros_like(mean), log_var, condition)
        return kl - self.log_prob(images, self._decoder(mean, condition, training=False))

    def signatures(self):
        def encode(*given):
            mean, log_var = self.encode_tensor(*given)
            return {"mean": mean, "log_var": log_var}

        def reconstruct(images, condition=None):
            return {
                "images": self.decode_tensor(self.encode_tensor(images, condition)[0], condition)
            }

        images = self.specs("images", self.image_shape)
        found = super().signatures() | {
            "encode": (encode, images),
            "reconstruct": (reconstruct, images),
            "score": (lambda *given: {"score": self.score_tensor(*given)}, images),
        }
        if self.prior.is_standard_normal:
            return found
        prior = {
            "prior": (
                lambda *given: {"z": self.prior_tensor(*given)},
                self.specs("noise", [self.latent_dim]),
            )
        }
        return found | prior | self._log_prior_function()

    def functions(self):
        return super().functions() | self._log_prior_function()

    def _log_prior_function(self):
        def log_prior(z, condition=None):
            return {"log_prob": self.full(self.prior.log_prob(z, self._flat(condition)))}

        return {"log_prior": (log_prior, self.specs("z", [self.latent_dim]))}

    def calibration_inputs(self, images, condition, noise):
        seen = {"images": images} | condition
        posterior = self.compute("encode", seen)
        z = posterior["mean"] + np.exp(posterior["log_var"] / 2) * noise
        inputs = {"decode": {"z": z} | condition} | dict.fromkeys(
            ("encode", "reconstruct", "score"), seen
        )
        if self.prior.is_standard_normal:
            return inputs
        return inputs | {"prior": {"noise": noise} | condition, "log_prior": {"z": z} | condition}

    def log_likelihood(
        self, images, labels=None, *, samples=5000, seed=0, condition=None, proposal="posterior"
    ) -> np.ndarray:
        """Estimates log p(x) of each image, or log p(x | y) for a conditional model, by importance sampling.

        log 1/k Σᵢ p(x, zᵢ) / r(zᵢ), in expectation a lower bound that tightens with k (Burda et al.
        2015, equation 8).

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].
            labels: One label for all images, or n of them.
            samples: k, the number of samples for each image.
            seed: Row i's samples depend on seed + i alone.
            condition: For a model that is conditional on a tensor, one condition for all images, or
                n of them.
            proposal: r, "posterior" for q(z | x), or "prior" for plain Monte Carlo from p(z).

        Returns:
            float32 ``(n,)``, nats.

        Raises:
            ValueError: If an argument is not as above.
        """
        inputs = self._images(images)
        n = len(inputs["images"])
        validation.positive_int(samples, "samples")
        if proposal not in ("posterior", "prior"):
            raise ValueError(f"proposal must be 'posterior' or 'prior'; received: {proposal!r}.")
        condition = self._conditioning(n, labels, condition)
        rows = (inputs["images"], validation.seeds(seed, n), *condition.values())
        return np.array(
            [
                self._log_likelihood(samples, proposal == "prior", *row).numpy()
                for row in zip(*rows)
            ],
            np.float32,
        )

    @tf.function
    def _log_likelihood(self, samples, from_prior, image, seed, condition=None):
        """log 1/k Σᵢ p(x, zᵢ) / r(zᵢ) for one image, CHUNK samples at a time."""
        given = None if condition is None else condition[None]
        mean, log_var = self.encode_tensor(image[None], given)
        total = tf.constant(-math.inf)
        for start in tf.range(0, samples, CHUNK):
            size = tf.minimum(CHUNK, samples - start)
            noise = tf.random.stateless_normal(
                [size, self.latent_dim], tf.stack([seed, tf.cast(start, tf.int64)])
            )
            repeated = None if given is None else tf.repeat(given, size, axis=0)
            if from_prior:
                z, log_ratio = self.prior_tensor(noise, repeated), 0.0
            else:
                z = reparameterize(mean, log_var, noise)
                log_ratio = self.log_ratio(z, noise, log_var, repeated)
            log_weight = (
                self.log_prob(image, self._decoder(z, repeated, training=False)) + log_ratio
            )
            total = tf.reduce_logsumexp(tf.concat([log_weight, total[None]], axis=0))
        return total - math.log(samples)

    def get_config(self):
        return super().get_config() | {
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "beta": self.beta,
            "importance_samples": self.importance_samples,
        }

    def _decoder(self, z, condition, training):
        return self.decoder(z if condition is None else [z, condition], training=training)

    def _flat(self, condition):
        """Returns the condition as the prior takes it, ``(n, size)``: a one-hot label, or a flat tensor."""
        if condition is None or not self.prior.conditional:
            return None
        if self.num_classes:
            # A gather, for the same reason as in OneHot.
            return tf.gather(tf.eye(self.num_classes, dtype=keras.config.floatx()), condition)
        return tf.reshape(condition, [-1, self._condition_size()])

    def _margins(self):
        """Returns the numbers of rows and columns of the image before and after the condition."""
        return [
            (at, size - at - given)
            for at, size, given in zip(self.condition_at, self.image_shape, self.condition_shape)
        ]

    def _unknown(self):
        """Returns 1 for the pixels that the condition leaves open and 0 for those that it gives, ``(height, width, 1)``."""
        return np.pad(
            np.zeros((*self.condition_shape[:2], 1), "float32"),
            [*self._margins(), (0, 0)],
            constant_values=1,
        )

    def _noise(self, images, step):
        return self.noise([self.importance_samples, tf.shape(images)[0], self.latent_dim], step)

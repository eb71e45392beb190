"""Variational training of an encoder q(z | x) and a decoder p(x | z)."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.data import get, with_shape_of
from zoo.inference import methods, validation
from zoo.models import base
from zoo.models.generative import GenerativeModel
from zoo.models.layers import one_hot, one_hots
from zoo.models.variational import likelihoods, networks, priors
from zoo.models.variational.prior_training import PriorTraining
from zoo.models.variational.priors import reparameterize

# Number of importance samples that are decoded at once: large enough for fast matrix products, and
# small enough for their images to stay in the processor's cache.
CHUNK = 500

REPLACED = {
    "learned_prior": "prior='conditional_normal'",
    "variance": "likelihood={'class_name': 'gaussian', 'config': {'variance': …}}",
}

# Upper bound of log_var in the training loss, which a far larger value for a single image would
# make infinite.
MAX_LOG_VAR = 10.0


def log_mean_exp(values):
    """Computes log 1/k Σᵢ exp(valuesᵢ) over the first axis, of length k."""
    return ops.logsumexp(values, axis=0) - math.log(values.shape[0])


class VariationalModel(
    methods.Encodes,
    methods.Reconstructs,
    methods.Scores,
    methods.LogPrior,
    methods.Decodes,
    GenerativeModel,
):
    """Trains an encoder and a decoder by the evidence lower bound of Kingma & Welling 2013.

    A family such as VAE is a subclass that builds the networks. A call of the model reconstructs
    images.

    Args:
        encoder: keras.Model. Maps images (and a condition) to mean and log_var of q(z | x), each
            ``(n, latent_dim)``.
        decoder: keras.Model. Maps z (and a condition) to the parameters of p(x | z), ``(n, height,
            width, channels * k)``, in which k is the likelihood's ``parameters``.
        image_shape: tuple. (height, width, channels).
        latent_dim: int. Length of z.
        num_classes: int. As in ``CVAE``.
        condition_shape: tuple. As in ``CVAE``.
        condition_at: tuple. As in ``CVAE``.
        attributes: dict. As in ``CVAE``.
        likelihood: str, dict or Likelihood. "bernoulli", "continuous_bernoulli", "gaussian" or
            "discretized_logistic", see ``zoo.models.variational.likelihoods``. Defaults to
            "bernoulli".
        prior: str, dict or Prior. "standard_normal", "flow", or "conditional_normal" for a
            conditional model, see ``zoo.models.variational.priors``. Defaults to
            "standard_normal".
        beta: float. Weight of the divergence from the prior (Higgins et al. 2017). Defaults to 1.0.
        importance_samples: int. Number k of samples of the importance-weighted bound. With 1 it is
            the evidence lower bound. Defaults to 1.
        seed: int. Seed of the noise in training and in ``evaluate``. Initial weights follow Keras's
            own seed, ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.
    """

    call_signature = "reconstruct"
    tags = ("variational",)
    cycle_arguments = ("beta", "importance_samples")
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
        attributes=None,
        likelihood="bernoulli",
        prior="standard_normal",
        beta=1.0,
        importance_samples=1,
        seed=0,
        name=None,
        **unknown,
    ):
        base.refuse_unknown(unknown, REPLACED, type(self))
        super().__init__(
            image_shape,
            latent_dim,
            num_classes=num_classes,
            condition_shape=condition_shape,
            condition_at=condition_at,
            attributes=attributes,
            seed=seed,
            name=name,
        )
        self.likelihood, self.prior = likelihoods.get(likelihood), priors.get(prior)
        if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not beta >= 0:
            raise ValueError(f"beta must be a number of at least 0; received: {beta!r}.")
        self.beta = beta
        self.importance_samples = validation.positive_int(importance_samples, "importance_samples")
        self.check_network(encoder, "encoder", self.image_shape, [(self.latent_dim,)] * 2)
        height, width, channels = self.image_shape
        output_shape = (height, width, channels * self.likelihood.parameters)
        self.check_network(decoder, "decoder", (self.latent_dim,), output_shape)
        self.encoder, self.decoder = encoder, decoder
        self.prior.build_for(self.latent_dim, self.condition_size)
        self.track("loss", "reconstruction", "kl")
        self.compile()

    @property
    def condition_size(self) -> int | None:
        """Length of a flat condition, or None if there is none."""
        if self.attributes:
            return sum(self.attribute_sizes)
        return self.num_classes or (
            math.prod(self.condition_shape) if self.condition_shape else None
        )

    @property
    def parameters(self):
        """Number of parameters of decoder and prior as "generator", and of all as "total"."""
        generator = self.decoder.count_params() + self.prior.count_params()
        return {"generator": generator, "total": self.count_params()}

    @property
    def evaluation_metrics(self):
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        return {"nll": {"samples": 500}} | self.likelihood.evaluation_metrics

    def adapt(self, images) -> None:
        """Initializes an untrained model from the mean training image.

        This saves the first epochs of training.

        Args:
            images: ``zoo.data.Source``, or data of which ``zoo.data.get`` makes one.

        Raises:
            ValueError: If the images are of another shape than the model's.
        """
        source = with_shape_of(get(images), self)
        total = np.zeros(self.image_shape)
        for batch in source.batches(min(1000, len(source))):
            batch = batch[0] if isinstance(batch, tuple) else batch
            total += np.sum(batch, axis=0, dtype=np.float64)
        mean = np.float32(total / len(source))
        networks.start_from_mean(self.encoder, self.decoder, self.likelihood, mean)

    def fit_prior(self, images, labels=None, epochs: int = 20, **settings):
        """Fits a flow prior to the posteriors of training images; nothing else is trained.

        The mean of log p(z) over z from q(z | x) is maximized (Dai & Wipf 2019, section 4). If the
        model has a flow prior, its training continues; otherwise a new one replaces the prior, on
        which it is based. Samples of the model then look more like the training images, because
        the decoder only knows z that the encoder computes. If the training is interrupted, the
        model is unchanged, except that a flow which it already had is partly trained. The optimizer
        of the model starts anew.

        Args:
            images: As in ``fit``: images, a data set or a ``zoo.data.Source``. They must be such as
                the model was trained on, for example binarized.
            labels: Labels or conditions of the images, if they are given as an array.
            epochs: Number of epochs.
            **settings: ``optimizer``, by default Adam with a learning rate that decays from 1e-3 to
                0 over all steps if their number is known; ``prior``, a ``Flow`` or its config for
                other sizes than the default ones; and further arguments of ``fit``.

        Returns:
            ``keras.callbacks.History`` with the loss, −log p(z) in nats.

        Raises:
            ValueError: As ``fit``.
        """
        with self.distribute_strategy.scope():
            training = PriorTraining(self, settings.pop("prior", None))
            history = training.fit_for(images, labels, epochs, settings)
            self._set_prior(training.prior)
        return history

    def _set_prior(self, prior):
        """Replaces the prior, discards graphs with the old one, and compiles again."""
        compiled = self.get_compile_config()
        parts = {"prior": prior, "encoder": self.encoder, "decoder": self.decoder}
        # Keras tracks a replaced part further, unless it is told otherwise. All parts are set anew,
        # so that their variables have the order in which the constructor of a loaded model creates
        # them.
        for name in parts:
            self._tracker.untrack(getattr(self, name))
        for name, part in parts.items():
            setattr(self, name, part)
        self.forget_traced()
        self.compile_from_config(compiled)

    def train_step(self, data):
        """Updates the weights once by the gradient of the negative bound on a batch."""
        images, condition, weights = self.unpack(data)
        noise = self._noise(images, step=self.optimizer.iterations)
        with tf.GradientTape() as tape:
            loss, reconstruction, kl = self.negative_elbo(
                images, condition, noise, weights, training=True
            )
            scaled = self.scaled(loss, self.optimizer)
        self.apply_gradients(tape, scaled, self.optimizer, self.trainable_variables)
        return self.report(images, loss, reconstruction, kl)

    def test_step(self, data):
        """Computes the negative bound on a batch, in inference mode."""
        images, condition, weights = self.unpack(data)
        noise = self._noise(images, step=-1)
        return self.report(images, *self.negative_elbo(images, condition, noise, weights))

    def negative_elbo(self, images, condition, noise, weights=None, training=False):
        """Computes the training loss.

        With one sample it is −E_q[log p(x | z)] + beta KL(q(z | x) ‖ p(z)), for beta = 1 the
        negative of equation 3 of Kingma & Welling 2013. The divergence is in closed form if the
        prior has one. With k samples and beta = 1 it is the negative of equation 8 of Burda et al.
        2015.

        Args:
            images: float32 ``(n, *image_shape)`` in [0, 1].
            condition: Labels or condition tensors of the images, or None.
            noise: float32 ``(importance_samples, n, latent_dim)``, standard normal.
            weights: float32 ``(n,)``, or None for 1.
            training: Whether the networks run in training mode.

        Returns:
            (loss, reconstruction, kl): Scalars in nats. Each is summed over pixels and latent
            variables, then averaged over the batch after multiplication by the weights.
        """
        mean, log_var = self.encode_tensor(images, condition, training=training)
        log_var = ops.minimum(log_var, MAX_LOG_VAR)
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
            loss = -log_mean_exp(log_prob + self.beta * log_ratio)
        return tuple(
            self.weighted_mean(term, weights) for term in (loss, -ops.mean(log_prob, axis=0), kl)
        )

    def kl_divergence(self, mean, log_var, condition=None):
        """Computes KL(q(z | x) ‖ p(z)) in nats, ``(n,)``, or None without a closed form."""
        return self.prior.kl_divergence(mean, log_var, self.flat(condition))

    def log_ratio(self, z, noise, log_var, condition=None):
        """Computes log p(z) − log q(z | x) in nats, ``(n,)``.

        z must be the result of ``reparameterize`` for the same noise and log_var.
        """
        log_prior = self.to_float(self.prior.log_prob(z, self.flat(condition)))
        return log_prior - priors.log_posterior(noise, log_var)

    def log_prob(self, images, output):
        """Computes log p(x | z) in nats, ``(n,)``, from the decoder's output.

        If the condition is a part of the image, its pixels are left out: the model is the
        distribution of the other pixels.
        """
        values = self.likelihood.log_prob(images, self.to_float(output))
        return ops.sum(
            values if self.condition_at is None else values * self._unknown(), axis=(-3, -2, -1)
        )

    def encode_tensor(self, images, condition=None, training=False):
        """Computes mean and log_var of q(z | x), each ``(n, latent_dim)``."""
        output = self.encoder(
            images if condition is None else [images, condition], training=training
        )
        mean, log_var = (self.to_float(part) for part in output)
        return self.prior.posterior(mean, log_var, self.flat(condition))

    def decode_tensor(self, z, condition=None):
        """Computes mean images ``(n, *image_shape)`` of p(x | z), with the condition's pixels."""
        images = self.likelihood.mean(self.to_float(self._decoder(z, condition, training=False)))
        if self.condition_at is None:
            return images
        return images * self._unknown() + ops.pad(
            ops.clip(condition, 0.0, 1.0), [(0, 0), *self._margins(), (0, 0)]
        )

    def prior_tensor(self, noise, condition=None):
        """Maps noise ``(n, latent_dim)`` from N(0, I) to z from the prior."""
        return self.to_float(self.prior(noise, self.flat(condition)))

    def score_tensor(self, images, condition=None):
        """Computes the anomaly score in nats, ``(n,)``.

        It is −log p(x | z) + KL(q(z | x) ‖ p(z)) at the posterior mean z. If the divergence has
        no closed form, it is replaced by log q(z | x) − log p(z).
        """
        mean, log_var = self.encode_tensor(images, condition)
        kl = self.kl_divergence(mean, log_var, condition)
        if kl is None:
            given = [mean] if condition is None else [mean, condition]
            log_prior = self.nested("log_prior", *given)["log_prob"]
            kl = priors.log_posterior(ops.zeros_like(mean), log_var) - log_prior
        return kl - self.log_prob(images, self._decoder(mean, condition, training=False))

    def signatures(self):
        """Returns the signatures of every model, those of the encoder and those of the prior."""

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
        """Returns the signatures and the function ``log_prior``."""
        return super().functions() | self._log_prior_function()

    def _log_prior_function(self):
        def log_prior(z, condition=None):
            return {"log_prob": self.to_float(self.prior.log_prob(z, self.flat(condition)))}

        return {"log_prior": (log_prior, self.specs("z", [self.latent_dim]))}

    def calibration_inputs(self, images, condition, noise):
        """Returns training images for the encoder, and z from their posteriors for the decoder."""
        seen = {"images": images} | condition
        posterior = self.compute("encode", seen)
        z = posterior["mean"] + np.exp(posterior["log_var"] / 2) * noise
        encoded = dict.fromkeys(("encode", "reconstruct", "score"), seen)
        return self.latent_calibration_inputs(z, noise, condition) | encoded

    def log_likelihood(
        self, images, labels=None, *, samples=5000, seed=0, condition=None, proposal="posterior"
    ) -> np.ndarray:
        """Estimates log p(x) of images, or log p(x | y), by importance sampling.

        The estimate is log 1/k Σᵢ p(x, zᵢ) / r(zᵢ) with zᵢ drawn from r. In expectation it
        is a lower bound of log p(x), which is tighter for a larger k (Burda et al. 2015,
        equation 8).

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: One label for all images, or n labels.
            samples: Number k of samples for each image.
            seed: The samples of row i depend only on seed + i. An array of n integers gives each
                row its own seed.
            condition: For a model that is conditional on a tensor, one condition for all images, or
                n conditions.
            proposal: Distribution r. "posterior" is q(z | x), and "prior" is p(z), which is plain
                Monte Carlo estimation.

        Returns:
            float32 ``(n,)`` in nats.

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
        one = self.traced("_log_likelihood", lambda: tf.function(self._log_likelihood))
        return np.array(
            [one(samples, proposal == "prior", *row).numpy() for row in zip(*rows)], np.float32
        )

    def _log_likelihood(self, samples, from_prior, image, seed, condition=None):
        """Computes log 1/k Σᵢ p(x, zᵢ) / r(zᵢ) of one image, ``CHUNK`` samples at a time."""
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
        """Returns the arguments of the constructor, except the networks of a family."""
        return super().get_config() | {
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "beta": self.beta,
            "importance_samples": self.importance_samples,
        }

    def _decoder(self, z, condition, training):
        return self.decoder(z if condition is None else [z, condition], training=training)

    def flat(self, condition, prior=None):
        """Returns the condition as a prior's input ``(n, size)``, or None if it needs none."""
        if condition is None or not (prior or self.prior).conditional:
            return None
        if self.num_classes:
            return one_hot(condition, self.num_classes, keras.config.floatx())
        if self.attributes:
            return one_hots(condition, self.attribute_sizes, keras.config.floatx())
        return tf.reshape(condition, [-1, self.condition_size])

    def _margins(self):
        """Returns the numbers of rows and columns of the image before and after the condition."""
        return [
            (at, size - at - given)
            for at, size, given in zip(self.condition_at, self.image_shape, self.condition_shape)
        ]

    def _unknown(self):
        """Returns a mask ``(height, width, 1)``, 0 for the condition's pixels and 1 for others."""
        return np.pad(
            np.zeros((*self.condition_shape[:2], 1), "float32"),
            [*self._margins(), (0, 0)],
            constant_values=1,
        )

    def _noise(self, images, step):
        shape = [tf.shape(images)[0], self.importance_samples, self.latent_dim]
        return ops.transpose(self.noise(shape, step), (1, 0, 2))

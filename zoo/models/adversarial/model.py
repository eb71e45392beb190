"""Adversarial training: a generator and a discriminator with opposite goals, Algorithm 1 of Goodfellow et al. 2014."""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.inference import methods, validation
from zoo.models import base
from zoo.models.adversarial import objectives

REPLACED = {
    "generator_loss": "objective='non_saturating' or objective='minimax'",
    "label_smoothing": "objective={'class_name': 'non_saturating', 'config': {'label_smoothing': …}}",
}


class OptimizerPair:
    """The two optimizers of an adversarial model, as the one ``model.optimizer`` that Keras's callbacks look for.

    Keras's callbacks of the learning rate treat each of ``optimizers`` in turn, as they do for
    ``keras.optimizers.MultiOptimizer``.
    """

    built = True  # A model builds each of them itself, for the variables that it updates.

    def __init__(self, generator_optimizer, discriminator_optimizer):
        self.optimizers = [generator_optimizer, discriminator_optimizer]

    @property
    def iterations(self):
        """Steps so far: updates of the generator."""
        return self.optimizers[0].iterations

    @property
    def variables(self):
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    @property
    def learning_rate(self):
        raise AttributeError(
            "An adversarial model has two learning rates: use generator_optimizer.learning_rate and "
            "discriminator_optimizer.learning_rate."
        )


class AdversarialModel(methods.Decodes, base.GenerativeModel):
    """Trains a generator G and a discriminator D by Algorithm 1 of Goodfellow et al. 2014.

    A family such as GAN builds the networks and hands them over. Calling the model decodes z (and a
    label).

    Args:
        generator: keras.Model. z ``(n, latent_dim)`` (and a label) to images ``(n, height, width,
            channels)`` in [0, 1].
        discriminator: keras.Model. Images (and a label) to outputs ``(n,)``, higher for real
            images.
        image_shape: tuple. (height, width, channels).
        latent_dim: int. Length of z.
        num_classes: int. Number of labels, if both networks take a label. Defaults to None.
        objective: str, dict or Objective. Losses of both networks, see
            ``zoo.models.adversarial.objectives``. Defaults to "non_saturating".
        discriminator_steps: int. k, the number of updates of D in each training step; each uses its
            own slice of the batch. Defaults to 1.
        instance_noise: float. Standard deviation of the normal noise that is added to all images
            that D sees in training (Sønderby et al. 2016). Defaults to 0.0.
        ema: float. Rate of the moving average of the generator's weights that ``sample`` uses; None
            uses the weights themselves. Defaults to None.
        seed: int. Seed of the noise in training and in ``evaluate``. Initial weights follow Keras's
            own seed, ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.

    Attributes:
        sampler: keras.Model. The generator that ``sample`` and ``decode`` use: G, or the moving
            average of its weights.
    """

    called = "decode"

    def __init__(
        self,
        generator,
        discriminator,
        *,
        image_shape,
        latent_dim,
        num_classes=None,
        objective="non_saturating",
        discriminator_steps=1,
        instance_noise=0.0,
        ema=None,
        seed=0,
        name=None,
        **unknown,
    ):
        base.refuse(unknown, REPLACED, type(self))
        if ema is not None and not 0 < ema < 1:
            raise ValueError(f"ema must be between 0 and 1, or None; received: {ema!r}.")
        if not instance_noise >= 0:
            raise ValueError(f"instance_noise must be at least 0; received: {instance_noise!r}.")
        super().__init__(image_shape, latent_dim, num_classes=num_classes, seed=seed, name=name)
        self.objective = objectives.get(objective)
        self.discriminator_steps = validation.positive_int(
            discriminator_steps, "discriminator_steps"
        )
        self.instance_noise, self.ema = instance_noise, ema
        self.check_network(generator, "generator", (self.latent_dim,), self.image_shape)
        self.check_network(discriminator, "discriminator", self.image_shape, ())
        self.objective.validate(discriminator)
        self.generator = self.sampler = generator
        if ema is not None:
            self.sampler = type(generator).from_config(generator.get_config() | {"name": "sampler"})
            self.check_network(self.sampler, "sampler", (self.latent_dim,), self.image_shape)
            self.sampler.set_weights(generator.get_weights())
            self.sampler.trainable = False
        self.discriminator = discriminator
        self.track("generator_loss", "discriminator_loss", *self.objective.metrics)
        self.compile()

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """Configures training as ``keras.Model.compile`` does, with an optimizer for each network.

        Args:
            generator_optimizer, discriminator_optimizer: str or keras.Optimizer. Default to Adam at
                2e-4 with beta_1 of 0.5 (Radford et al. 2015, section 4).

        Raises:
            ValueError: If one optimizer is given for both networks, or a loss or metrics are given.
        """
        if "optimizer" in kwargs:
            raise ValueError(
                "compile must be given generator_optimizer= and discriminator_optimizer= for an adversarial model; "
                "received: optimizer=."
            )
        if generator_optimizer is discriminator_optimizer and isinstance(
            generator_optimizer, keras.Optimizer
        ):
            raise ValueError(
                "generator_optimizer and discriminator_optimizer must be two objects; received: one for both."
            )
        optimizers = [
            keras.optimizers.Adam(2e-4, beta_1=0.5, name=name)
            if optimizer is None
            else keras.optimizers.get(optimizer)
            for name, optimizer in (
                ("generator", generator_optimizer),
                ("discriminator", discriminator_optimizer),
            )
        ]
        super().compile(optimizer=optimizers[0], **kwargs)
        self.generator_optimizer = self.optimizer
        self.discriminator_optimizer = self._given_discriminator_optimizer = optimizers[1]
        # Keras has wrapped the optimizer that it knows of for float16 in the same way.
        if (
            isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
            and self.optimizer is not optimizers[0]
        ):
            self.discriminator_optimizer = keras.optimizers.LossScaleOptimizer(optimizers[1])
        self.optimizer = OptimizerPair(self.generator_optimizer, self.discriminator_optimizer)

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:  # The model is saved without its optimizers.
            return config
        config["generator_optimizer"] = config.pop("optimizer")
        return config | {
            "discriminator_optimizer": keras.saving.serialize_keras_object(
                self._given_discriminator_optimizer
            )
        }

    @property
    def evaluation_metrics(self):
        return {"nearest_neighbor": {}} if self.num_classes else {}

    def optimizers(self):
        return {
            "generator_optimizer": (1, self.generator.trainable_variables),
            "discriminator_optimizer": (
                self.discriminator_steps,
                self.discriminator.trainable_variables,
            ),
        }

    @property
    def parameters(self):
        generator = self.generator.count_params()
        return {"generator": generator, "total": generator + self.discriminator.count_params()}

    def train_step(self, data):
        """Algorithm 1: k updates of D, each on its own slice of the batch and its own noise, then one update of G."""
        images, labels, weights = self.unpack(data)
        k = self.discriminator_steps
        # The iterations of a frozen network do not count.
        step = tf.maximum(
            self.generator_optimizer.iterations, self.discriminator_optimizer.iterations // k
        )
        with tf.control_dependencies(base.assert_batch_of(k, images)):
            images = tf.identity(images)
        for i in range(k):
            real, given, weight = (
                None if part is None else part[i::k] for part in (images, labels, weights)
            )
            z = self.noise([tf.shape(real)[0], self.latent_dim], step, i)
            discriminator_loss, measured = self._update_discriminator(
                real, z, given, (step, i), weight
            )
        z = self.noise([tf.shape(real)[0], self.latent_dim], step, k)
        generator_loss = self._update_generator(z, given, (step, k))
        if self.ema is not None:
            self._average(self.generator_optimizer.iterations - 1)
        return self.report(generator_loss, discriminator_loss, *measured)

    def _update_discriminator(self, real, z, labels, moment, weights=None):
        with _statistics_kept(self.generator):
            generated = self.generate(z, labels, training=True)
        real, generated = (
            self._with_noise(real, *moment, 0),
            self._with_noise(generated, *moment, 1),
        )
        with tf.GradientTape() as tape:
            losses = self.objective.discriminator_loss(
                self._bound(labels, training=True), real, generated, self.noise_seed(*moment, 2)
            )
            loss = self.weighted_mean(losses.real, weights) + ops.mean(losses.generated)
            scaled = self.scaled(loss, self.discriminator_optimizer)
        self.apply_gradients(
            tape, scaled, self.discriminator_optimizer, self.discriminator.trainable_variables
        )
        return loss, [losses.metrics[name] for name in self.objective.metrics]

    def _update_generator(self, z, labels, moment):
        with tf.GradientTape() as tape, _statistics_kept(self.discriminator):
            generated = self._with_noise(self.generate(z, labels, training=True), *moment, 1)
            loss = ops.mean(
                self.objective.generator_loss(self._bound(labels, training=True), generated)
            )
            scaled = self.scaled(loss, self.generator_optimizer)
        self.apply_gradients(
            tape, scaled, self.generator_optimizer, self.generator.trainable_variables
        )
        return loss

    def test_step(self, data):
        """Computes the losses of D and G in inference mode, on a batch and as many generated images."""
        images, labels, weights = self.unpack(data)
        seen = self.metrics[
            0
        ].count  # Batches so far: each has its own noise, the same in each evaluation.
        generated = self.generate(
            self.noise([tf.shape(images)[0], self.latent_dim], -1, seen), labels
        )
        discriminator = self._bound(labels, training=False)
        losses = self.objective.discriminator_loss(
            discriminator, images, generated, self.noise_seed(-1, seen, 2)
        )
        discriminator_loss = self.weighted_mean(losses.real, weights) + ops.mean(losses.generated)
        generator_loss = ops.mean(self.objective.generator_loss(discriminator, generated))
        return self.report(
            generator_loss,
            discriminator_loss,
            *(losses.metrics[name] for name in self.objective.metrics),
        )

    def generate(self, z, labels=None, training=False):
        return self.full(self.generator(z if labels is None else [z, labels], training=training))

    def judge(self, images, labels=None, training=False):
        return self.full(
            self.discriminator(images if labels is None else [images, labels], training=training)
        )

    def _bound(self, labels, training):
        return lambda images: self.judge(images, labels, training)

    def decode_tensor(self, z, condition=None):
        return self.full(self.sampler(z if condition is None else [z, condition], training=False))

    def functions(self):
        specs = [
            tf.TensorSpec([None, *self.image_shape], tf.float32, "images"),
            *self.condition_spec(),
        ]
        return super().functions() | {
            "discriminate": (lambda *given: {"outputs": self.judge(*given)}, specs)
        }

    def discriminate(self, images, labels=None) -> np.ndarray:
        """Computes the discriminator's output for images, higher for images that look more real.

        For the objectives with probabilities it is the logit log D(x) / (1 − D(x)).

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].
            labels: One label for all images, or n of them; a conditional model needs them.

        Returns:
            float32 ``(n,)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        return self._answer("discriminate", self._images(images), labels, None)["outputs"]

    def score(self, images, labels=None) -> np.ndarray:
        """Computes an anomaly score, the discriminator's output with the opposite sign.

        For an optimal D that was trained without smoothing and noise, the objectives with
        probabilities give log p(x | G) − log p(x | data) (Goodfellow et al. 2014, proposition 1): D
        has learned to tell the data from images of G, and from nothing else. Arguments and errors
        as in ``discriminate``.

        Returns:
            float32 ``(n,)``, higher for images that are less like the training data.
        """
        return -self.discriminate(images, labels)

    def get_config(self):
        return super().get_config() | {
            "objective": keras.saving.serialize_keras_object(self.objective),
            "discriminator_steps": self.discriminator_steps,
            "instance_noise": self.instance_noise,
            "ema": self.ema,
        }

    def _with_noise(self, images, *moment):
        """Adds the instance noise of a training step to images."""
        if not self.instance_noise:
            return images
        return images + self.instance_noise * self.noise(tf.shape(images), *moment)

    def _average(self, step):
        """Moves the sampler towards G, at a rate that is lower at first so that the initial weights are forgotten."""
        step = ops.cast(step, "float32")
        rate = ops.minimum(self.ema, (1 + step) / (10 + step))
        for average, value in zip(self.sampler.weights, self.generator.weights):
            average.assign(rate * average + (1 - rate) * value)


@contextlib.contextmanager
def _statistics_kept(network):
    """Restores the moving statistics of a network on exit, so that only its own update changes them."""
    # Frozen weights do not change; these are the statistics of the normalization layers.
    variables = network.non_trainable_weights
    kept = [tf.identity(variable) for variable in variables]
    yield
    for variable, value in zip(variables, kept):
        variable.assign(value)

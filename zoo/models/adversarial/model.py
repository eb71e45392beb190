"""Adversarial training of a generator and a discriminator (Goodfellow et al. 2014, Algorithm 1)."""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.inference import methods, validation
from zoo.models import base, batches, replicas
from zoo.models.adversarial import augmentation, objectives, projection
from zoo.models.generative import GenerativeModel

REPLACED = {
    "generator_loss": "objective='non_saturating' or objective='minimax'",
    "label_smoothing": (
        "objective={'class_name': 'non_saturating', 'config': {'label_smoothing': …}}"
    ),
}


class OptimizerPair:
    """Both optimizers of an adversarial model as one object, for ``model.optimizer``.

    Keras's callbacks use ``model.optimizer``. Those of the learning rate change each of
    ``optimizers``, as for ``keras.optimizers.MultiOptimizer``.

    Attributes:
        optimizers: [generator's optimizer, discriminator's optimizer].
    """

    built = True  # The model builds each optimizer for the variables that it updates.

    def __init__(self, generator_optimizer, discriminator_optimizer):
        self.optimizers = [generator_optimizer, discriminator_optimizer]

    @property
    def iterations(self):
        """Number of training steps so far, which is the number of the generator's updates."""
        return self.optimizers[0].iterations

    @property
    def variables(self):
        """Variables of both optimizers."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    @property
    def learning_rate(self):
        """Raises AttributeError, because there are two learning rates."""
        raise AttributeError(
            "An adversarial model has two learning rates. Use generator_optimizer.learning_rate "
            "and discriminator_optimizer.learning_rate."
        )


class AdversarialModel(methods.Decodes, GenerativeModel):
    """Trains a generator G and a discriminator D by Algorithm 1 of Goodfellow et al. 2014.

    A family such as GAN is a subclass that builds the networks. A call of the model decodes z (and
    a label).

    Args:
        generator: keras.Model. Maps z ``(n, latent_dim)`` (and labels ``(n,)``) to images ``(n,
            height, width, channels)`` in [0, 1].
        discriminator: keras.Model. Maps images (and labels) to outputs ``(n,)``, which are higher
            for images that look more real.
        image_shape: tuple. (height, width, channels).
        latent_dim: int. Length of z.
        num_classes: int. Number of labels, if both networks take a label. Defaults to None.
        objective: str, dict or Objective. Losses of both networks, see
            ``zoo.models.adversarial.objectives``. Defaults to "non_saturating".
        discriminator_steps: int. Number k of updates of D in each training step. Each update uses
            its own slice of the batch. Defaults to 1.
        instance_noise: float. Standard deviation of the normal noise that is added to all inputs of
            D in training (Sønderby et al. 2016). Defaults to 0.0.
        augmentations: tuple of str. Random changes of all inputs of D in training, "color",
            "cutout", "flip" and "translation", for data sets of a few thousand images or less, see
            ``zoo.models.adversarial.augmentation``. Defaults to ().
        ema: float. Decay rate of the exponential moving average of the generator's weights, with
            which ``sample`` computes images. With None it uses the weights themselves. Defaults to
            None.
        seed: int. Seed of the noise in training and in ``evaluate``. Initial weights follow Keras's
            own seed, ``keras.utils.set_random_seed``. Defaults to 0.
        name: str. Name of the model.

    Attributes:
        sampler: keras.Model. Network of ``sample`` and ``decode``: G, or a copy with the moving
            average of its weights.
    """

    call_signature = "decode"
    tags = ("adversarial",)
    cycle_arguments = ("discriminator_steps", "instance_noise")

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
        augmentations=(),
        ema=None,
        seed=0,
        name=None,
        **unknown,
    ):
        base.refuse_unknown(unknown, REPLACED, type(self))
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
        self.augmentations = augmentation.get(augmentations)
        self.check_network(generator, "generator", (self.latent_dim,), self.image_shape)
        self.check_network(discriminator, "discriminator", self.image_shape, ())
        self.objective.validate(discriminator)
        self.generator = self.sampler = generator
        if ema is not None:
            self.sampler = self._copied(generator)
        self.discriminator = discriminator
        self.track("generator_loss", "discriminator_loss", *self.objective.metrics)
        self.compile()

    def _copied(self, generator):
        """Returns a copy of the generator for the moving average of its weights."""
        copy = type(generator).from_config(generator.get_config() | {"name": "sampler"})
        self.check_network(copy, "sampler", (self.latent_dim,), self.image_shape)
        copy.set_weights(generator.get_weights())
        copy.trainable = False
        return copy

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """Configures training as ``keras.Model.compile`` does, with an optimizer for each network.

        Args:
            generator_optimizer: str or keras.Optimizer. Defaults to Adam at 2e-4 with beta_1 of 0.5
                (Radford et al. 2015, section 4).
            discriminator_optimizer: str or keras.Optimizer. Defaults to the same.
            **kwargs: Further arguments of ``keras.Model.compile``.

        Raises:
            ValueError: If one optimizer is given for both networks, or a loss or metrics are given.
        """
        if "optimizer" in kwargs:
            raise ValueError(
                "compile of an adversarial model must be given generator_optimizer= and "
                "discriminator_optimizer=; received: optimizer=."
            )
        if generator_optimizer is discriminator_optimizer and isinstance(
            generator_optimizer, keras.Optimizer
        ):
            raise ValueError(
                "generator_optimizer and discriminator_optimizer must be two objects; "
                "received: one for both. Create a second optimizer."
            )
        for_generator = _optimizer(generator_optimizer, "generator")
        for_discriminator = _optimizer(discriminator_optimizer, "discriminator")
        super().compile(optimizer=for_generator, **kwargs)
        self.generator_optimizer = self.optimizer
        self.discriminator_optimizer = self._given_discriminator_optimizer = for_discriminator
        # For float16 Keras wraps only the optimizer that it was given.
        if (
            isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
            and self.optimizer is not for_generator
        ):
            self.discriminator_optimizer = keras.optimizers.LossScaleOptimizer(for_discriminator)
        self.optimizer = OptimizerPair(self.generator_optimizer, self.discriminator_optimizer)

    def get_compile_config(self):
        """Returns the arguments of ``compile``, or {} if the model is saved without optimizers."""
        config = super().get_compile_config()
        if not config:
            return config
        config["generator_optimizer"] = config.pop("optimizer")
        return config | {
            "discriminator_optimizer": keras.saving.serialize_keras_object(
                self._given_discriminator_optimizer
            )
        }

    @property
    def evaluation_metrics(self):
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        return {"nearest_neighbor": {}} if self.num_classes else {}

    def optimizers(self):
        """Returns the number of updates in a step and the variables of each optimizer."""
        return {
            "generator_optimizer": (1, self.generator.trainable_variables),
            "discriminator_optimizer": (
                self.discriminator_steps,
                self.discriminator.trainable_variables,
            ),
        }

    @property
    def parameters(self):
        """Number of parameters of the generator, and of both networks as "total"."""
        generator = self.generator.count_params()
        return {"generator": generator, "total": generator + self.discriminator.count_params()}

    def train_step(self, data):
        """Updates D k times, then G once (Goodfellow et al. 2014, Algorithm 1).

        Each discriminator update uses its own slice of the batch and its own noise.
        """
        images, labels, weights = self.unpack(data)
        k = self.discriminator_steps
        # The optimizer of a frozen network does not count its iterations.
        step = tf.maximum(
            self.generator_optimizer.iterations, self.discriminator_optimizer.iterations // k
        )
        with tf.control_dependencies(batches.assert_batch_of(k, images)):
            images = tf.identity(images)
        for i in range(k):
            real, given, weight = (
                None if part is None else part[i::k] for part in (images, labels, weights)
            )
            z = self.noise([tf.shape(real)[0], self.latent_dim], step, i)
            discriminator_loss, measured = self._update_discriminator(
                real, z, given, (step, i), weight
            )
        # G is updated with as many images as the last update of D, and with their labels.
        z = self.noise([tf.shape(real)[0], self.latent_dim], step, k)
        generator_loss = self._update_generator(z, given, (step, k))
        if self.ema is not None:
            self._average(self.generator_optimizer.iterations - 1)
        return self.report(images, generator_loss, discriminator_loss, *measured)

    def _update_discriminator(self, real, z, labels, moment, weights=None):
        with _statistics_kept(self.generator):
            generated = self.generate(z, labels, training=True)
        real, generated = (
            self._as_input(real, *moment, 0),
            self._as_input(generated, *moment, 1),
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
            generated = self._as_input(self.generate(z, labels, training=True), *moment, 1)
            loss = ops.mean(
                self.objective.generator_loss(self._bound(labels, training=True), generated)
            )
            scaled = self.scaled(loss, self.generator_optimizer)
        self.apply_gradients(
            tape, scaled, self.generator_optimizer, self.generator.trainable_variables
        )
        return loss

    def test_step(self, data):
        """Computes the losses of D and G for a batch and as many generated images, in inference."""
        images, labels, weights = self.unpack(data)
        # Number of images so far. Each batch has its own noise, the same in each evaluation.
        seen = self.metrics[0].count * replicas.count()
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
            images,
            generator_loss,
            discriminator_loss,
            *(losses.metrics[name] for name in self.objective.metrics),
        )

    def generate(self, z, labels=None, training=False):
        """Computes G(z), float32 ``(n, height, width, channels)``, from z ``(n, latent_dim)``."""
        return self.to_float(
            self.generator(z if labels is None else [z, labels], training=training)
        )

    def judge(self, images, labels=None, training=False):
        """Computes the discriminator's output, float32 ``(n,)``."""
        return self.to_float(
            self.discriminator(images if labels is None else [images, labels], training=training)
        )

    def _bound(self, labels, training):
        return lambda images: self.judge(images, labels, training)

    def decode_tensor(self, z, condition=None):
        """Computes the sampler's images ``(n, *image_shape)`` in [0, 1] from z."""
        return self.to_float(
            self.sampler(z if condition is None else [z, condition], training=False)
        )

    def functions(self):
        """Returns the signatures and the function ``discriminate``."""
        specs = [
            tf.TensorSpec([None, *self.image_shape], tf.float32, "images"),
            *self.condition_spec(),
        ]
        return super().functions() | {
            "discriminate": (lambda *given: {"outputs": self.judge(*given)}, specs)
        }

    def discriminate(self, images, labels=None) -> np.ndarray:
        """Computes the discriminator's output, higher for images that look more real.

        For objectives with probabilities it is the logit log D(x) / (1 − D(x)).

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: One label for all images, or n labels. A conditional model needs them.

        Returns:
            float32 ``(n,)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        return self._answer("discriminate", self._images(images), labels, None)["outputs"]

    def score(self, images, labels=None) -> np.ndarray:
        """Computes an anomaly score, the discriminator's output with the opposite sign.

        For an objective with probabilities and an optimal D that was trained without smoothing and
        noise, the score is log p(x | G) − log p(x | data) (Goodfellow et al. 2014, proposition
        1). D has learned to distinguish the data from images of G, and only from these.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: One label for all images, or n labels. A conditional model needs them.

        Returns:
            float32 ``(n,)``, higher for images that are less similar to the training data.

        Raises:
            ValueError: If an argument is not as above.
        """
        return -self.discriminate(images, labels)

    def project(
        self, images, labels=None, *, starts=64, steps=200, learning_rate=0.05, seed=0
    ) -> np.ndarray:
        """Finds the z whose images are nearest to given ones, because a GAN has no encoder.

        The mean squared error between decode(z) and an image is minimized by gradient descent in z,
        from the nearest of several random z.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: One label for all images, or n labels. A conditional model needs them.
            starts: Number of random z. Defaults to 64.
            steps: Number of steps of Adam. Defaults to 200.
            learning_rate: Its first learning rate. Defaults to 0.05.
            seed: Seed of the first random z. Defaults to 0.

        Returns:
            float32 ``(n, latent_dim)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        images = self._images(images)["images"]
        given = self._conditioning(len(images), labels, None)
        return projection.project(
            self,
            images,
            given.get("label"),
            validation.positive_int(starts, "starts"),
            validation.positive_int(steps, "steps"),
            validation.positive_number(learning_rate, "learning_rate"),
            seed,
        )

    def get_config(self):
        """Returns the arguments of the constructor, except the networks of a family."""
        return super().get_config() | {
            "objective": keras.saving.serialize_keras_object(self.objective),
            "discriminator_steps": self.discriminator_steps,
            "instance_noise": self.instance_noise,
            "augmentations": self.augmentations,
            "ema": self.ema,
        }

    def _as_input(self, images, *moment):
        """Changes images to inputs of D in training: augments them and adds instance noise."""
        if self.augmentations:
            seed = self.noise_seed(*moment, 0)
            images = augmentation.apply(self.augmentations, images, seed)
        if not self.instance_noise:
            return images
        return images + self.instance_noise * self.noise(tf.shape(images), *moment)

    def _average(self, step):
        """Updates the moving average of G's weights.

        The decay rate rises from 0.1 to ``ema``, so that the initial weights soon have no effect.
        """
        step = ops.cast(step, "float32")
        rate = ops.minimum(self.ema, (1 + step) / (10 + step))
        for average, value in zip(self.sampler.weights, self.generator.weights):
            average.assign(rate * average + (1 - rate) * value)


def _optimizer(given, name):
    if given is None:
        return keras.optimizers.Adam(2e-4, beta_1=0.5, name=name)
    return keras.optimizers.get(given)


@contextlib.contextmanager
def _statistics_kept(network):
    """Restores the moving statistics of batch normalization on exit.

    Only a network's own update then changes them.
    """
    # These are the statistics of the normalization layers, and frozen weights, which do not change.
    variables = network.non_trainable_weights
    kept = [tf.identity(variable) for variable in variables]
    yield
    for variable, value in zip(variables, kept):
        variable.assign(value)

"""The adversarial idea: a generator learns to draw what a discriminator cannot tell from the data."""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from zoo import checks
from zoo.models.generative import Generative


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


class Adversarial(Generative):
    """Parent of GAN and DCGAN: trains a generator G and a discriminator D by Algorithm 1 of Goodfellow et al. 2014.

    The families differ only in their networks, and their docstrings give the arguments. Calling the model decodes z (and a
    label).

    Attributes:
        generator: keras.Model. z ``(n, latent_dim)`` (and a label) to images in [0, 1].
        discriminator: keras.Model. Images (and a label) to logits ``(n,)``, positive where they are judged real.
        sampler: keras.Model. The generator that ``sample`` and ``decode`` use: G itself, or the moving average of its weights.
    """

    called = "decode"

    def __init__(
        self, generator, discriminator, *, num_classes, generator_loss, discriminator_steps, label_smoothing, instance_noise,
        ema, seed, name,
    ):  # fmt: skip
        if generator_loss not in ("non_saturating", "minimax"):
            raise ValueError(f"generator_loss must be 'non_saturating' or 'minimax', but it is {generator_loss!r}.")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, but it is {label_smoothing!r}.")
        if ema is not None and not 0 < ema < 1:
            raise ValueError(f"ema must lie between 0 and 1, or be None, but it is {ema!r}.")
        if instance_noise < 0:
            raise ValueError(f"instance_noise must be at least 0, but it is {instance_noise!r}.")
        super().__init__(name)
        z = generator.inputs[0]
        self.image_shape, self.latent_dim = generator.output.shape[1:], z.shape[-1]
        self.num_classes, self.condition_shape, self.condition_at = num_classes, None, None
        self.generator_loss, self.label_smoothing = generator_loss, label_smoothing
        self.instance_noise, self.ema = instance_noise, ema
        self.discriminator_steps = checks.count(discriminator_steps, "discriminator_steps")
        self.seed = checks.seed(seed)
        # Files hold the networks in this order.
        self.generator = self.sampler = generator
        if ema is not None:
            self.sampler = keras.Model.from_config(generator.get_config() | {"name": "sampler"})
            self.sampler.set_weights(generator.get_weights())
            self.sampler.trainable = False
        self.discriminator = discriminator
        self.track("generator_loss", "discriminator_loss", "probability_real", "probability_generated")
        self.compile()

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """As ``keras.Model.compile``, with an optimizer for each player: Adam at 2e-4 with beta_1 of 0.5 by default (Radford
        et al. 2015, section 4). The losses are the model's own. ``model.optimizer`` holds both, for Keras's callbacks.

        Raises:
            ValueError: where one optimizer is given for both players, or a loss or metrics are given.
        """
        if "optimizer" in kwargs:
            raise ValueError("The game has two players: compile with generator_optimizer= and discriminator_optimizer=.")
        if generator_optimizer is discriminator_optimizer and isinstance(generator_optimizer, keras.Optimizer):
            raise ValueError("Each player needs an optimizer of its own, but both were given the same one.")
        optimizers = [
            keras.optimizers.Adam(2e-4, beta_1=0.5, name=name) if optimizer is None else keras.optimizers.get(optimizer)
            for name, optimizer in (("generator", generator_optimizer), ("discriminator", discriminator_optimizer))
        ]
        super().compile(optimizer=optimizers[0], **kwargs)
        self.generator_optimizer = self.optimizer
        self.discriminator_optimizer = self._given_discriminator_optimizer = optimizers[1]
        # Keras has done as much for the optimizer that it knows of.
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and self.optimizer is not optimizers[0]:
            self.discriminator_optimizer = keras.optimizers.LossScaleOptimizer(optimizers[1])
        self.optimizer = OptimizerPair(self.generator_optimizer, self.discriminator_optimizer)

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:  # A model whose file is to hold no optimizer says that it is not compiled.
            return config
        config["generator_optimizer"] = config.pop("optimizer")
        return config | {"discriminator_optimizer": keras.saving.serialize_keras_object(self._given_discriminator_optimizer)}

    def optimizers(self):
        return {
            "generator_optimizer": (1, self.generator.trainable_variables),
            "discriminator_optimizer": (self.discriminator_steps, self.discriminator.trainable_variables),
        }

    @property
    def parameters(self):
        generator = self.generator.count_params()
        return {"generator": generator, "total": generator + self.discriminator.count_params()}

    def train_step(self, data):
        """Algorithm 1: ``discriminator_steps`` updates of D, each on real images and noise of its own, then one of G.

        Each update of D uses its own slice of the batch.
        """
        images, labels, weights = self.unpack(data)
        k = self.discriminator_steps
        # The optimizer of a frozen network does not count.
        step = tf.maximum(self.generator_optimizer.iterations, self.discriminator_optimizer.iterations // k)
        # Ordered before what follows: operations on empty batches fail with sentences of their own.
        enough = tf.debugging.assert_greater_equal(
            tf.shape(images)[0], k, f"A batch must hold at least {k} images, one for each discriminator step."
        )
        with tf.control_dependencies([] if enough is None else [enough]):
            images = tf.identity(images)
        for i in range(k):
            real, given, weight = (None if part is None else part[i::k] for part in (images, labels, weights))
            z = self.noise([tf.shape(real)[0], self.latent_dim], step, i)
            discriminator_loss, on_real, on_generated = self._update_discriminator(real, z, given, (step, i), weight)
        z = self.noise([tf.shape(real)[0], self.latent_dim], step, k)
        generator_loss = self._update_generator(z, given, (step, k))
        if self.ema is not None:
            self._average(step)
        return self.report(generator_loss, discriminator_loss, ops.sigmoid(on_real), ops.sigmoid(on_generated))

    def _update_discriminator(self, real, z, labels, moment, weights=None):
        with _statistics_kept(self.generator):
            generated = self.generate(z, labels, training=True)
        with tf.GradientTape() as tape:
            on_real = self.judge(self._blurred(real, *moment, 0), labels, training=True)
            on_generated = self.judge(self._blurred(generated, *moment, 1), labels, training=True)
            loss = self.discriminator_objective(on_real, on_generated, weights)
            scaled = self._scaled(loss, self.discriminator_optimizer)
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss, on_real, on_generated

    def _update_generator(self, z, labels, moment):
        with tf.GradientTape() as tape, _statistics_kept(self.discriminator):
            generated = self._blurred(self.generate(z, labels, training=True), *moment, 1)
            loss = self.generator_objective(self.judge(generated, labels, training=True))
            scaled = self._scaled(loss, self.generator_optimizer)
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss

    def test_step(self, data):
        """The losses of G and D, in inference mode, on a batch and as many drawn images."""
        images, labels, weights = self.unpack(data)
        seen = self.metrics[0].count  # Batches so far: each has noise of its own, the same in each evaluation.
        generated = self.generate(self.noise([tf.shape(images)[0], self.latent_dim], -1, seen), labels)
        on_real, on_generated = self.judge(images, labels), self.judge(generated, labels)
        losses = self.generator_objective(on_generated), self.discriminator_objective(on_real, on_generated, weights)
        return self.report(*losses, ops.sigmoid(on_real), ops.sigmoid(on_generated))

    def discriminator_objective(self, on_real, on_generated, weights=None):
        """Discriminator loss, −log D(x) − log(1 − D(G(z))), averaged over the batch, from D's logits.

        With one-sided label smoothing s the target of real images is 1 − s (Salimans et al. 2016, section 3.4). Weights
        ``(n,)`` apply to the terms of real images.
        """
        s = self.label_smoothing
        real = (1 - s) * ops.softplus(-on_real) + s * ops.softplus(on_real)
        return self.weighted_mean(real, weights) + ops.mean(ops.softplus(on_generated))

    def generator_objective(self, on_generated):
        """Generator loss, −log D(G(z)), or log(1 − D(G(z))) for "minimax", the value function of eq. 1."""
        if self.generator_loss == "minimax":
            return -ops.mean(ops.softplus(on_generated))
        return ops.mean(ops.softplus(-on_generated))

    def generate(self, z, labels=None, training=False):
        return self.full(self.generator(z if labels is None else [z, labels], training=training))

    def judge(self, images, labels=None, training=False):
        return self.full(self.discriminator(images if labels is None else [images, labels], training=training))

    def decode_tensor(self, z, condition=None):
        return self.full(self.sampler(z if condition is None else [z, condition], training=False))

    def functions(self):
        specs = [tf.TensorSpec([None, *self.image_shape], tf.float32, "images"), *self.condition_spec()]
        return super().functions() | {"discriminate": (lambda *given: {"logits": self.judge(*given)}, specs)}

    def discriminate(self, images, labels=None) -> np.ndarray:
        """D's logits of images, float32 ``(n,)``: log D(x) / (1 − D(x)), positive where they are judged real.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].
            labels: one label for all, or n of them; a conditional model needs them.

        Raises:
            ValueError: where an argument is not as above.
        """
        return self._answer("discriminate", self._images(images), labels, None)["logits"]

    def score(self, images, labels=None) -> np.ndarray:
        """Anomaly score, float32 ``(n,)``: higher is less like the training data; D's logit with the other sign.

        For an optimal D that was trained without smoothing and noise it would be log p(x | G) − log p(x | data) (Goodfellow et
        al. 2014, proposition 1): D has learned to tell the data from what G drew, and from nothing else. Errors as in
        ``discriminate``.
        """
        return -self.discriminate(images, labels)

    def get_config(self):
        return super().get_config() | {
            "image_shape": self.image_shape, "latent_dim": self.latent_dim, "num_classes": self.num_classes,
            "generator_loss": self.generator_loss, "discriminator_steps": self.discriminator_steps,
            "label_smoothing": self.label_smoothing, "instance_noise": self.instance_noise,
            "ema": self.ema, "seed": self.seed,
        }  # fmt: skip

    def _blurred(self, images, *moment):
        """Images as D sees them in training, under instance noise of a moment's own."""
        if not self.instance_noise:
            return images
        return images + self.instance_noise * self.noise(tf.shape(images), *moment)

    def _scaled(self, loss, optimizer):
        # tf.distribute sums the gradients of the replicas.
        return optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)

    def _average(self, step):
        """Moves the sampler towards G. The average is short at first, or it would remember the initial weights for long."""
        step = ops.cast(step, "float32")
        rate = ops.minimum(self.ema, (1 + step) / (10 + step))
        for average, value in zip(self.sampler.weights, self.generator.weights):
            average.assign(rate * average + (1 - rate) * value)


@contextlib.contextmanager
def _statistics_kept(network):
    """Leaves a network's moving statistics as they are: a player's own update moves them, not the other's."""
    variables = [
        variable
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
        for variable in layer.non_trainable_variables
    ]
    kept = [tf.identity(variable) for variable in variables]
    yield
    for variable, value in zip(variables, kept):
        variable.assign(value)

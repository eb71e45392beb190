"""Training of a flow prior for a variational model whose other parts are trained."""

import math

import keras
import tensorflow as tf
from keras import ops

from zoo import data
from zoo.inference.validation import positive_int
from zoo.models.base import ImageModel
from zoo.models.variational import priors

BATCH_SIZE = 256
LEARNING_RATE = 1e-3
# Data that come in batches of their own size.
IN_BATCHES = tf.data.Dataset, keras.utils.PyDataset


class PriorTraining(ImageModel):
    """Maximizes log p(z) over z from the posteriors of a model, by the weights of the prior alone.

    Args:
        model: VariationalModel, which is left unchanged unless its own prior is a flow.
        prior: Flow, its config, or None for the model's own flow or a new one of default sizes on
            the base of the model's prior.

    Raises:
        ValueError: If the prior is not a flow.
    """

    def __init__(self, model, prior=None):
        super().__init__(
            model.image_shape,
            num_classes=model.num_classes,
            condition_shape=model.condition_shape,
            condition_at=model.condition_at,
            attributes=model.attributes,
            seed=model.seed,
        )
        self.model, self.prior = model, flow_for(model, prior)
        self.track("loss")
        self.compile(keras.optimizers.Adam(LEARNING_RATE))

    def optimizers(self):
        """Returns the optimizer's number of updates in a step, 1, and the prior's variables."""
        return {"optimizer": (1, self.prior.flow.trainable_variables)}

    def fit_for(self, images, condition, epochs, settings):
        """Trains for a number of epochs, see ``VariationalModel.fit_prior``."""
        settings = {"epochs": positive_int(epochs, "epochs")} | settings
        if not isinstance(images, IN_BATCHES):
            size = min(BATCH_SIZE, len(images)) if isinstance(images, data.Source) else BATCH_SIZE
            settings = {"batch_size": size} | settings
        optimizer, steps = settings.pop("optimizer", None), _steps(images, settings)
        if optimizer is None and steps:
            rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps * epochs)
            optimizer = keras.optimizers.Adam(rate)
        self.compile(optimizer or keras.optimizers.Adam(LEARNING_RATE))
        return self.fit(images, condition, **settings)

    def train_step(self, data):
        """Updates the prior once by the gradient of −log p(z) on a batch."""
        step = self.optimizer.iterations
        with tf.GradientTape() as tape:
            images, loss = self._loss(data, step)
            scaled = self.scaled(loss, self.optimizer)
        self.apply_gradients(tape, scaled, self.optimizer, self.prior.flow.trainable_variables)
        return self.report(images, loss)

    def test_step(self, data):
        """Computes −log p(z) of a batch."""
        return self.report(*self._loss(data, step=-1))

    def _loss(self, data, step):
        """Returns the images of a batch and the mean of −log p(z)."""
        images, condition, weights = self.unpack(data)
        mean, log_var = self.model.encode_tensor(images, condition)
        noise = self.noise(tf.shape(mean), step)
        z = ops.stop_gradient(priors.reparameterize(mean, log_var, noise))
        log_prob = self.prior.log_prob(z, self.model.flat(condition, self.prior))
        return images, -self.weighted_mean(log_prob, weights)


def flow_for(model, prior):
    """Returns the flow to train, with the normal prior of a model as its base.

    Raises:
        ValueError: If the prior is not a flow.
    """
    if prior is None and isinstance(model.prior, priors.Flow):
        return model.prior
    flow = priors.get("flow" if prior is None else prior)
    if not isinstance(flow, priors.Flow):
        raise ValueError(f"prior must be a flow; received: {prior!r}.")
    flow.base = model.prior.base if isinstance(model.prior, priors.Flow) else model.prior
    flow.build_for(model.latent_dim, model.condition_size)
    return flow


def _steps(images, settings) -> int | None:
    """Returns the number of steps of an epoch of ``fit``, or None if it is not known."""
    if settings.get("steps_per_epoch"):
        return settings["steps_per_epoch"]
    if isinstance(images, data.Source):
        return images.steps_per_epoch(settings["batch_size"])
    if isinstance(images, tf.data.Dataset):
        return max(0, int(images.cardinality()))
    if isinstance(images, keras.utils.PyDataset):
        return images.num_batches
    if not hasattr(images, "__len__"):
        return None
    count = math.floor(len(images) * (1 - (settings.get("validation_split") or 0)))
    return -(-count // settings["batch_size"])

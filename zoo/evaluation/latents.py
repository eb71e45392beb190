"""Metrics of the latent variables that an encoder computes."""

import keras
import numpy as np

from zoo.evaluation.metric import Metric, percent_of


def latent_means(model, data, role, n=None):
    """Returns the posterior means of a split, or the z of a flow, ``(n, latent_dim)``."""
    images, given = data.first(role, model, n)
    encoded = model.encode(images, **given)
    return encoded[0] if isinstance(encoded, tuple) else encoded


class LatentAccuracy(Metric):
    """Accuracy of a linear classifier on the posterior means, in percent.

    It is for models that are not conditional on a label, because the encoder of such a model is
    given the label.
    """

    methods = ("encode",)
    splits = ("test", "train")
    higher_is_better = True
    needs_labels = True

    def validate(self, model, data):
        """Validates that the images have labels and the model is not given them."""
        super().validate(model, data)
        if model.num_classes:
            raise ValueError(
                "latent_accuracy must be measured on a model whose encoder is not given the label; "
                "received: a model that is conditional on a label."
            )

    def measure(self, model, data, *, epochs=20, progress=None):
        """Measures with ``epochs`` epochs of training on the training images."""
        _, labels = data.images("train").first()
        means = latent_means(model, data, "train")
        center, scale = means.mean(axis=0), means.std(axis=0) + 1e-6
        probe = fitted_probe((means - center) / scale, labels, epochs)
        _, expected = data.images("test").first()
        logits = probe.predict_on_batch((latent_means(model, data, "test") - center) / scale)
        return percent_of(logits.argmax(axis=1) == expected) | {
            "split": data.described("test"),
            "protocol": "percent of images that multinomial logistic regression on the posterior "
            f"means labels correctly; fitted on {data.described('train')}",
        }


def fitted_probe(features, labels, epochs: int) -> keras.Model:
    """Returns multinomial logistic regression, fitted with fixed seeds.

    Args:
        features: float32 ``(n, d)``, standardized.
        labels: int ``(n,)``.
        epochs: Number of epochs.
    """
    keras.utils.set_random_seed(0)
    probe = keras.Sequential(
        [keras.Input(features.shape[1:]), keras.layers.Dense(int(labels.max()) + 1)]
    )
    batch_size = 500
    steps = epochs * -(-len(features) // batch_size)
    probe.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    probe.fit(features, labels, batch_size=batch_size, epochs=epochs, verbose=0)
    return probe


class ActiveUnits(Metric):
    """Number of latent variables whose posterior mean varies over the test images.

    A unit is active if the variance of its posterior mean is above 0.01 (Burda et al. 2015,
    section 5.3).
    """

    methods = ("encode",)
    higher_is_better = True
    threshold = 0.01

    def measure(self, model, data, *, images=10_000, progress=None):
        """Measures on the first ``images`` images. The standard error is 0 for a fixed set."""
        means = latent_means(model, data, "test", images)
        variances = means.var(axis=0, dtype=np.float64)
        return {
            "value": float((variances > self.threshold).sum()),
            "stderr": 0.0,
            "n": len(means),
            "split": data.described("test", images),
            "protocol": f"latent variables, of {model.latent_dim}, whose posterior mean has a "
            f"variance above {self.threshold} over the images",
        }


METRICS = {"latent_accuracy": LatentAccuracy(), "active_units": ActiveUnits()}

"""Metrics of models that are conditional on a label."""

import keras
import numpy as np

from zoo.data import MemorySource
from zoo.evaluation.features import BLOCK, FeatureMetric
from zoo.evaluation.jackknife import estimate, groups
from zoo.evaluation.metric import Metric, percent_of
from zoo.models import Classifier


def validate_labels(metric, model) -> None:
    """Validates that a model is conditional on a label.

    Raises:
        ValueError: If it is not.
    """
    if not model.num_classes:
        raise ValueError(
            f"{type(metric).__name__} must be measured on a model that is conditional on a label; "
            "received: one without num_classes."
        )


class LabelAccuracy(FeatureMetric):
    """Share of samples whose label a classifier finds to be the one asked for, in percent."""

    higher_is_better = True
    on_first_images = True
    needs_labels = True

    def validate(self, model, data):
        """Validates that the images, the model and the classifier have labels."""
        super().validate(model, data)
        validate_labels(self, model)
        if getattr(data.classifier, "attributes", None):
            raise ValueError(
                "LabelAccuracy must be measured with a classifier of labels; received: one of the "
                f"attributes {', '.join(data.classifier.attributes)}, for each of which there is "
                "the metric attribute_accuracy_NAME."
            )

    def measure(self, model, data, *, images=10_000, progress=None):
        """Measures with ``images`` samples."""
        correct = []
        for start in range(0, images, BLOCK):
            drawn = data.samples(model, start, min(BLOCK, images - start))
            correct.extend(drawn.predicted == drawn.labels)
            if progress:
                progress(len(correct), images)
        described = self.described(data, images)
        protocol = (
            f"percent of {images:,} samples that {data.features_name} assigns to the label that "
            "they were drawn with; seeds from 0, labels of the test images"
        )
        return percent_of(correct) | described | {"protocol": protocol}


def distances_within(features, labels) -> np.ndarray:
    """Returns the distances of consecutive rows of one label, in disjoint pairs.

    Args:
        features: float ``(n, d)``.
        labels: int ``(n,)``.
    """
    pairs = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        pairs.append(rows[: len(rows) // 2 * 2].reshape(-1, 2))
    first, second = np.concatenate(pairs).T
    return np.linalg.norm(features[first] - features[second], axis=1)


class Diversity(FeatureMetric):
    """Mean feature distance of two samples of one label, over that of two test images."""

    higher_is_better = True
    needs_labels = True

    def validate(self, model, data):
        """Validates that the images and the model have labels."""
        super().validate(model, data)
        validate_labels(self, model)

    def measure(self, model, data, *, samples=10_000, progress=None):
        """Measures with ``samples`` samples."""
        _, labels = data.images("test").first()
        asked = labels[np.arange(samples) % len(labels)]
        drawn, real = self.features(model, data, samples, progress), self.real_features(model, data)

        def ratio(used):
            ours, theirs = used[groups(len(drawn))], used[groups(len(real))]
            return (
                distances_within(drawn[ours], asked[ours]).mean()
                / distances_within(real[theirs], labels[theirs]).mean()
            )

        described = self.described(data, samples)
        protocol = f"mean distance of two images of one label, ratio of {described['protocol']}"
        return estimate(ratio) | described | {"protocol": protocol}


class ClassificationAccuracy(Metric):
    """Accuracy on test images of a classifier that is trained on samples alone, in percent.

    This is the classification accuracy score of Ravuri & Vinyals 2019, arXiv 1905.10887, with a
    small convolutional network.

    Args:
        real: Whether to train it on real training images instead, for comparison.
    """

    higher_is_better = True
    needs_labels = True

    def __init__(self, real: bool = False):
        self.real = real
        self.methods = ("classify",) if real else ("sample",)
        self.splits = ("test", "train") if real else ("test",)

    def validate(self, model, data):
        """Validates that the images and the model have labels."""
        super().validate(model, data)
        validate_labels(self, model)

    def measure(self, model, data, *, samples=20_000, epochs=5, progress=None):
        """Measures with ``samples`` samples, the classes in turn, and ``epochs`` epochs."""
        if self.real:
            source = MemorySource(*data.images("train").first(samples))
            fitted_on = f"the first {len(source):,} training images"
        else:
            labels = np.arange(samples) % model.num_classes
            drawn = model.sample(samples, labels, seed=0)
            # One byte for each value, because all samples are in memory.
            source = MemorySource(np.uint8(np.round(drawn * 255)), labels)
            fitted_on = f"{samples:,} samples of seeds 0…, the classes in turn"
        classifier = fitted(source, model.num_classes, epochs, progress)
        images, labels = data.images("test").first()
        correct = classifier.classify(images)[0].argmax(axis=1) == labels
        return percent_of(correct) | {
            "split": data.described("test"),
            "protocol": "percent of test images that a convolutional classifier labels correctly "
            f"after {epochs} epochs on {fitted_on}",
        }


def fitted(source, num_classes: int, epochs: int, progress=None) -> Classifier:
    """Returns a small classifier that is trained on a source, with fixed seeds."""
    keras.utils.set_random_seed(0)
    batch_size = min(125, len(source))
    classifier = Classifier(source.image_shape, num_classes, filters=(16, 32, 48), shift=1)
    steps = epochs * source.steps_per_epoch(batch_size)
    classifier.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)))
    for epoch in range(epochs):
        classifier.fit(
            source, batch_size=batch_size, initial_epoch=epoch, epochs=epoch + 1, verbose=0
        )
        if progress:
            progress(epoch + 1, epochs)
    return classifier


METRICS = {
    "label_accuracy": LabelAccuracy(),
    "diversity": Diversity(),
    "classification_accuracy": ClassificationAccuracy(),
    "classification_accuracy_real": ClassificationAccuracy(real=True),
}

"""Metrics that measure classifiers, samples or reconstructions by one of several attributes.

The name of such a metric ends in that of the attribute, for example ``attribute_accuracy_glasses``.
"""

import numpy as np

from zoo.evaluation.classifiers import predicted
from zoo.evaluation.features import BLOCK, FeatureMetric
from zoo.evaluation.metric import Metric, percent_of


class OfAttribute(Metric):
    """Share of images for which a classifier finds the right value of an attribute, in percent.

    Args:
        attribute: Name of the attribute.
    """

    higher_is_better = True

    def __init__(self, attribute: str):
        super().__init__()
        self.attribute = attribute

    def column(self, owner: str, attributes) -> int:
        """Returns the number of the attribute among several.

        Args:
            owner: Description of what has the attributes, for the error.
            attributes: {attribute: names of its values}, or None.

        Raises:
            ValueError: If the attribute is not among them.
        """
        if self.attribute not in (attributes or {}):
            raise ValueError(
                f"{type(self).__name__} must be measured with {owner} that has the attribute "
                f"{self.attribute!r}; received: one with {', '.join(attributes or ()) or 'none'}."
            )
        return list(attributes).index(self.attribute)


class ClassifierAccuracy(OfAttribute):
    """Share of test images whose value of the attribute a classifier predicts, in percent."""

    methods = ("classify",)

    def validate(self, model, data):
        """Validates that the classifier has the attribute."""
        self.column("a classifier", model.attributes)

    def measure(self, model, data, *, progress=None):
        """Measures on all test images."""
        images, given = data.first("test", model)
        column = self.column("a classifier", model.attributes)
        found = predicted(model, model.classify(images)[0])
        return percent_of(found[:, column] == given["condition"][:, column]) | {
            "split": data.described("test"),
            "protocol": f"percent of images whose most probable value of {self.attribute} is the "
            "right one",
        }


class AttributeAccuracy(OfAttribute, FeatureMetric):
    """Share of samples that have the value of the attribute asked for, in percent.

    A classifier of attributes decides it. The model is conditional on attributes, or on the
    attribute alone as its label.
    """

    on_first_images = True

    def validate(self, model, data):
        """Validates that the classifier and the model have the attribute with the same values."""
        super().validate(model, data)
        self.column("a classifier", data.classifier.attributes)
        known = data.classifier.attributes[self.attribute]
        if model.num_classes:
            asked = data.images("test").classes or ()
        else:
            self.column("a model", model.attributes)
            asked = model.attributes[self.attribute]
        if list(asked) != list(known):
            raise ValueError(
                f"{type(self).__name__} must be measured on a model whose values of "
                f"{self.attribute} are those of the classifier, {', '.join(known)}; received: one "
                f"with {', '.join(asked) or 'none'}."
            )

    def correct(self, model, data, predictions, labels, condition) -> np.ndarray:
        """Returns whether predictions are the values that were asked for, bool ``(n,)``."""
        found = predictions[:, self.column("a classifier", data.classifier.attributes)]
        if model.num_classes:
            return found == labels
        return found == condition[:, self.column("a model", model.attributes)]

    def measure(self, model, data, *, images=10_000, progress=None):
        """Measures with ``images`` samples."""
        correct = []
        for start in range(0, images, BLOCK):
            drawn = data.samples(model, start, min(BLOCK, images - start))
            correct.extend(
                self.correct(model, data, drawn.predicted, drawn.labels, drawn.condition)
            )
            if progress:
                progress(len(correct), images)
        protocol = (
            f"percent of {images:,} samples that {data.features_name} assigns to the value of "
            f"{self.attribute} that they were drawn with; seeds from 0, conditions of the test "
            "images"
        )
        return percent_of(correct) | self.described(data, images) | {"protocol": protocol}


class ReconstructionAccuracy(AttributeAccuracy):
    """Share of reconstructed test images that keep the value of the attribute, in percent.

    A classifier of attributes decides it.
    """

    def __init__(self, attribute):
        super().__init__(attribute)
        self.methods = ("reconstruct",)

    def measure(self, model, data, *, images=None, progress=None):
        """Measures on the first ``images`` images, or all."""
        rows, given = data.first("test", model, images)
        correct = []
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            of_part = {name: values[part] for name, values in given.items()}
            logits, _ = data.classifier.classify(model.reconstruct(rows[part], **of_part))
            found, asked = predicted(data.classifier, logits), {"labels": None, "condition": None}
            correct.extend(self.correct(model, data, found, **asked | of_part))
            if progress:
                progress(len(correct), len(rows))
        return percent_of(correct) | {
            "split": data.described("test", images),
            "protocol": f"percent of reconstructions that {data.features_name} assigns to the "
            f"value of {self.attribute} of the image",
        }


# {beginning of the names of metrics: class}
OF_ATTRIBUTE = {
    "accuracy_": ClassifierAccuracy,
    "attribute_accuracy_": AttributeAccuracy,
    "reconstruction_accuracy_": ReconstructionAccuracy,
}


class Metrics(dict):
    """Metrics by their names. Those of an attribute are made when they are looked up."""

    def __contains__(self, name):
        return super().__contains__(name) or any(map(str(name).startswith, OF_ATTRIBUTE))

    def __missing__(self, name):
        for beginning, metric in OF_ATTRIBUTE.items():
            if name.startswith(beginning):
                return metric(name.removeprefix(beginning))
        raise KeyError(name)

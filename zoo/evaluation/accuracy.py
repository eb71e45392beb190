"""Accuracy of a classifier."""

from zoo.evaluation.metric import Metric, percent_of


class Accuracy(Metric):
    """Share of test images whose label a classifier predicts, in percent."""

    methods = ("classify",)
    higher_is_better = True
    needs_labels = True

    def measure(self, model, data, *, progress=None):
        """Measures on all test images."""
        images, labels = data.images("test").first()
        logits, _ = model.classify(images)
        correct = logits.argmax(axis=1) == labels
        return percent_of(correct) | {
            "split": data.described("test"),
            "protocol": "percent of images whose most probable label is the right one",
        }


METRICS = {"accuracy": Accuracy()}

"""Metrics of the variety of samples in pixels, which need no classifier."""

import numpy as np

from zoo.evaluation.features import nearest_distances
from zoo.evaluation.jackknife import estimate, groups
from zoo.evaluation.labels import distances_within
from zoo.evaluation.metric import Metric

# Training images with which samples are compared at once.
ROWS = 1_000
# Relative distance below which a test image is a copy of a training image, and is left out.
SAME = 1e-2


class PixelDiversity(Metric):
    """Mean pixel distance between two samples, divided by that between two training images.

    The two have the same label if the model is conditional on it. The value is near 0 if a GAN has
    collapsed.
    """

    methods = ("sample",)
    splits = ("train",)
    higher_is_better = True

    def measure(self, model, data, *, samples=2_000, progress=None):
        """Measures with ``samples`` samples and as many training images."""
        images, given = data.first("train", model, samples)
        real, drawn = _flat(images), _flat(_samples(model, samples, given))
        labels = given.get("labels", np.zeros(len(real), int))
        asked = labels[np.arange(samples) % len(labels)]
        if not distances_within(real, labels).any():
            raise ValueError(
                "pixel_diversity must be measured on training images of which two of a label "
                "differ; received: none."
            )

        def ratio(used):
            ours, theirs = used[groups(len(drawn))], used[groups(len(real))]
            return (
                distances_within(drawn[ours], asked[ours]).mean()
                / distances_within(real[theirs], labels[theirs]).mean()
            )

        one_label = " of one label" if "labels" in given else ""
        return estimate(ratio) | {
            "n": samples,
            "split": data.described("train", samples),
            "protocol": f"mean Euclidean distance of the pixels of two images{one_label}, that of "
            f"{samples:,} samples with the seeds from 0 over that of the training images",
        }


class PixelMemorization(Metric):
    """Median pixel distance of a sample to its nearest training image, relative to a test image.

    A value well below 1 means that samples are nearer to training images than new images are.
    """

    methods = ("sample",)
    splits = ("test", "train")
    higher_is_better = True

    def measure(self, model, data, *, samples=2_000, progress=None):
        """Measures with ``samples`` samples."""
        images, given = data.first("test", model, samples)
        queries = np.concatenate([_flat(images), _flat(_samples(model, samples, given))])
        nearest = np.full(len(queries), np.inf)
        training = data.source("train")
        batches = training.batches(min(ROWS, len(training)))
        for number, batch in enumerate(batches.as_numpy_iterator(), 1):
            part = _flat(batch[0] if isinstance(batch, tuple) else batch)
            nearest = np.minimum(nearest, nearest_distances(queries, part))
            if progress:
                progress(min(number * ROWS, len(training)), len(training))
        real, drawn = np.split(nearest, [len(images)])
        # float32 distances of equal images are not exactly 0.
        real = real[real > SAME * np.linalg.norm(queries[: len(images)], axis=1)]
        if len(real) < 2:
            raise ValueError(
                "pixel_memorization must be measured on at least 2 test images that are not "
                f"training images; received: {len(real)}."
            )
        of_real, of_drawn = groups(len(real)), groups(len(drawn))

        def ratio(used):
            return np.median(drawn[used[of_drawn]]) / np.median(real[used[of_real]])

        return estimate(ratio) | {
            "n": samples,
            "split": data.described("test", samples),
            "protocol": "median Euclidean distance of the pixels to the nearest training image, "
            f"that of {samples:,} samples with the seeds from 0 over that of the test images; "
            f"training images {data.described('train')}",
        }


def _samples(model, n, given):
    """Draws samples with the conditions of images, in turn."""
    rows = np.arange(n)
    return model.sample(n, **{name: values[rows % len(values)] for name, values in given.items()})


def _flat(images):
    return np.reshape(images, (len(images), -1))


METRICS = {"pixel_diversity": PixelDiversity(), "pixel_memorization": PixelMemorization()}

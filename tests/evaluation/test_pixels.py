"""Tests of the metrics of pixels, on models that draw known images."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from zoo.data import MemorySource
from zoo.evaluation import METRICS, Splits


def drawing(images, num_classes=None):
    """Returns a model that draws the given images in turn."""

    def sample(n, labels=None, seed=0):
        return images[np.arange(seed, seed + n) % len(images)]

    return SimpleNamespace(
        image_shape=images.shape[1:],
        num_classes=num_classes,
        condition_shape=None,
        condition_at=None,
        attributes=None,
        sample=sample,
    )


@pytest.fixture
def splits(digits):
    parts = {"train": slice(0, 200), "test": slice(200, 300)}
    return Splits(
        lambda name: MemorySource(digits[0][parts[name]], digits[1][parts[name]]),
        {"train": "train", "test": "test"},
    )


def test_a_model_that_draws_one_image_has_no_diversity(digits, splits):
    model = drawing(digits[0][:1])
    assert METRICS["pixel_diversity"].measure(model, splits, samples=100)["value"] == 0


@pytest.mark.parametrize("contrast", [1.0, 0.5])
def test_diversity_is_the_ratio_of_distances(contrast, digits, splits):
    model = drawing(contrast * digits[0][:200])
    measured = METRICS["pixel_diversity"].measure(model, splits, samples=200)
    assert measured["value"] == pytest.approx(contrast, rel=1e-5)


def test_diversity_of_a_conditional_model_is_that_within_labels(digits, splits):
    images, labels = digits[0][:200], digits[1][:200]
    means = np.stack([images[labels == label].mean(axis=0) for label in range(10)])[labels]
    collapsed = drawing(means, num_classes=10)
    measured = METRICS["pixel_diversity"].measure(collapsed, splits, samples=200)
    assert measured["value"] == pytest.approx(0, abs=1e-6)
    assert "of one label" in measured["protocol"]
    # Without labels, the means of ten digits differ.
    assert pdist(means.reshape(200, -1)).mean() > 1


def test_memorization_compares_with_the_nearest_training_image(digits, splits):
    training, test = digits[0][:200].reshape(200, -1), digits[0][200:].reshape(100, -1)
    copies = METRICS["pixel_memorization"].measure(drawing(digits[0][:200]), splits, samples=100)
    assert copies["value"] < 1e-2
    other = METRICS["pixel_memorization"].measure(drawing(1 - digits[0][:50]), splits, samples=100)
    inverted = cdist(1 - training[:50], training).min(axis=1)
    expected = np.median(inverted) / np.median(cdist(test, training).min(axis=1))
    assert other["value"] == pytest.approx(expected, rel=1e-3)

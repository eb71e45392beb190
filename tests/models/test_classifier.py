"""Tests of the evaluation classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import harness
from zoo import data, publishing
from zoo.evaluation.classifiers import predicted
from zoo.loading import find
from zoo.models import Classifier
from zoo.models.classifier import augment

SMALL = {"filters": (8, 16)}


def test_it_learns_digits_and_is_the_same_after_loading(digits, tmp_path):
    model = Classifier(**SMALL, shift=0)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(*digits, batch_size=30, epochs=10, verbose=0)
    logits, features = model.classify(digits[0])
    assert logits.shape == (300, 10)
    assert features.shape == (300, 16)
    assert np.mean(logits.argmax(axis=1) == digits[1]) > 0.4
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.classify(digits[0])[0], logits)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(model.predict(digits[0], verbose=0), logits, rtol=1e-5, atol=1e-5)


def test_the_mean_of_evaluate_is_that_over_all_images_whatever_the_batches(digits):
    model = Classifier(**SMALL)
    images, labels = (part[:5] for part in digits)
    each = [model.evaluate(images[i : i + 1], labels[i : i + 1], verbose=0) for i in range(5)]
    together = model.evaluate(images, labels, batch_size=4, verbose=0)
    np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-5)


def test_the_loss_is_the_cross_entropy(digits):
    model = Classifier(**SMALL)
    loss, accuracy = model.cross_entropy(*(tf.constant(part) for part in digits))
    logits = np.float64(model.classify(digits[0])[0])
    log_prob = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert float(loss) == pytest.approx(-log_prob[np.arange(300), digits[1]].mean(), rel=1e-4)
    assert float(accuracy) == pytest.approx(np.mean(logits.argmax(axis=1) == digits[1]))


def shifted(image, right, down):
    """Returns an image whose pixel (y, x) is pixel (y + down, x + right) of another one, or 0."""
    padded = np.pad(image, [(3, 3), (3, 3), (0, 0)])
    height, width, _ = image.shape
    return padded[3 + down : 3 + down + height, 3 + right : 3 + right + width]


@pytest.mark.parametrize("mirror", [False, True])
def test_training_images_are_shifted_by_whole_pixels(mirror, rng):
    images = rng.random((500, 9, 11, 2), "float32")
    moved = augment(images, 2, mirror, tf.constant([0, 1], tf.int64)).numpy()
    kinds = set()
    for image, result in zip(images, moved):
        candidates = {
            (right, down, flipped): shifted(image[:, ::-1] if flipped else image, right, down)
            for right in range(-2, 3)
            for down in range(-2, 3)
            for flipped in ([False, True] if mirror else [False])
        }
        found = [kind for kind, other in candidates.items() if np.array_equal(other, result)]
        assert len(found) == 1
        kinds.update(found)
    assert len(kinds) == len(candidates)


def test_images_without_labels_are_refused(digits):
    with pytest.raises(ValueError, match="label"):
        Classifier(**SMALL).fit(digits[0], verbose=0)


def test_every_runtime_computes_the_same(digits, tmp_path):
    model = Classifier(**SMALL)
    model.fit(*digits, batch_size=30, epochs=1, verbose=0)
    folder = publishing.publish(model, tmp_path / "mine", data.MemorySource(*digits))
    assert not (folder / "samples.png").exists()
    assert "zoo sample" not in (folder / "README.md").read_text()
    stored = find(folder)
    assert stored.card.latent_dim is None
    assert stored.card.tags == ["classifier"]
    assert [metric["name"] for metric in stored.card.metrics] == ["accuracy"]
    expected = stored.load("keras").classify(digits[0])
    for runtime, tolerance in (("saved_model", 1e-4), ("litert", 2e-2)):
        for ours, theirs in zip(stored.load(runtime).classify(digits[0]), expected):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_attributes_have_heads_of_their_own(digits, tmp_path):
    images, labels = digits
    values = harness.attributes_of(labels)
    model = Classifier(**SMALL, attributes=harness.ATTRIBUTES, shift=0)
    loss, accuracy = model.cross_entropy(tf.constant(images), tf.constant(values))
    logits = np.float64(model.classify(images)[0])
    expected, correct = 0, []
    for part, column in zip((logits[:, :2], logits[:, 2:]), values.T):
        log_prob = part - np.log(np.exp(part).sum(axis=1, keepdims=True))
        expected -= log_prob[np.arange(300), column].mean()
        correct.append(part.argmax(axis=1) == column)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert float(accuracy) == pytest.approx(np.mean(correct))
    both = np.stack([logits[:, :2].argmax(axis=1), logits[:, 2:].argmax(axis=1)], axis=1)
    np.testing.assert_array_equal(predicted(model, logits), both)
    source = data.MemorySource(images, values, attributes=harness.ATTRIBUTES)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(source, batch_size=30, epochs=4, verbose=0)
    # The columns of arrays have no names.
    folder = publishing.publish(model, tmp_path / "mine", (images, values))
    stored = find(folder)
    parity, size = stored.card.metrics
    assert [parity["name"], size["name"]] == ["accuracy_parity", "accuracy_size"]
    logits, _ = model.classify(images)
    found = stored.load("litert").classify(images)[0]
    assert np.mean(predicted(stored.load("litert"), found) == predicted(model, logits)) > 0.98
    assert parity["value"] == pytest.approx(
        100 * np.mean(logits[:, :2].argmax(axis=1) == values[:, 0]), abs=1
    )
    with pytest.raises(ValueError, match="num_classes must be None with attributes; received: 3"):
        Classifier(num_classes=3, attributes=harness.ATTRIBUTES)

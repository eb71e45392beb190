"""Tests of the evaluation classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import data, publishing
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

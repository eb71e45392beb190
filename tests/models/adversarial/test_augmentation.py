"""Tests of differentiable augmentation against NumPy, its gradients, and the models that use it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.models import DCGAN, GAN
from zoo.models.adversarial import augmentation

IMAGES = np.random.default_rng(0).random((200, 16, 24, 3), dtype="float32")


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_it_is_differentiable_and_follows_its_seed(name):
    function, x = augmentation.AUGMENTATIONS[name], tf.constant(IMAGES[:8])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x, [1, 2])
        total = tf.reduce_sum(y * tf.constant(IMAGES[8:16]))
    assert y.shape == x.shape
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient).all()
    assert all(np.abs(of_image).max() > 0.01 for of_image in gradient)
    # Each operation is linear, with a constant: its gradient predicts every finite difference.
    step = np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    after = tf.reduce_sum(function(x + step, [1, 2]) * tf.constant(IMAGES[8:16]))
    np.testing.assert_allclose(after - total, np.vdot(gradient, step), rtol=1e-3)
    np.testing.assert_array_equal(function(x, [1, 2]), y)
    assert not np.array_equal(function(x, [1, 3]), y)


def test_a_translation_moves_each_image_and_fills_with_zeros():
    moved = augmentation.translation(tf.constant(IMAGES), [0, 0]).numpy()
    shifts = set()
    for image, result in zip(IMAGES, moved):
        padded = np.pad(image, ((2, 2), (3, 3), (0, 0)))
        found = [
            (row, column)
            for row in range(5)
            for column in range(7)
            if np.array_equal(padded[row : row + 16, column : column + 24], result)
        ]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) == 35


def test_a_cutout_is_a_rectangle_of_half_the_sides():
    cut = augmentation.cutout(tf.ones((500, 16, 24, 1)), [0, 0]).numpy()[..., 0] == 0
    rows, columns = cut.any(axis=2).sum(axis=1), cut.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(cut.sum(axis=(1, 2)), rows * columns)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 8, 6, 12)
    # Each row of the middle is covered as often as any other of it.
    covered = cut.any(axis=2).mean(axis=0)
    np.testing.assert_allclose(covered[4:12], 8 / 17, atol=0.1)


def test_half_of_the_images_are_reflected():
    turned = augmentation.flip(tf.constant(IMAGES), [0, 0]).numpy()
    same = (turned == IMAGES).all(axis=(1, 2, 3))
    reflected = (turned == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ reflected).all()
    assert 70 < same.sum() < 130


def test_colors_keep_the_mean_of_many_images():
    grey = np.full((2000, 4, 4, 3), 0.5, "float32")
    changed = augmentation.color(tf.constant(grey), [0, 0]).numpy()
    np.testing.assert_allclose(changed, changed[:, :1, :1, :1] * np.ones((1, 4, 4, 3)), atol=1e-6)
    assert 0.25 <= changed.min() < 0.26
    assert 0.74 < changed.max() <= 0.75
    one = augmentation.color(tf.constant(np.repeat(IMAGES[:1], 5000, axis=0)), [0, 0]).numpy()
    np.testing.assert_allclose(one.mean(axis=0), IMAGES[0], atol=0.03)


def test_samples_do_not_depend_on_it_and_the_training_does():
    images, samples, weights = IMAGES[:32, :16, :16], [], []
    for names in ((), ("flip", "color", "translation", "cutout")):
        keras.utils.set_random_seed(0)
        model = DCGAN((16, 16, 3), 4, filters=(8, 4), augmentations=names)
        samples.append(model.sample(4, seed=0))
        model.fit(images, batch_size=16, epochs=1, verbose=0)
        weights.append(model.generator.get_weights()[0])
        assert model.get_config()["augmentations"] == names
    np.testing.assert_array_equal(*samples)
    assert not np.array_equal(*weights)


@pytest.mark.parametrize("given", ["blur", ("flip", "flip"), None, (1,)])
def test_unknown_augmentations_are_one_sentence(given):
    with pytest.raises(ValueError, match="augmentations must be some of color, cutout, flip, tr"):
        GAN((4, 4, 1), 2, hidden=(3,), augmentations=given)


def test_one_augmentation_is_given_by_its_name():
    assert GAN((4, 4, 1), 2, hidden=(3,), augmentations="flip").augmentations == ("flip",)

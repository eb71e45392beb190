"""Tests of the projection of images onto a generator."""

import keras
import numpy as np
import pytest

import zoo
from zoo.models import DCGAN


@pytest.fixture(scope="module")
def model():
    return zoo.load("cdcgan_mnist")


def test_images_of_the_generator_are_found_again(model):
    labels = np.arange(5)
    images = model.sample(5, labels, seed=1000)
    z = model.project(images, labels, steps=300)
    assert z.shape == (5, 64)
    assert z.dtype == np.float32
    errors = np.square(model.decode(z, labels) - images).mean(axis=(1, 2, 3))
    others = np.square(model.sample(5, labels, seed=2000) - images).mean(axis=(1, 2, 3))
    assert (errors < 0.1 * others).all()


def test_more_steps_bring_it_nearer_and_nothing_takes_it_away(digits, model):
    images, labels = digits[0][:6], digits[1][:6]
    errors = [
        np.square(model.decode(model.project(images, labels, **settings), labels) - images).mean(
            axis=(1, 2, 3)
        )
        for settings in ({"steps": 1, "learning_rate": 1e-9}, {"steps": 60})
    ]
    assert (errors[1] <= errors[0]).all()
    assert errors[1].mean() < 0.7 * errors[0].mean()
    repeated = model.project(images, labels, steps=3)
    np.testing.assert_array_equal(model.project(images, labels, steps=3), repeated)


def test_a_model_without_labels_starts_from_the_nearest_of_the_samples():
    keras.utils.set_random_seed(0)
    model = DCGAN((8, 8, 1), 3, filters=(4,))
    images = model.sample(3, seed=10)
    z = model.project(images, starts=20, steps=1, learning_rate=1e-9)
    np.testing.assert_allclose(model.decode(z), images, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"starts": 0}, "starts must be an integer of at least 1; received: 0"),
        ({"steps": 1.5}, "steps must be an integer of at least 1; received: 1.5"),
        ({"learning_rate": -1}, "learning_rate must be a number above 0; received: -1"),
        ({"labels": None}, "labels"),
    ],
)
def test_wrong_arguments_are_one_sentence(settings, sentence, model, digits):
    with pytest.raises(ValueError, match=sentence):
        model.project(digits[0][:2], **{"labels": 3} | settings)

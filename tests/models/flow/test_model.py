"""Tests of flow models: the exact likelihood, dequantization, and initialization from data."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests import harness
from zoo.inference.noise import uniform
from zoo.models import Glow, RealNVP, bijections
from zoo.models.flow import dequantization
from zoo.models.flow.model import FlowModel


@pytest.fixture(params=harness.FLOWS)
def model(request):
    keras.utils.set_random_seed(0)
    return harness.FLOWS[request.param]()


def test_images_are_encoded_and_decoded_exactly(model, digits):
    images, labels = digits[0][:20], digits[1][:20]
    given = harness.conditioning(model, images, labels)
    model.fit(images, *given.values(), epochs=3, batch_size=10, verbose=0)
    z = model.encode(images, **given)
    assert z.shape == (20, 784)
    np.testing.assert_allclose(model.decode(z, **given), (images * 255 + 0.5) / 256, atol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(images, **given), images)
    ends = model.interpolate(images[:2], images[2:4], 3, labels[:2] if given else None)[:, [0, 2]]
    np.testing.assert_allclose(ends[:, 0], images[:2], atol=3e-3)


def test_the_density_is_that_of_the_noise_and_the_log_determinant(model, digits):
    images, labels = digits[0][:5], digits[1][:5]
    given = harness.conditioning(model, images, labels)
    model.fit(images, *given.values(), epochs=1, verbose=0)
    x = np.float32(np.random.default_rng(0).uniform(0.01, 0.99, images.shape))
    inputs = {"images": x} | ({"label": labels} if given else {})
    z = model.compute("encode", inputs)["z"]
    condition = tf.constant(np.eye(10, dtype="float32")[labels]) if given else None
    log_det = model.bijection.log_det(tf.constant(x), condition)
    expected = stats.norm.logpdf(np.float64(z)).sum(axis=1) + log_det.numpy()
    found = model.compute("log_likelihood", inputs)["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_bound_is_the_density_of_dequantized_images(digits):
    model, images = harness.FLOWS["glow"](), digits[0][:4]
    model.fit(images, epochs=1, verbose=0)
    found = model.log_likelihood(images, seed=5)
    np.testing.assert_allclose(model.log_likelihood(images[2:], seed=7), found[2:], rtol=1e-6)
    u = uniform(np.arange(5, 9), 784).reshape(images.shape)
    x = np.float32((np.round(images * 255) + u) / 256)
    log_prob = model.compute("log_likelihood", {"images": x})["log_prob"]
    np.testing.assert_allclose(found, log_prob - 784 * math.log(256), rtol=1e-6)
    middle = np.float32((np.round(images * 255) + 0.5) / 256)
    at_middle = model.compute("log_likelihood", {"images": middle})["log_prob"]
    np.testing.assert_allclose(model.score(images), 784 * math.log(256) - at_middle, rtol=1e-6)


def test_the_score_of_a_large_image_is_finite():
    model = Glow((64, 64, 3), steps=[1], filters=4)
    images = np.float32(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)) / 255)
    model.adapt(images)
    middle = np.float32((np.round(images * 255) + 0.5) / 256)
    log_prob = np.float64(model.compute("log_likelihood", {"images": middle})["log_prob"])
    expected = 64 * 64 * 3 * math.log(256) - log_prob
    np.testing.assert_allclose(model.score(images), expected, rtol=1e-6)


def test_a_new_flow_of_uniform_images_has_eight_bits_per_dimension():
    """Uniform 8-bit images cannot be coded in less than 8 bits for each value."""
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1)) / np.float32(255)
    model = Glow((8, 8, 1), steps=(2,), filters=8, couplings=0)
    history = model.fit(images, epochs=20, batch_size=50, verbose=0).history
    assert 7.9 < history["bits_per_dim"][-1] < 8.2
    np.testing.assert_allclose(
        history["loss"], np.multiply(history["bits_per_dim"], 64 * math.log(2)), rtol=1e-5
    )


def test_the_learned_noise_has_its_density():
    """The density of u is compared with a histogram of many draws for one image."""
    keras.utils.set_random_seed(0)
    noise = dequantization.Variational(couplings=2, filters=4)
    noise.build_for((2, 2, 1))
    for weight in noise.trainable_variables:
        weight.assign_add(0.3 * keras.random.normal(weight.shape))
    images = np.full((200_000, 2, 2, 1), 0.3, "float32")
    normal = np.random.default_rng(0).standard_normal(images.shape, "float32")
    u, log_q = (part.numpy() for part in noise(tf.constant(images), tf.constant(normal)))
    assert 0 <= u.min() < u.max() <= 1
    # The mean of 1 / q(u) over a region, for u drawn from q, is the volume of the region.
    inside = (np.abs(u[..., 0] - 0.5) < 0.3).all(axis=(1, 2))
    volume = np.mean(np.exp(-np.float64(log_q)) * inside)
    error = np.std(np.exp(-np.float64(log_q)) * inside) / np.sqrt(len(u))
    assert abs(volume - 0.6**4) < 4 * error
    assert error < 0.002


def test_the_first_learned_noise_is_logit_normal():
    noise = dequantization.Variational(couplings=2, filters=4)
    noise.build_for((4, 4, 1))
    normal = np.random.default_rng(0).standard_normal((3, 4, 4, 1), "float32")
    u, log_q = noise(tf.zeros((3, 4, 4, 1)), tf.constant(normal))
    u = np.float64(u)
    np.testing.assert_allclose(special.logit(u), normal, rtol=1e-4, atol=1e-5)
    density = stats.norm.logpdf(special.logit(u)) - np.log(u * (1 - u))
    np.testing.assert_allclose(log_q, density.sum(axis=(1, 2, 3)), rtol=1e-4)


@pytest.mark.nightly
def test_learned_noise_gives_shorter_codes_of_black_pixels():
    """A map of each pixel alone has the wrong shape for uniform noise, whose logit is skewed."""
    images = np.zeros((200, 4, 4, 1), "float32")
    bits = {}
    for name in ("uniform", "variational"):
        keras.utils.set_random_seed(0)
        model = Glow((4, 4, 1), steps=(1,), filters=4, couplings=0, dequantization=name)
        model.compile(keras.optimizers.Adam(0.01))
        bits[name] = model.fit(images, epochs=60, batch_size=50, verbose=0).history["bits_per_dim"]
    # The divergence of a shifted exponential distribution from the normal one of its mean and
    # variance is log(2 π e) / 2 − 1 nats = 0.60 bits.
    assert bits["variational"][-1] < bits["uniform"][-1] - 0.2


def test_fit_and_adapt_initialize_from_data(digits):
    images = digits[0][:50]
    for start in (lambda m: m.adapt(images), lambda m: m.fit(images, epochs=1, verbose=0)):
        keras.utils.set_random_seed(0)
        model = Glow(steps=(1,), filters=4, couplings=0)
        assert not bool(model.initialized.numpy())
        start(model)
        assert bool(model.initialized.numpy())
        z = model.encode(images)
        assert 0.5 < z.std() < 2


def test_only_training_data_initialize(digits):
    images = digits[0][:20]
    model = Glow(steps=(1,), filters=4, couplings=0)
    model.evaluate(images, verbose=0)
    model.test_on_batch(images)
    assert not bool(model.initialized.numpy())
    weights = []
    for validation in (None, images / 2):
        keras.utils.set_random_seed(0)
        model = Glow(steps=(1,), filters=4, couplings=0)
        # Batches of a generator are not read before training starts, so that nothing initializes.
        given = ((images,) for _ in range(2))
        model.fit(given, steps_per_epoch=2, validation_data=validation, epochs=1, verbose=0)
        assert not bool(model.initialized.numpy())
        weights.append(model.get_weights())
    for one, two in zip(*weights):
        np.testing.assert_array_equal(one, two)


def test_adapt_reads_images_of_all_classes():
    """The images of a folder come class by class."""
    images = np.concatenate([np.zeros((300, 4, 4, 1)), np.ones((300, 4, 4, 1))]).astype("float32")
    labels = np.repeat([0, 1], 300)
    model = Glow((4, 4, 1), steps=(1,), filters=4, couplings=0, num_classes=2, alpha=0.01)
    model.adapt((images, labels))
    # The first normalization shifts by the mean of ± logit(0.01), not by that of one class.
    shift = model.bijection.steps[1].steps[1].bias.numpy()
    assert np.abs(shift).max() < 1
    with pytest.raises(ValueError, match="The data must have labels from 0 to 1"):
        model.adapt(images)


def test_a_low_temperature_gives_less_varied_images(model):
    usual, less = (model.sample(20, seed=0, temperature=t) for t in (1.0, 0.1))
    assert less.std(axis=0).mean() < usual.std(axis=0).mean()
    np.testing.assert_array_equal(usual, model.sample(20, seed=0))


@pytest.mark.parametrize("temperature", [0, -1, "1", True, float("nan")])
def test_a_temperature_must_be_a_positive_number(temperature):
    with pytest.raises(ValueError, match="temperature must be a number above 0; received: "):
        harness.FLOWS["glow"]().sample(1, temperature=temperature)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Glow((30, 28, 1), steps=(1, 1)), "Height and width must be even for a squeeze"),
        (lambda: Glow(steps=(1, 1), filters=(4,)), "filters must be a tuple of 2 integers"),
        (
            lambda: FlowModel(bijections.Squeeze(), image_shape=(4, 4, 1)),
            "bijection must map images to vectors of length 16; received: one whose results have "
            "the shape (2, 2, 4)",
        ),
        (lambda: RealNVP(scales=0), "scales must be an integer of at least 1; received: 0"),
        (lambda: RealNVP(blocks=-1), "blocks must be an integer of at least 0; received: -1"),
        (lambda: Glow(couplings=1.5), "couplings must be an integer of at least 0; received: 1.5"),
        (lambda: Glow(hidden=()), "hidden must be a tuple of one or more integers; received: ()"),
        (lambda: Glow(steps=()), "steps must be a tuple of one or more integers; received: ()"),
        (
            lambda: Glow(
                dequantization={"class_name": "variational", "config": {"couplings": "2"}}
            ),
            "couplings must be an integer of at least 0; received: '2'",
        ),
        (
            lambda: Glow(multiscale="haar"),
            "multiscale must be one of 'split', 'wavelet'; received: 'haar'.",
        ),
        (lambda: Glow(dequantization="normal"), "dequantization must be one of 'uniform'"),
    ],
)
def test_wrong_arguments_are_one_sentence(make, sentence):
    with pytest.raises(ValueError) as error:
        make()
    assert sentence in str(error.value)

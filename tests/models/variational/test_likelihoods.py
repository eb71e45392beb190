"""Tests of likelihoods against SciPy, and by integration over all values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from zoo.models import VAE
from zoo.models.variational import likelihoods


def column(values):
    """Returns n values as n images of one pixel, float64 ``(n, 1, 1, 1)``."""
    return tf.constant(np.float64(values).reshape(-1, 1, 1, 1))


LOGITS = np.array([-20.0, -3.0, -0.251, -0.249, -1e-3, 0.0, 1e-9, 0.2, 0.3, 4.0, 20.0])


def test_bernoulli_is_scipys():
    likelihood, x = likelihoods.Bernoulli(), np.array([0.0, 1.0] * 5 + [1.0])
    expected = np.where(x == 1, -np.log1p(np.exp(-LOGITS)), -np.log1p(np.exp(LOGITS)))
    np.testing.assert_allclose(
        np.ravel(likelihood.log_prob(column(x), column(LOGITS))), expected, rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(
        np.ravel(likelihood.mean(column(LOGITS))), 1 / (1 + np.exp(-LOGITS)), rtol=1e-12
    )


@pytest.mark.parametrize("logit", LOGITS)
def test_the_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    likelihood = likelihoods.ContinuousBernoulli()

    def density(x):
        return np.exp(likelihood.log_prob(column([x]), column([logit])).numpy().item())

    assert integrate.quad(density, 0, 1)[0] == pytest.approx(1, abs=1e-9)
    mean = integrate.quad(lambda x: x * density(x), 0, 1)[0]
    assert likelihood.mean(column([logit])).numpy().item() == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("output", [(0.3, -1.0), (0.9, -9.0)])
def test_the_gaussian_is_scipys(output):
    learned, x = likelihoods.Gaussian(), np.linspace(0, 1, 7)
    floor = 2 * np.log(0.5 / 255)
    mean, raw = output
    deviation = np.exp((floor + np.log1p(np.exp(raw - floor))) / 2)
    given = tf.constant(np.broadcast_to(np.float64(output), (7, 1, 1, 2)))
    np.testing.assert_allclose(
        np.ravel(learned.log_prob(column(x), given)),
        stats.norm(mean, deviation).logpdf(x),
        rtol=1e-9,
    )
    fixed = likelihoods.Gaussian(0.04)
    expected = stats.norm(mean, 0.2).logpdf(x)
    np.testing.assert_allclose(
        np.ravel(fixed.log_prob(column(x), column([mean] * 7))), expected, rtol=1e-9
    )
    assert (learned.parameters, fixed.parameters) == (2, 1)


@pytest.mark.parametrize(
    ("levels", "mean", "log_scale"),
    [(256, 0.3, -3.0), (256, 1.2, -5.0), (256, 0.501, -20.0), (2, 0.4, 0.0)],
)
def test_the_discretized_logistic_is_the_mass_of_each_level_and_sums_to_one(
    levels, mean, log_scale
):
    likelihood = likelihoods.DiscretizedLogistic(levels)
    x = np.arange(levels) / (levels - 1)
    output = tf.constant(np.broadcast_to(np.float64([mean, log_scale]), (levels, 1, 1, 2)))
    log_prob = np.ravel(likelihood.log_prob(column(x), output))
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-9)
    logistic = stats.logistic(mean, np.exp(max(log_scale, -7.0)))
    edges = np.concatenate([[-np.inf], (x[:-1] + x[1:]) / 2, [np.inf]])
    mass = logistic.cdf(edges[1:]) - logistic.cdf(edges[:-1])
    np.testing.assert_allclose(np.exp(log_prob), mass, rtol=1e-6, atol=1e-12)


def test_one_scale_of_each_image_and_channel_is_the_mean_of_the_logarithms(rng):
    mean, log_scale = rng.uniform(size=(2, 2, 3, 4, 2))
    log_scale = np.log(0.02) + log_scale
    x = np.round(255 * np.clip(mean + rng.normal(0, 0.1, mean.shape), 0, 1)) / 255
    likelihood = likelihoods.DiscretizedLogistic(scale="image")
    output = tf.constant(np.concatenate([mean, log_scale], axis=-1))
    scale = np.exp(log_scale.mean(axis=(1, 2), keepdims=True))
    logistic = stats.logistic(mean, scale)
    above = np.where(x > 254.5 / 255, 1, logistic.cdf(x + 0.5 / 255))
    below = np.where(x < 0.5 / 255, 0, logistic.cdf(x - 0.5 / 255))
    log_prob = likelihood.log_prob(tf.constant(x), output)
    np.testing.assert_allclose(log_prob, np.log(above - below), rtol=1e-6)
    error = likelihood.sample(tf.repeat(output, 4000, axis=0), [1, 2]) - np.repeat(mean, 4000, 0)
    # Of these means, fewer than one value in a thousand is clipped to [0, 1].
    inside = np.abs(mean - 0.5) < 0.2
    spread = np.reshape(error, (2, 4000, *mean.shape[1:])).std(axis=1)
    expected = np.broadcast_to(scale * np.pi / np.sqrt(3), mean.shape)
    np.testing.assert_allclose(spread[inside], expected[inside], rtol=0.05)


@pytest.mark.parametrize("output", [(1e5, 0.0), (-1e6, -6.0), (0.5, 16_000.0), (0.5, -7_000.0)])
def test_the_discretized_logistic_is_finite_far_from_the_data(output):
    given = tf.Variable(np.broadcast_to(np.float32(output), (3, 1, 1, 2)))
    with tf.GradientTape() as tape:
        images = tf.cast(column([0.0, 0.5, 1.0]), tf.float32)
        log_prob = likelihoods.DiscretizedLogistic().log_prob(images, given)
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, given)).all()


@pytest.mark.parametrize("name", likelihoods.LIKELIHOODS)
def test_samples_have_the_mean_and_the_density(name, rng):
    """Compares the mean, and the share below 0.7 with the integral of the density."""
    likelihood = likelihoods.get(name)
    values = [0.8] if likelihood.parameters == 1 else [0.6, -5.0]
    output = tf.constant(np.broadcast_to(np.float64(values), (40_000, 1, 1, likelihood.parameters)))
    drawn = np.ravel(likelihood.sample(output, [1, 2]))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert not np.array_equal(drawn, np.ravel(likelihood.sample(output, [1, 3])))
    assert drawn.mean() == pytest.approx(
        np.ravel(likelihood.mean(output))[0], abs=5 * drawn.std() / 200
    )
    if name in ("continuous_bernoulli", "gaussian"):
        grid = np.linspace(0, 0.7, 2001)
        wide = tf.constant(np.broadcast_to(np.float64(values), (2001, 1, 1, likelihood.parameters)))
        density = np.exp(np.ravel(likelihood.log_prob(column(grid), wide)))
        assert (drawn[drawn > 0] < 0.7).mean() == pytest.approx(
            integrate.simpson(density, x=grid), abs=0.015
        )


@pytest.mark.parametrize("name", likelihoods.LIKELIHOODS)
def test_a_model_of_each_likelihood_trains_and_comes_back(name, digits, tmp_path):
    model = VAE(latent_dim=3, hidden=(16,), likelihood=name)
    model.adapt(digits[0])
    history = model.fit(digits[0], batch_size=50, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.likelihood) is likelihoods.LIKELIHOODS[name]
    np.testing.assert_array_equal(loaded.score(digits[0][:3]), model.score(digits[0][:3]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"likelihood": "poisson"}, "likelihood must be one of 'bernoulli'.*; received: 'poisson'"),
        ({"likelihood": "gausian"}, "Did you mean 'gaussian'"),
        (
            {"likelihood": {"class_name": "gaussian", "config": {"variance": -1.0}}},
            "variance must be greater than 0",
        ),
        (
            {"likelihood": {"class_name": "discretized_logistic", "config": {"levels": 1}}},
            "levels must be an integer",
        ),
        (
            {"likelihood": {"class_name": "discretized_logistic", "config": {"scale": 1.0}}},
            "scale must be 'pixel' or 'image'; received: 1.0",
        ),
        ({"variance": 0.1}, "variance was replaced; give likelihood="),
        ({"learned_prior": True}, "learned_prior was replaced; give prior='conditional_normal'"),
        ({"prior": "conditional_normal"}, "prior must not need a condition"),
        ({"prior": "flat"}, "prior must be one of 'standard_normal', 'conditional_normal'"),
        (
            {"prior": {"class_name": "flows", "config": {"couplings": 2}}},
            "received: {'class_name': 'flows', 'config': {'couplings': 2}}. Did you mean 'flow'?",
        ),
        (
            {"prior": {"class_name": "flow", "config": {"hidden": []}}},
            "hidden must be a tuple of one or more integers",
        ),
    ],
)
def test_a_wrong_choice_is_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        VAE(**arguments)
    assert "\n" not in str(refused.value)


def test_an_unknown_argument_is_a_type_error():
    with pytest.raises(TypeError, match="VAE has no argument 'layers'"):
        VAE(layers=3)


def test_networks_of_a_users_own_train_save_and_load(digits, tmp_path):
    images, z = keras.Input((28, 28, 1)), keras.Input((3,))
    h = keras.layers.Dense(8, "relu")(keras.layers.Flatten()(images))
    encoder = keras.Model(images, [keras.layers.Dense(3)(h), keras.layers.Dense(3)(h)])
    decoder = keras.Model(z, keras.layers.Reshape((28, 28, 1))(keras.layers.Dense(784)(z)))
    model = VAE(latent_dim=3, encoder=encoder, decoder=decoder)
    model.adapt(digits[0])
    history = model.fit(digits[0], batch_size=50, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.reconstruct(digits[0][:3]), model.reconstruct(digits[0][:3])
    )
    with pytest.raises(
        ValueError, match=r"decoder must map z of shape \(n, 3\) to \(n, 28, 28, 2\); received"
    ):
        VAE(latent_dim=3, encoder=encoder, decoder=decoder, likelihood="gaussian")
    with pytest.raises(
        ValueError,
        match=r"encoder must map images of shape \(n, 28, 28, 1\) to \(n, 5\) and \(n, 5\)",
    ):
        VAE(latent_dim=5, encoder=encoder)

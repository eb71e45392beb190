"""Tests of the ELBO, its gradient and log p(x) against closed forms and finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from tests import harness
from zoo.models import CVAE, VAE
from zoo.models.variational.likelihoods import Gaussian


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def perturb(model, rng, scale=0.1):
    """Adds noise to all weights, so that no bias is zero."""
    for variable in model.trainable_variables:
        variable.assign_add(scale * rng.standard_normal(variable.shape))


def small(**settings):
    return VAE(image_shape=(3, 2, 1), latent_dim=2, hidden=(5,), **settings)


def noise(model, n, rng):
    return tf.constant(rng.standard_normal((model.importance_samples, n, model.latent_dim)))


FIXED = {"class_name": "gaussian", "config": {"variance": 0.3}}


def test_kl_is_the_integral_of_its_definition(float64, rng):
    model = small()
    perturb(model, rng, 0.5)
    images = rng.random((4, 3, 2, 1))
    mean, log_var = (tensor.numpy() for tensor in model.encode_tensor(images))
    _, _, kl = model.negative_elbo(images, None, noise(model, 4, rng))

    def divergence(m, v):
        q, p = stats.norm(m, np.exp(v / 2)), stats.norm(0, 1)
        return integrate.quad(
            lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), m - 12 * q.std(), m + 12 * q.std()
        )[0]

    expected = np.mean([sum(divergence(m, v) for m, v in zip(*row)) for row in zip(mean, log_var)])
    assert float(kl) == pytest.approx(expected, rel=1e-7)


def test_the_loss_is_finite_for_an_image_with_a_very_large_log_var(rng):
    model = small(likelihood="discretized_logistic", prior="flow")
    images = rng.random((4, 3, 2, 1), dtype="float32")
    model.encoder.get_layer("log_var").bias.assign([1000.0, 0.0])
    history = model.fit(images, batch_size=4, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize(
    "settings", [{}, {"beta": 3.0}, {"likelihood": "gaussian"}, {"likelihood": FIXED}]
)
def test_loss_is_the_negative_elbo_of_the_definition(float64, rng, settings):
    model = small(**settings)
    perturb(model, rng, 0.3)
    images, e = rng.random((4, 3, 2, 1)), noise(model, 4, rng)
    mean, log_var = (tensor.numpy() for tensor in model.encode_tensor(images))
    z = mean + np.exp(log_var / 2) * e[0].numpy()
    output = model.decoder(z).numpy()
    if settings.get("likelihood", "bernoulli") == "bernoulli":
        p = 1 / (1 + np.exp(-output))
        log_prob = images * np.log(p) + (1 - images) * np.log(1 - p)
    elif settings["likelihood"] == FIXED:
        log_prob = stats.norm(output, np.sqrt(0.3)).logpdf(images)
    else:
        floor = 2 * np.log(0.5 / 255)
        center, raw = output[..., :1], output[..., 1:]
        log_prob = stats.norm(center, np.exp((floor + np.log1p(np.exp(raw - floor))) / 2)).logpdf(
            images
        )
    kl = 0.5 * np.sum(np.exp(log_var) + mean**2 - 1 - log_var, axis=1)
    loss, reconstruction, _ = model.negative_elbo(images, None, e)
    assert float(reconstruction) == pytest.approx(-log_prob.sum(axis=(1, 2, 3)).mean(), rel=1e-9)
    assert float(loss) == pytest.approx(
        (-log_prob.sum(axis=(1, 2, 3)) + model.beta * kl).mean(), rel=1e-9
    )


def test_importance_weighted_loss_is_equation_8_of_burda(float64, rng):
    model = small(importance_samples=5)
    perturb(model, rng, 0.3)
    images, e = rng.random((4, 3, 2, 1)), noise(model, 4, rng)
    mean, log_var = (tensor.numpy() for tensor in model.encode_tensor(images))
    weights = []
    for sample in e.numpy():
        z = mean + np.exp(log_var / 2) * sample
        p = 1 / (1 + np.exp(-model.decoder(z).numpy()))
        joint = stats.bernoulli(p).logpmf(1) * images + stats.bernoulli(p).logpmf(0) * (1 - images)
        log_prior, log_posterior = (
            stats.norm(0, 1).logpdf(z),
            stats.norm(mean, np.exp(log_var / 2)).logpdf(z),
        )
        weights.append(
            np.exp(joint.sum(axis=(1, 2, 3)) + log_prior.sum(axis=1) - log_posterior.sum(axis=1))
        )
    loss, _, _ = model.negative_elbo(images, None, e)
    assert float(loss) == pytest.approx(-np.log(np.mean(weights, axis=0)).mean(), rel=1e-9)


@pytest.mark.parametrize(
    "settings", [{}, {"importance_samples": 3, "beta": 0.5}, {"likelihood": "gaussian"}]
)
def test_gradient_is_that_of_finite_differences(float64, rng, settings):
    model = small(**settings)
    perturb(model, rng)
    images, e = rng.random((4, 3, 2, 1)), noise(model, 4, rng)
    with tf.GradientTape() as tape:
        loss, _, _ = model.negative_elbo(images, None, e)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    for variable, gradient in zip(model.trainable_variables, gradients):
        direction = rng.standard_normal(variable.shape)
        sides = []
        for step in (1e-5, -1e-5):
            variable.assign_add(step * direction)
            sides.append(float(model.negative_elbo(images, None, e)[0]))
            variable.assign_add(-step * direction)
        assert np.sum(gradient * direction) == pytest.approx(
            (sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=1e-8
        )


def linear_gaussian(rng, variance=0.2):
    """Returns a linear VAE, its weights, and the covariance of its images.

    The covariance is that of probabilistic PCA (Tipping & Bishop 1999, eq. 6).
    """
    model = VAE(image_shape=(3, 2, 1), latent_dim=2, hidden=(), likelihood=Gaussian(variance))
    kernel, bias = model.decoder.get_layer("dense_0").trainable_variables
    w = rng.normal(0, 0.3, kernel.shape)
    kernel.assign(w)
    bias.assign(np.full(6, 0.5))
    return model, w, w.T @ w + variance * np.eye(6)


@pytest.mark.parametrize("proposal", ["posterior", "prior"])
def test_log_likelihood_is_that_of_probabilistic_pca(rng, proposal):
    model, w, covariance = linear_gaussian(rng)
    # The posterior has the exact mean and is too wide, so that the importance weights differ.
    posterior = np.linalg.inv(w @ w.T + 0.2 * np.eye(2))
    kernel, bias = model.encoder.get_layer("mean").trainable_variables
    kernel.assign((posterior @ w).T)
    bias.assign(-(posterior @ w) @ np.full(6, 0.5))
    model.encoder.get_layer("log_var").trainable_variables[1].assign(
        np.log(0.2 * np.diag(posterior)) + 0.3
    )
    images = np.clip(0.5 + rng.multivariate_normal(np.zeros(6), covariance, 8), 0, 1).reshape(
        8, 3, 2, 1
    )
    exact = stats.multivariate_normal(np.full(6, 0.5), covariance).logpdf(images.reshape(8, 6))
    estimate = model.log_likelihood(images, samples=200_000, seed=0, proposal=proposal)
    np.testing.assert_allclose(estimate, exact, atol=0.02 if proposal == "posterior" else 0.05)


def test_bound_tightens_with_more_samples(rng):
    model, _, covariance = linear_gaussian(rng)
    images = np.clip(0.5 + rng.multivariate_normal(np.zeros(6), covariance, 200), 0, 1).reshape(
        200, 3, 2, 1
    )
    exact = (
        stats.multivariate_normal(np.full(6, 0.5), covariance).logpdf(images.reshape(200, 6)).mean()
    )
    bounds = [model.log_likelihood(images, samples=samples).mean() for samples in (1, 10, 100)]
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.02


def test_log_likelihood_of_a_row_depends_on_its_seed_alone(rng, digits):
    model = VAE(hidden=(8,), latent_dim=3)
    images = digits[0][:6]
    rows = model.log_likelihood(images, samples=700, seed=10)
    np.testing.assert_allclose(
        rows[4:], model.log_likelihood(images[4:], samples=700, seed=14), rtol=1e-6
    )


def test_the_divergence_from_a_conditional_prior_is_that_between_two_gaussians(float64, rng):
    model = CVAE(
        image_shape=(3, 2, 1), latent_dim=2, hidden=(5,), num_classes=4, prior="conditional_normal"
    )
    perturb(model, rng, 0.5)
    images, labels = tf.constant(rng.random((4, 3, 2, 1))), tf.range(4)
    _, _, kl = model.negative_elbo(images, labels, noise(model, 4, rng))
    m, v = (tensor.numpy() for tensor in model.prior.network(np.eye(4)))
    mean, log_var = (tensor.numpy() for tensor in model.encode_tensor(images, labels))
    expected = 0.5 * np.sum(
        v - log_var + (np.exp(log_var) + (mean - m) ** 2) / np.exp(v) - 1, axis=1
    )
    assert float(kl) == pytest.approx(expected.mean(), rel=1e-9)
    z = rng.standard_normal((4, 2))
    log_prior = stats.norm(m, np.exp(v / 2)).logpdf(z).sum(axis=1)
    np.testing.assert_allclose(model.prior.log_prob(z, np.eye(4)), log_prior, rtol=1e-9)
    np.testing.assert_allclose(model.prior_tensor(z, labels), m + np.exp(v / 2) * z, rtol=1e-9)


def test_given_pixels_are_kept_and_not_counted(rng):
    model = CVAE(
        image_shape=(4, 6, 1),
        latent_dim=2,
        hidden=(5,),
        condition_shape=(2, 3, 1),
        condition_at=(2, 0),
    )
    images = rng.random((5, 4, 6, 1), dtype="float32")
    given = images[:, 2:, :3]
    np.testing.assert_array_equal(model.sample(5, condition=given)[:, 2:, :3], given)
    output = model.decoder([rng.standard_normal((5, 2)), given])
    changed = images.copy()
    changed[:, 2:, :3] = 0.5
    np.testing.assert_array_equal(model.log_prob(images, output), model.log_prob(changed, output))
    p = 1 / (1 + np.exp(-output.numpy()))
    each = images * np.log(p) + (1 - images) * np.log(1 - p)
    each[:, 2:, :3] = 0
    np.testing.assert_allclose(model.log_prob(images, output), each.sum(axis=(1, 2, 3)), rtol=1e-5)


def test_score_is_the_negative_elbo_at_the_posterior_mean(rng, digits):
    model = VAE(hidden=(8,), latent_dim=3)
    images = digits[0][:10]
    losses = [
        float(model.negative_elbo(images[i : i + 1], None, np.zeros((1, 1, 3), "float32"))[0])
        for i in range(10)
    ]
    np.testing.assert_allclose(model.score(images), losses, rtol=1e-5)


def test_training_lowers_the_bound_and_an_outlier_scores_higher(rng, digits):
    model = VAE(hidden=(64,), latent_dim=8)
    images, held_out = digits[0][:250], digits[0][250:]
    model.adapt(images)
    before = model.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    model.fit(images, batch_size=50, epochs=15, verbose=0)
    after = model.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    assert after < before - 20
    assert model.score(held_out).mean() < model.score(held_out[:, ::-1, :, :]).mean()


@pytest.fixture(params=harness.VARIATIONAL)
def model(request):
    return harness.VARIATIONAL[request.param]()


def test_methods_give_the_promised_shapes_and_ranges(model, digits):
    images, labels = digits[0][:3], digits[1][:3]
    given = harness.conditioning(model, images, labels)
    mean, log_var = model.encode(images, **given)
    assert mean.shape == log_var.shape == (3, 4)
    again = model.reconstruct(images, **given)
    assert again.shape == images.shape
    np.testing.assert_allclose(again, model.decode(mean, **given), atol=1e-6)
    assert model.log_likelihood(images, samples=5, **given).shape == (3,)
    line = model.interpolate(images, images[::-1], steps=5, **given)
    assert line.shape == (3, 5, 28, 28, 1)
    np.testing.assert_allclose(line[:, 0], again, atol=1e-6)
    one = {name: value[:1] for name, value in given.items()}
    assert model.interpolate(images[0], images[1], steps=2, **one).shape == (2, 28, 28, 1)


def test_predict_is_reconstruct(model, digits):
    images, labels = digits[0][:4], digits[1][:4]
    inputs = (images, *harness.condition_column(model, images, labels))
    expected = model.reconstruct(images, **harness.conditioning(model, images, labels))
    np.testing.assert_allclose(
        model.predict(inputs[0] if len(inputs) == 1 else list(inputs), verbose=0),
        expected,
        atol=1e-6,
    )
    data = tf.data.Dataset.from_tensor_slices(inputs if len(inputs) == 2 else images).batch(2)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, atol=1e-6)


def test_fit_reports_the_parts_of_the_bound(digits):
    history = VAE(latent_dim=2, hidden=(4,)).fit(digits[0], batch_size=100, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl"}
    assert history["loss"][0] == pytest.approx(
        history["reconstruction"][0] + history["kl"][0], rel=1e-5
    )

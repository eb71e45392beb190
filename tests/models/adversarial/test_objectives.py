"""Tests of objectives against the equations of their papers in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests import harness
from zoo.models import DCGAN, GAN
from zoo.models.adversarial import objectives
from zoo.models.layers import SpectralConv2D


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


EQUATIONS = {
    "non_saturating": (
        lambda real, drawn: (-np.log(sigmoid(real)), -np.log(1 - sigmoid(drawn))),
        lambda drawn: -np.log(sigmoid(drawn)),
    ),
    "minimax": (
        lambda real, drawn: (-np.log(sigmoid(real)), -np.log(1 - sigmoid(drawn))),
        lambda drawn: np.log(1 - sigmoid(drawn)),
    ),
    "least_squares": (
        lambda real, drawn: ((real - 1) ** 2 / 2, drawn**2 / 2),
        lambda drawn: (drawn - 1) ** 2 / 2,
    ),
    "hinge": (
        lambda real, drawn: (np.maximum(0, 1 - real), np.maximum(0, 1 + drawn)),
        lambda drawn: -drawn,
    ),
}


def outputs(images):
    """Returns three times the sum of the pixels, as a discriminator with a wide range would."""
    return 3 * tf.reduce_sum(images, axis=(1, 2, 3))


@pytest.fixture
def batch(rng):
    return tf.constant(rng.standard_normal((50, 2, 3, 1))), tf.constant(
        rng.standard_normal((50, 2, 3, 1))
    )


@pytest.mark.parametrize("name", EQUATIONS)
def test_losses_are_the_papers_equations(name, batch):
    real, generated = batch
    objective = objectives.get(name)
    losses = objective.discriminator_loss(outputs, real, generated, [0, 0])
    expected = EQUATIONS[name][0](outputs(real).numpy(), outputs(generated).numpy())
    np.testing.assert_allclose(losses.real, expected[0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(losses.generated, expected[1], rtol=1e-10, atol=1e-14)
    loss = objective.generator_loss(outputs, generated)
    np.testing.assert_allclose(
        loss, EQUATIONS[name][1](outputs(generated).numpy()), rtol=1e-10, atol=1e-14
    )
    assert set(losses.metrics) == set(objective.metrics)


def test_label_smoothing_moves_the_target_of_real_images_alone(batch):
    real, generated = batch
    losses = objectives.NonSaturating(0.2).discriminator_loss(outputs, real, generated, [0, 0])
    p = sigmoid(outputs(real).numpy())
    np.testing.assert_allclose(losses.real, -0.8 * np.log(p) - 0.2 * np.log(1 - p), rtol=1e-7)
    np.testing.assert_allclose(
        losses.generated, -np.log(1 - sigmoid(outputs(generated).numpy())), rtol=1e-10
    )


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
def test_the_penalty_of_real_images_is_half_the_squared_gradient_norm(name, batch):
    """Uses the logit Σ x², whose gradient at x is 2x (Mescheder et al. 2018, equation 9)."""
    real, generated = batch

    def squares(images):
        return tf.reduce_sum(images**2, axis=(1, 2, 3))

    plain = objectives.get(name).discriminator_loss(squares, real, generated, [0, 0])
    objective = objectives.get({"class_name": name, "config": {"gradient_penalty": 3.0}})
    losses = objective.discriminator_loss(squares, real, generated, [0, 0])
    penalty = 3 / 2 * ((2 * real.numpy()) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(losses.real - plain.real, penalty, rtol=1e-10)
    np.testing.assert_array_equal(losses.generated, plain.generated)


def test_the_penalty_of_real_images_reaches_the_weights_of_the_discriminator(digits):
    """Uses the logit w·x, for which the penalty is γ/2 ‖w‖² and its gradient γ w."""
    pixels = keras.Input((28, 28, 1))
    scaled = layers.Dense(1, use_bias=False)(layers.Flatten()(pixels))
    discriminator = keras.Model(pixels, layers.Reshape(())(scaled))
    weights = discriminator.trainable_weights[0]
    real = tf.constant(digits[0][:5])
    gradients = {}
    for penalty in (0.0, 8.0):
        objective = objectives.NonSaturating(gradient_penalty=penalty)
        with tf.GradientTape() as tape:
            losses = objective.discriminator_loss(discriminator, real, real, [0, 0])
            loss = tf.reduce_mean(losses.real)
        gradients[penalty] = tape.gradient(loss, weights)
    np.testing.assert_allclose(gradients[8.0] - gradients[0.0], 8 * weights, rtol=1e-4, atol=1e-5)


def test_the_gradient_penalty_is_that_of_random_points_between_the_images(batch):
    """Uses D(x) = Σ x², whose gradient norm at a point x̂ between the images is 2 ‖x̂‖."""
    real, generated = batch

    def squares(images):
        return tf.reduce_sum(images**2, axis=(1, 2, 3))

    objective = objectives.Wasserstein(gradient_penalty=7.0)
    losses = objective.discriminator_loss(squares, real, generated, [3, 4])
    weight = tf.random.stateless_uniform([50, 1, 1, 1], [3, 4], dtype=tf.float64).numpy()
    assert weight.std() > 0.2
    points = weight * real.numpy() + (1 - weight) * generated.numpy()
    norm = 2 * np.sqrt((points**2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(losses.metrics["gradient_norm"], norm, rtol=1e-9)
    np.testing.assert_allclose(losses.real, -squares(real), rtol=1e-12)
    np.testing.assert_allclose(
        losses.generated, squares(generated) + 7 * (norm - 1) ** 2, rtol=1e-9
    )
    np.testing.assert_allclose(
        objective.generator_loss(squares, generated), -squares(generated), rtol=1e-12
    )


@pytest.mark.nightly
def test_the_penalty_keeps_a_critics_gradient_near_one(digits):
    norms = []
    for weight in (0.0, 100.0):
        keras.utils.set_random_seed(0)
        objective = objectives.Wasserstein(weight)
        model = DCGAN(
            latent_dim=4, filters=(8, 4), objective=objective, discriminator_normalization="layer"
        )
        model.compile(keras.optimizers.Adam(1e-5), keras.optimizers.Adam(2e-3))
        norms.append(
            model.fit(digits[0], batch_size=50, epochs=15, verbose=0).history["gradient_norm"][-1]
        )
    assert norms[0] > 3
    assert norms[1] == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("name", objectives.OBJECTIVES)
def test_every_objective_trains_and_comes_back_from_its_config(name, digits, tmp_path):
    model = DCGAN(latent_dim=4, filters=(4,), objective=name, discriminator_normalization="layer")
    history = model.fit(digits[0][:40], batch_size=20, epochs=2, verbose=0).history
    assert set(history) == {"generator_loss", "discriminator_loss", *model.objective.metrics}
    assert all(np.isfinite(values).all() for values in history.values())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.objective) is objectives.OBJECTIVES[name]
    assert loaded.objective.get_config() == model.objective.get_config()
    assert loaded.score(digits[0][:3]) == pytest.approx(-loaded.discriminate(digits[0][:3]))


def test_an_objective_is_a_name_a_config_or_an_object():
    given = [
        {"class_name": "wasserstein", "config": {"gradient_penalty": 5.0}},
        objectives.Wasserstein(5.0),
        keras.saving.serialize_keras_object(objectives.Wasserstein(5.0)),
    ]
    for identifier in given:
        objective = GAN(hidden=(4,), maxout=((2, 2),), objective=identifier).objective
        assert type(objective) is objectives.Wasserstein
        assert objective.gradient_penalty == 5.0


def test_a_spectral_convolution_has_a_kernel_of_norm_one(rng):
    settings = {"padding": "same", "dilation_rate": 2, "activation": "relu"}
    layer = SpectralConv2D(5, 3, **settings)
    x = rng.standard_normal((4, 6, 6, 2), dtype="float32")
    for _ in range(200):
        y = layer(x, training=True)
    kernel = layer.kernel.numpy()
    largest = np.linalg.svd(kernel.reshape(-1, 5))[1][0]
    plain = layers.Conv2D(5, 3, **settings)
    plain.build(x.shape)
    plain.set_weights([kernel / largest, layer.bias.numpy()])
    np.testing.assert_allclose(y, plain(x), atol=1e-4)
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-4)


def networks(image_shape=(28, 28, 1), latent_dim=4, outputs=()):
    generator = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(int(np.prod(image_shape)), "sigmoid"),
            layers.Reshape(image_shape),
        ]
    )
    discriminator = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(1), layers.Reshape(outputs)]
    )
    return {"generator": generator, "discriminator": discriminator}


def test_networks_of_a_users_own_train_save_and_load(digits, tmp_path):
    model = GAN(latent_dim=4, **networks(), ema=0.9)
    model.fit(digits[0][:40], batch_size=20, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(3), model.sample(3))
    np.testing.assert_array_equal(loaded.score(digits[0][:3]), model.score(digits[0][:3]))
    assert model.parameters["generator"] == 4 * 784 + 784


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            networks((28, 28, 3)),
            r"generator must map z of shape \(n, 4\) to \(n, 28, 28, 1\); "
            r"received: .*\(n, 28, 28, 3\)",
        ),
        (networks(latent_dim=5), r"generator must map z of shape \(n, 4\)"),
        (
            networks(outputs=(1,)),
            r"discriminator must map images of shape \(n, 28, 28, 1\) to \(n,\); "
            r"received: .*\(n, 1\)",
        ),
        ({"generator": "mine"}, "generator must be a keras.Model; received: 'mine'"),
    ],
)
def test_a_network_of_a_wrong_shape_is_one_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        GAN(latent_dim=4, **given)
    assert "\n" not in str(refused.value)


def test_metrics_of_an_objective_are_those_of_the_model():
    assert [metric.name for metric in harness.MODELS["gan"]().metrics][2:] == [
        "probability_real",
        "probability_generated",
    ]
    assert [metric.name for metric in harness.MODELS["dcgan_spectral"]().metrics][2:] == []

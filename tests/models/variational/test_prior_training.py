"""Tests of ``fit_prior`` and of the flow prior."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import zoo
from tests import harness
from tests.conftest import nightly_except
from zoo.models import CVAE, VAE
from zoo.models.variational import priors

# Tracing a flow takes longer than training it here.
FLOW = {"class_name": "flow", "config": {"couplings": 2, "hidden": (8,)}}


def small(kind):
    keras.utils.set_random_seed(0)
    return {
        "vae": lambda: VAE(latent_dim=2, hidden=(16,)),
        "cvae": lambda: CVAE(
            latent_dim=2, hidden=(16,), num_classes=10, prior="conditional_normal"
        ),
        "patch": harness.MODELS["cvae_patch"],
    }[kind]()


@pytest.fixture(params=nightly_except(("cvae",), ("vae", "cvae", "patch")))
def trained(request, digits):
    model = small(request.param)
    column = harness.condition_column(model, digits[0], digits[1])
    model.fit(digits[0], *column, epochs=3, batch_size=20, verbose=0)
    return model, digits[0], column


def test_only_the_prior_is_trained(trained):
    model, images, column = trained
    given = harness.conditioning(model, images, column[0] if column else None)
    before = [variable.numpy() for variable in model.variables]
    variables, encoded = model.variables, model.encode(images, **given)
    decoded = model.decode(encoded[0], **given)
    trainable = len(model.trainable_variables)
    history = model.fit_prior(images, *column, epochs=3, batch_size=20, prior=FLOW, verbose=0)
    assert isinstance(history, keras.callbacks.History)
    assert len(history.history["loss"]) == 3
    assert isinstance(model.prior, priors.Flow)
    for variable, value in zip(variables, before):
        np.testing.assert_array_equal(variable, value)
    np.testing.assert_allclose(model.encode(images, **given), encoded, atol=1e-6)
    np.testing.assert_allclose(model.decode(encoded[0], **given), decoded, atol=1e-6)
    assert len(model.trainable_variables) > trainable
    model.fit(images, *column, epochs=1, verbose=0)
    assert not np.array_equal(variables[-1], before[-1])


@pytest.mark.nightly
def test_the_prior_comes_closer_to_the_posteriors(digits):
    """The fitted prior of a model whose posteriors lie far from N(0, I) gains in likelihood."""
    model = small("vae")
    mean = next(layer for layer in model.encoder.layers if layer.name == "mean")
    mean.bias.assign([3.0, -2.0])
    z = model.encode(digits[0])[0]
    standard = model.log_prior(z).mean()
    samples = model.prior_tensor(tf.random.normal((500, 2))).numpy()
    assert np.abs(samples.mean(axis=0) - z.mean(axis=0)).max() > 1.5
    images = np.repeat(digits[0], 10, axis=0)
    history = model.fit_prior(images, epochs=150, batch_size=50, verbose=0).history["loss"]
    assert model.log_prior(z).mean() > standard + 3
    assert history[-1] < history[0] - 1
    samples = model.prior_tensor(tf.random.normal((500, 2))).numpy()
    np.testing.assert_allclose(samples.mean(axis=0), z.mean(axis=0), atol=0.4)


def test_log_prior_is_the_density_of_the_samples(trained):
    """The density of z is that of the noise over the determinant of the Jacobian ∂z/∂noise."""
    model, images, column = trained
    model.fit_prior(images, *column, epochs=3, batch_size=20, prior=FLOW, verbose=0)
    given = {name: rows[:5] for name, rows in zip(("labels",), column)}
    if model.condition_shape:
        given = {"condition": column[0][:5]}
    noise = tf.random.normal((5, model.latent_dim), seed=0)
    condition = tf.constant(next(iter(given.values()))) if given else None
    with tf.GradientTape() as tape:
        tape.watch(noise)
        z = model.prior_tensor(noise, condition)
    jacobian = np.float64(tape.batch_jacobian(z, noise))
    expected = stats.norm.logpdf(noise).sum(axis=1) - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(model.log_prior(z, **given), expected, rtol=1e-4, atol=1e-4)


def test_a_flow_prior_is_saved_and_loaded_and_goes_on(trained, tmp_path):
    model, images, column = trained
    model.fit_prior(images, *column, epochs=1, batch_size=20, prior=FLOW, verbose=0)
    model.fit(images, *column, epochs=1, batch_size=20, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = zoo.load(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    given = {"condition": column[0][:3]} if model.condition_shape else {}
    np.testing.assert_array_equal(loaded.sample(3, **given), model.sample(3, **given))
    losses = [
        one.fit(images, *column, epochs=1, batch_size=20, verbose=0).history
        for one in (model, loaded)
    ]
    assert losses[0] == losses[1]


def test_fitting_again_continues_with_the_same_flow(digits):
    model = small("vae")
    model.fit_prior(digits[0], epochs=1, verbose=0, prior=FLOW)
    flow = model.prior
    assert flow.couplings == 2
    model.fit_prior(digits[0], epochs=1, verbose=0)
    assert model.prior is flow


def test_an_error_leaves_the_model_as_it_was(digits):
    model = small("cvae")
    prior, sample = model.prior, model.sample(3)
    with pytest.raises(ValueError, match=r"must be \(images, label\)"):
        model.fit_prior(digits[0], epochs=1, verbose=0)
    with pytest.raises(ValueError, match="epochs must be an integer of at least 1"):
        model.fit_prior(*digits, epochs=0, verbose=0)
    with pytest.raises(ValueError, match="prior must be a flow; received: 'standard_normal'"):
        model.fit_prior(*digits, prior="standard_normal", verbose=0)
    assert model.prior is prior
    np.testing.assert_array_equal(model.sample(3), sample)


class Batches(keras.utils.PyDataset):
    """Three batches of 20 images."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.images[20 * index : 20 * (index + 1)]


@pytest.mark.parametrize("kind", ["arrays", "source", "batches"])
def test_the_rate_falls_to_zero_in_the_last_step(kind, digits):
    images = digits[0][:60]
    given, settings = {
        "arrays": (images, {"validation_split": 0.5, "batch_size": 10}),
        "source": (zoo.data.get(images), {}),
        "batches": (Batches(images), {}),
    }[kind]
    model, rates = small("vae"), []

    def note(step, logs):
        rates.append(float(note.model.optimizer.learning_rate))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    callback.set_model = lambda trained: setattr(note, "model", trained)
    model.fit_prior(given, epochs=2, prior=FLOW, verbose=0, callbacks=[callback], **settings)
    assert len(rates) == {"arrays": 6, "source": 2, "batches": 6}[kind]
    assert rates[-2] > 0
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.nightly
def test_a_source_and_a_dataset_are_taken_alike(digits):
    histories = []
    for data in (
        (digits[0],),
        (zoo.data.get(digits[0]),),
        (tf.data.Dataset.from_tensor_slices(digits[0]).batch(20),),
    ):
        model = small("vae")
        settings = {"prior": FLOW}
        settings |= {} if isinstance(data[0], tf.data.Dataset) else {"batch_size": 20}
        histories.append(model.fit_prior(*data, epochs=2, verbose=0, **settings).history["loss"])
    np.testing.assert_allclose(histories[1], histories[0], rtol=0.2)
    np.testing.assert_allclose(histories[2], histories[0], rtol=0.2)

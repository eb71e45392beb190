"""Every family through the shared harness: verbs, errors, Keras's own life cycle."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import harness
from zoo import latents
from zoo.models import CVAE, VAE


@pytest.fixture(params=harness.MODELS)
def model(request):
    return harness.MODELS[request.param]()


def batches(model, digits, n=60):
    images, labels = digits[0][:n], digits[1][:n]
    column = harness.condition_column(model, images, labels)
    return tf.data.Dataset.from_tensor_slices((images, *column) if column else images).batch(20)


def test_verbs_give_the_promised_shapes_and_ranges(model, digits):
    images, labels = digits[0][:3], digits[1][:3]
    given = harness.conditioning(model, images, labels)
    z = np.zeros((3, model.latent_dim), "float32")
    for drawn in (model.sample(3, seed=1, **given), model.decode(z, **given)):
        assert drawn.shape == images.shape
        assert drawn.dtype == np.float32
        assert drawn.min() >= 0
        assert drawn.max() <= 1
    assert model.score(images, **given).shape == (3,)
    np.testing.assert_array_equal(model.score(images, **given), model.score(images, **given))


def test_a_sample_is_the_decoded_noise_of_its_seed(model, digits):
    given = harness.conditioning(model, digits[0][:1].repeat(300, axis=0), digits[1][:1].repeat(300))
    drawn = model.sample(300, seed=7, **given)
    np.testing.assert_array_equal(drawn, model.decode(latents.normal(np.arange(7, 307), 4), **given))
    one = {name: value[:1] for name, value in given.items()}
    np.testing.assert_allclose(model.sample(1, seed=290, **one)[0], drawn[283], atol=1e-6)
    np.testing.assert_allclose(
        model.sample(2, seed=[290, 7], **{k: v[:2] for k, v in given.items()}), drawn[[283, 0]], atol=1e-6
    )


@pytest.mark.parametrize("kind", ["cvae_label", "gan_label", "dcgan_label"])
def test_labels_come_in_turn(kind):
    model = harness.MODELS[kind]()
    np.testing.assert_allclose(model.sample(16, seed=0), model.sample(16, labels=np.arange(16) % 10, seed=0), atol=1e-6)
    np.testing.assert_allclose(model.sample(16, seed=0)[5], model.sample(1, seed=5)[0], atol=1e-6)
    np.testing.assert_allclose(model.sample(4, labels=7), model.sample(4, labels=[7, 7, 7, 7]), atol=1e-6)


def test_config_goes_round(model):
    again = type(model).from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [variable.shape for variable in again.variables] == [variable.shape for variable in model.variables]


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(model, digits, tmp_path):
    data = batches(model, digits)
    optimizers = model.optimizers()
    model.compile(**{name: keras.optimizers.Nadam(2e-3 / (1 + i)) for i, name in enumerate(optimizers)})
    model.fit(data, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, (updates, _) in optimizers.items():
        assert getattr(loaded, name).get_config() == getattr(model, name).get_config()
        assert int(getattr(loaded, name).iterations) == 6 * updates
    losses = [one.fit(data.take(1), epochs=1, verbose=0).history for one in (model, loaded)]
    assert losses[0] == losses[1]
    for ours, theirs in zip(model.variables, loaded.variables):
        np.testing.assert_array_equal(ours, theirs)


def test_fit_reports_its_metrics_and_takes_callbacks(model, digits, tmp_path):
    data, reported = batches(model, digits), [metric.name for metric in model.metrics]
    first = reported[0]
    callbacks = [keras.callbacks.EarlyStopping(f"val_{first}", mode="min"), keras.callbacks.CSVLogger(tmp_path / "log.csv")]
    callbacks += [keras.callbacks.ReduceLROnPlateau(first, mode="min")]
    history = model.fit(data, validation_data=data, epochs=2, callbacks=callbacks, verbose=0).history
    names = {name for name in history if name != "learning_rate"}
    assert names == {f"{prefix}{name}" for prefix in ("", "val_") for name in reported}
    assert model.evaluate(data, verbose=0) == model.evaluate(data, verbose=0)
    assert (tmp_path / "log.csv").exists()
    model.summary(print_fn=lambda *_, **__: None)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", ["vae_convolutional", "gan_label", "dcgan"])
def test_mixed_precision_trains_and_answers_in_float32(policy, kind, digits):
    keras.config.set_dtype_policy(policy)
    try:
        model = harness.MODELS[kind]()
        trained = [variables for _, variables in model.optimizers().values()]
        before = [[variable.numpy() for variable in variables] for variables in trained]
        # Under float16 the first steps are skipped, until the scale of the loss suits the gradients.
        model.fit(batches(model, digits), epochs=6, verbose=0)
        for ours, theirs in zip(before, trained):
            assert any((value != variable.numpy()).any() for value, variable in zip(ours, theirs))
        assert model.sample(2).dtype == np.float32
        given = harness.conditioning(model, digits[0][:2], digits[1][:2])
        assert np.isfinite(model.score(digits[0][:2], **given)).all()
    finally:
        keras.config.set_dtype_policy("float32")


IMAGES = np.zeros((2, 28, 28, 1), "float32")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.sample(0), "n must be a whole number of at least 1, but it is 0"),
        (lambda m: m.sample(2.5), "n must be a whole number"),
        (lambda m: m.sample(2, seed=-1), "Seeds must be at least 0"),
        (lambda m: m.sample(2, seed=2**63 - 1), "below 2\\*\\*63"),
        (lambda m: m.sample(2, seed=0.5), "seed must be a whole number"),
        (lambda m: m.sample(2, seed=[1, 2, 3]), "seed must be one number or 2 of them"),
        (lambda m: m.sample(2, labels=10), "labels must be from 0 to 9, but 10 is among them"),
        (lambda m: m.sample(2, labels=[-1, 3]), "labels must be from 0 to 9, but -1 is among them"),
        (lambda m: m.sample(2, labels=1.0), "labels must be whole numbers from 0 to 9"),
        (lambda m: m.sample(2, labels=[1, 2, 3]), "labels must be one number or 2 of them"),
        (lambda m: m.sample(2, condition=IMAGES), "not conditional on a tensor"),
        (lambda m: m.decode(np.zeros((2, 5))), "z must have the shape \\(n, 4\\)"),
        (lambda m: m.decode(np.full((2, 4), np.nan)), "z must be finite"),
        (lambda m: m.encode(IMAGES), "needs labels"),
        (lambda m: m.encode(IMAGES + 2, 1), "images must lie in \\[0, 1\\], but they reach from 2 to 2"),
        (lambda m: m.encode(IMAGES.astype("uint8"), 1), "convert with images.astype\\('float32'\\) / 255"),
        (lambda m: m.encode(IMAGES[0], 1), "images must have the shape \\(n, 28, 28, 1\\)"),
        (lambda m: m.encode(IMAGES[:0], 1), "n of at least 1"),
        (lambda m: m.score(IMAGES * np.nan, 1), "images must be finite"),
        (lambda m: m.log_likelihood(IMAGES, 1, samples=0), "samples must be a whole number"),
        (lambda m: m.log_likelihood(IMAGES, 1, proposal="other"), "proposal must be"),
        (lambda m: m.interpolate(IMAGES, IMAGES, steps=1, labels=1), "steps must be at least 2"),
        (lambda m: m.interpolate(IMAGES, IMAGES[:1], labels=1), "a and b must have one shape"),
        (lambda m: m.fit(IMAGES, verbose=0), "each dataset element must be \\(images, label\\)"),
        (lambda m: m.fit(IMAGES.astype("uint8"), np.zeros(2), verbose=0), "divide them by 255"),
        (lambda m: m.fit(IMAGES[:, :14], np.zeros(2), verbose=0), "Images must have the shape"),
        (lambda m: m.fit(IMAGES, np.array([0.5, 1.5]), verbose=0), "Labels must be whole numbers of shape \\(n,\\)"),
        (lambda m: m.fit(IMAGES, np.eye(10)[:2].astype(int), verbose=0), "Labels must be whole numbers of shape \\(n,\\)"),
        (lambda m: m.fit(IMAGES, np.zeros(2, int), sample_weight=np.ones(2), verbose=0), "without sample_weight"),
        (lambda m: m.compile(loss="mse"), "compile without loss and metrics"),
    ],
)
def test_an_error_says_what_was_received_and_what_is_right(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(harness.MODELS["cvae_label"]())


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES + 255, np.zeros(2, int), "Images must lie in"),
        (IMAGES - 1, np.zeros(2, int), "Images must lie in"),
        (IMAGES, np.full(2, 10), "A label is too high"),
        (IMAGES, np.full(2, -1), "A label is negative"),
    ],
)
def test_fit_refuses_values_out_of_range(images, labels, sentence):
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        harness.MODELS["cvae_label"]().fit(images, labels, verbose=0)


def test_conditions_are_checked():
    patch, plain = harness.MODELS["cvae_patch"](), harness.MODELS["vae_dense"]()
    with pytest.raises(ValueError, match="needs condition="):
        patch.sample(2)
    with pytest.raises(ValueError, match="one for all or one an image"):
        patch.sample(3, condition=np.zeros((2, 14, 14, 1), "float32"))
    with pytest.raises(ValueError, match="not conditional on a label"):
        plain.sample(2, labels=1)
    with pytest.raises(ValueError, match="condition must lie in \\[0, 1\\]"):
        patch.sample(1, condition=np.full((14, 14, 1), 5.0))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"likelihood": "poisson"}, "likelihood must be 'bernoulli' or 'gaussian'"),
        ({"variance": 1.0}, "goes with likelihood='gaussian'"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1"),
        ({"filters": (4, 4, 4)}, "28x28 is not a multiple of 8"),
        ({"blocks": 2}, "blocks are convolutional and need filters"),
        ({"seed": None}, "seed must be a whole number"),
    ],
)
def test_constructors_check_their_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        VAE(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Give num_classes or condition_shape"),
        ({"num_classes": 10, "condition_shape": (3,)}, "Give num_classes or condition_shape"),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1"),
        ({"num_classes": 10, "condition_at": (0, 0)}, "condition_at goes with a condition_shape"),
        ({"condition_shape": (14, 14, 1), "condition_at": (20, 0)}, "condition_at goes with a condition_shape that fits"),
    ],
)
def test_a_cvae_has_one_condition(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        CVAE(**arguments)

"""Tests of every model family: shared methods, refused arguments, and Keras's life cycle."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import harness
from tests.conftest import nightly_except
from zoo.inference import noise
from zoo.models import CVAE, VAE

# Tests that train use two kinds of model by default: labels and a learned prior, and batch
# normalization and a moving average of the generator.
COSTLY = nightly_except(("cvae_label", "dcgan"), harness.MODELS)


USUAL = ("vae_gaussian", "cvae_attributes", "cvae_patch", "gan_label", "dcgan_label", "glow")


@pytest.fixture(params=nightly_except(USUAL, harness.MODELS))
def model(request):
    return harness.MODELS[request.param]()


def batches(model, digits, n=60):
    images, labels = digits[0][:n], digits[1][:n]
    column = harness.condition_column(model, images, labels)
    return tf.data.Dataset.from_tensor_slices((images, *column) if column else images).batch(20)


def test_methods_give_the_promised_shapes_and_ranges(model, digits):
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
    given = harness.conditioning(
        model, digits[0][:1].repeat(300, axis=0), digits[1][:1].repeat(300)
    )
    drawn = model.sample(300, seed=7, **given)
    z = noise.normal(np.arange(7, 307), model.latent_dim)
    if model.has("prior"):
        condition = {name.removesuffix("s"): value for name, value in given.items()}
        z = model.compute("prior", {"noise": z} | condition)["z"]
    np.testing.assert_allclose(drawn, model.decode(z, **given), atol=1e-6)
    one = {name: value[:1] for name, value in given.items()}
    np.testing.assert_allclose(model.sample(1, seed=290, **one)[0], drawn[283], atol=1e-6)
    np.testing.assert_allclose(
        model.sample(2, seed=[290, 7], **{k: v[:2] for k, v in given.items()}),
        drawn[[283, 0]],
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", ["cvae_label", "gan_label", "dcgan_label"])
def test_labels_come_in_turn(kind):
    model = harness.MODELS[kind]()
    np.testing.assert_allclose(
        model.sample(16, seed=0), model.sample(16, labels=np.arange(16) % 10, seed=0), atol=1e-6
    )
    np.testing.assert_allclose(model.sample(16, seed=0)[5], model.sample(1, seed=5)[0], atol=1e-6)
    np.testing.assert_allclose(
        model.sample(4, labels=7), model.sample(4, labels=[7, 7, 7, 7]), atol=1e-6
    )


def test_config_goes_round(model):
    again = type(model).from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [variable.shape for variable in again.variables] == [
        variable.shape for variable in model.variables
    ]


@pytest.mark.parametrize("model", COSTLY, indirect=True)
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(model, digits, tmp_path):
    data = batches(model, digits)
    optimizers = model.optimizers()
    model.compile(
        **{name: keras.optimizers.Nadam(2e-3 / (1 + i)) for i, name in enumerate(optimizers)}
    )
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


@pytest.mark.parametrize("model", COSTLY, indirect=True)
def test_fit_reports_its_metrics_and_takes_callbacks(model, digits, tmp_path):
    data, reported = batches(model, digits), [metric.name for metric in model.metrics]
    first = reported[0]
    callbacks = [
        keras.callbacks.EarlyStopping(f"val_{first}", mode="min"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    callbacks += [keras.callbacks.ReduceLROnPlateau(first, mode="min")]
    history = model.fit(
        data, validation_data=data, epochs=2, callbacks=callbacks, verbose=0
    ).history
    names = {name for name in history if "learning_rate" not in name}
    assert names == {f"{prefix}{name}" for prefix in ("", "val_") for name in reported}
    assert model.evaluate(data, verbose=0) == model.evaluate(data, verbose=0)
    assert (tmp_path / "log.csv").exists()
    model.summary(print_fn=lambda *_, **__: None)


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("vae_convolutional", "mixed_bfloat16"),
        pytest.param("vae_convolutional", "mixed_float16", marks=pytest.mark.nightly),
        ("cvae_label", "mixed_bfloat16"),
        ("cvae_flow", "mixed_bfloat16"),
        pytest.param("gan_label", "mixed_bfloat16", marks=pytest.mark.nightly),
        pytest.param("gan_label", "mixed_float16", marks=pytest.mark.nightly),
        pytest.param("dcgan", "mixed_bfloat16", marks=pytest.mark.nightly),
        ("dcgan", "mixed_float16"),
        ("realnvp_label", "mixed_bfloat16"),
        pytest.param("glow", "mixed_float16", marks=pytest.mark.nightly),
    ],
)
def test_mixed_precision_trains_and_answers_in_float32(policy, kind, digits):
    keras.config.set_dtype_policy(policy)
    try:
        model = harness.MODELS[kind]()
        trained = [variables for _, variables in model.optimizers().values()]
        before = [[variable.numpy() for variable in variables] for variables in trained]
        # With float16, steps are skipped until the scale of the loss suits the gradients.
        model.fit(batches(model, digits), epochs=6, verbose=0)
        for ours, theirs in zip(before, trained):
            assert any((value != variable.numpy()).any() for value, variable in zip(ours, theirs))
        given = harness.conditioning(model, digits[0][:2], digits[1][:2])
        assert model.sample(2, **given).dtype == np.float32
        assert np.isfinite(model.score(digits[0][:2], **given)).all()
    finally:
        keras.config.set_dtype_policy("float32")


IMAGES = np.zeros((2, 28, 28, 1), "float32")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.sample(0), "n must be an integer of at least 1; received: 0"),
        (lambda m: m.sample(2.5), "n must be an integer"),
        (lambda m: m.sample(2, seed=-1), "seed must be at least 0"),
        (lambda m: m.sample(2, seed=2**63 - 1), "less than 2\\*\\*63"),
        (lambda m: m.sample(2, seed=0.5), "seed must be an integer"),
        (lambda m: m.sample(2, seed=[1, 2, 3]), "seed must be one integer, or 2 of them"),
        (lambda m: m.sample(2, labels=10), "labels must be integers from 0 to 9; received: 10"),
        (
            lambda m: m.sample(2, labels=[-1, 3]),
            "labels must be integers from 0 to 9; received: -1",
        ),
        (lambda m: m.sample(2, labels=1.0), "labels must be integers from 0 to 9"),
        (lambda m: m.sample(2, labels=[1, 2, 3]), "labels must be one integer, or 2 of them"),
        (lambda m: m.sample(2, condition=IMAGES), "condition must be None"),
        (lambda m: m.decode(np.zeros((2, 5))), "z must be of shape \\(n, 4\\)"),
        (lambda m: m.decode(np.full((2, 4), np.nan)), "z must be finite"),
        (lambda m: m.encode(IMAGES), "labels must be given"),
        (
            lambda m: m.encode(IMAGES + 2, 1),
            "images must be in \\[0, 1\\]; received: values from 2 to 2",
        ),
        (
            lambda m: m.encode(IMAGES.astype("uint8"), 1),
            "Convert with images.astype\\('float32'\\) / 255",
        ),
        (lambda m: m.encode(IMAGES[0], 1), "images must be of shape \\(n, 28, 28, 1\\)"),
        (lambda m: m.encode(IMAGES[:0], 1), "n of at least 1"),
        (lambda m: m.score(IMAGES * np.nan, 1), "images must be finite"),
        (lambda m: m.log_likelihood(IMAGES, 1, samples=0), "samples must be an integer"),
        (lambda m: m.log_likelihood(IMAGES, 1, proposal="other"), "proposal must be"),
        (lambda m: m.interpolate(IMAGES, IMAGES, steps=1, labels=1), "steps must be at least 2"),
        (
            lambda m: m.interpolate(IMAGES, IMAGES[:1], labels=1),
            "a and b must be of the same shape",
        ),
        (lambda m: m.compile(metrics=["mse"]), "loss and metrics must not be given"),
        (lambda m: m.compile(loss="mse"), "loss and metrics must not be given"),
    ],
)
def test_an_error_says_what_was_received_and_what_is_right(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(harness.MODELS["cvae_label"]())


REFUSED = [
    (
        IMAGES,
        None,
        {},
        r"A dataset element must be \(images, label\) for this conditional model; "
        r"received: images alone",
    ),
    (
        IMAGES.astype("uint8"),
        np.zeros(2, int),
        {},
        r"Convert with images.astype\('float32'\) / 255",
    ),
    (IMAGES[:, :14], np.zeros(2, int), {}, r"shape \(n, 28, 28, 1\) .*received: \(2, 14, 28, 1\)"),
    (
        IMAGES + 255,
        np.zeros(2, int),
        {},
        r"images must be in \[0, 1\]; received: values from 255 to 255",
    ),
    (IMAGES - 1, np.zeros(2, int), {}, r"images must be in \[0, 1\]"),
    (IMAGES * np.nan, np.zeros(2, int), {}, "images must be finite"),
    (IMAGES, np.full(2, 10), {}, "labels must be integers from 0 to 9; received: 10"),
    (IMAGES, np.full(2, -1), {}, "labels must be integers from 0 to 9; received: -1"),
    (IMAGES, np.array([0.5, 1.5]), {}, "labels must be integers"),
    (
        IMAGES,
        np.eye(10)[:2].astype(int),
        {},
        r"labels must be one integer, or 2 of them.*\(2, 10\)",
    ),
    (
        IMAGES,
        np.zeros(2, int),
        {"sample_weight": np.ones(3)},
        r"sample_weight must be of shape \(2,\).*received: \(3,\)",
    ),
    (IMAGES, None, {"class_weight": {0: 2.0}}, "must be \\(images, label\\)"),
]


@pytest.mark.parametrize(
    ("images", "labels", "weights", "sentence", "as_dataset"),
    [
        *((*case, False) for case in REFUSED),
        # Data sets share the validation of arrays: the element, the images, the labels.
        *(
            pytest.param(*case, True, marks=() if i in (0, 3) else pytest.mark.nightly)
            for i, case in enumerate(REFUSED)
        ),
    ],
)
def test_refused_data_are_one_sentence_and_leave_the_model_usable(
    images, labels, weights, sentence, as_dataset
):
    """Checks arrays and data sets, whose first batch is validated before the graph sees it."""
    model = harness.MODELS["cvae_label"]()
    given = (images, labels)
    if as_dataset:
        if weights:
            pytest.skip("a data set has its weights in its elements")
        given = (tf.data.Dataset.from_tensor_slices(images if labels is None else given).batch(2),)
    for call in (model.fit, model.evaluate):
        if call == model.evaluate and "class_weight" in weights:
            continue
        with pytest.raises(ValueError, match=sentence) as refused:
            call(*given, **weights, verbose=0)
        assert "\n" not in str(refused.value)
    model.fit(IMAGES, np.zeros(2, int), verbose=0)


def test_a_bad_batch_that_comes_later_is_one_sentence_too():
    model = harness.MODELS["cvae_label"]()
    images, labels = np.zeros((6, 28, 28, 1), "float32"), np.zeros(6, int)
    images[5] = 2
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    for bad, sentence in (
        (data, "Images must be in"),
        (data.map(lambda x, y: (x / 2, y + 10)).skip(0), "labels must be"),
    ):
        with pytest.raises(ValueError, match=sentence) as refused:
            model.fit(bad, verbose=0)
        assert "\n" not in str(refused.value)

    def generator():
        yield images[:2], labels[:2] + 10

    with pytest.raises(ValueError, match="Labels must be at least 0") as refused:
        model.fit(generator(), verbose=0)
    assert "\n" not in str(refused.value)
    model.fit(images[:2], labels[:2], verbose=0)


def test_labels_may_be_a_column_before_and_after():
    model, labels = harness.MODELS["cvae_label"](), np.array([1, 2])
    for column in (labels, labels[:, None], labels, labels[:, None]):
        model.fit(IMAGES, column, verbose=0)
    for size in (1, 2):
        model.fit(IMAGES[:size], labels[:size, None], verbose=0)


@pytest.mark.parametrize("kind", ["vae_dense", "cvae_patch"])
def test_class_weights_need_labels(kind):
    model = harness.MODELS[kind]()
    condition = None if kind == "vae_dense" else np.zeros((2, 14, 14, 1), "float32")
    with pytest.raises(ValueError, match="class_weight must come with integer labels"):
        model.fit(IMAGES, condition, class_weight={0: 2.0}, verbose=0)
    if condition is None:
        with pytest.raises(ValueError, match="class_weight must come with integer labels"):
            model.fit(
                tf.data.Dataset.from_tensor_slices(IMAGES).batch(2),
                class_weight={0: 2.0},
                verbose=0,
            )


def gradients(model, *given, **weights):
    """Returns the change of each variable in one step of gradient descent with rate 1."""
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    names = list(model.optimizers())
    again.compile(**{name: keras.optimizers.SGD(1.0) for name in names})
    again.fit(*given, batch_size=1000, shuffle=False, verbose=0, **weights)
    return [before - after.numpy() for before, after in zip(model.get_weights(), again.weights)]


@pytest.mark.parametrize(
    "kind", nightly_except(("vae_gaussian", "cvae_label"), harness.VARIATIONAL)
)
def test_sample_weights_scale_each_images_term_of_the_bound(kind, digits):
    """Compares with the weighted sum of the terms over the number of images, as Keras divides."""
    model = harness.MODELS[kind]()
    images = digits[0][:4]
    columns = harness.condition_column(model, images, digits[1][:4])
    weights = np.array([2, 0, 1, 3], "float32")
    logged = {}
    for name, weight in (("ones", np.ones(4)), ("weights", weights), ("none", None)):
        logged[name] = model.test_on_batch(images, *columns, sample_weight=weight, return_dict=True)
    assert logged["ones"] == pytest.approx(logged["none"], rel=1e-5)
    noise = model._noise(images, step=-1)
    terms = []
    for i in range(4):
        condition = tf.constant(columns[0][i : i + 1]) if columns else None
        terms.append(
            float(
                model.negative_elbo(tf.constant(images[i : i + 1]), condition, noise[:, i : i + 1])[
                    0
                ]
            )
        )
    assert logged["weights"]["loss"] == pytest.approx(np.mean(weights * terms), rel=1e-5)
    history = model.fit(images, *columns, sample_weight=np.zeros(4), epochs=1, verbose=0).history
    assert history["loss"] == [0.0]
    assert model.evaluate(images, *columns, sample_weight=np.zeros(4), verbose=0)[0] == 0.0


def test_weights_of_validation_data_count():
    model = harness.MODELS["vae_dense"]()
    history = model.fit(IMAGES, validation_data=(IMAGES, None, np.zeros(2)), verbose=0).history
    assert history["val_loss"] == [0.0]
    assert history["loss"][0] > 0


@pytest.mark.parametrize(
    "kind", nightly_except(("dcgan_label", "dcgan_wasserstein"), harness.ADVERSARIAL)
)
def test_sample_weights_of_an_adversarial_model_apply_to_the_terms_of_real_images(kind, digits):
    model = harness.MODELS[kind]()
    images, columns = digits[0][:4], harness.condition_column(model, digits[0][:4], digits[1][:4])
    weights = np.array([2, 0, 1, 3], "float32")
    plain, weighted, none = (
        model.test_on_batch(images, *columns, sample_weight=given, return_dict=True)
        for given in (None, weights, 0 * weights)
    )
    labels = tf.constant(columns[0]) if columns else None
    losses = model.objective.discriminator_loss(
        lambda x: model.judge(x, labels), tf.constant(images), tf.zeros_like(images), [0, 0]
    )
    terms = losses.real.numpy().astype(float)
    change = weighted["discriminator_loss"] - none["discriminator_loss"]
    assert change == pytest.approx(np.mean(weights * terms), rel=1e-4)
    assert plain["discriminator_loss"] - none["discriminator_loss"] == pytest.approx(
        terms.mean(), rel=1e-4
    )
    assert plain["generator_loss"] == weighted["generator_loss"] == none["generator_loss"]


def test_class_weights_are_the_weights_of_the_labels(digits):
    model = harness.MODELS["cvae_label"]()
    images, labels = digits[0][:6], np.array([0, 1, 2, 0, 1, 2])
    by_class = gradients(model, images, labels, class_weight={0: 2.0, 1: 0.0, 2: 0.5})
    by_image = gradients(model, images, labels, sample_weight=np.array([2, 0, 0.5, 2, 0, 0.5]))
    unweighted = gradients(model, images, labels)
    for one, two in zip(by_class, by_image):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert any(not np.allclose(one, two, atol=1e-4) for one, two in zip(by_class, unweighted))


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        pytest.param("vae_convolutional", "encoder", marks=pytest.mark.nightly),
        ("cvae_label", "decoder"),
        pytest.param("gan_label", "generator", marks=pytest.mark.nightly),
        ("dcgan", "discriminator"),
    ],
)
def test_a_frozen_network_stays_frozen_after_loading(kind, network, digits, tmp_path, recwarn):
    model = harness.MODELS[kind]()
    getattr(model, network).trainable = False
    getattr(model, network).layers[-1].trainable = True
    model.compile()
    data = batches(model, digits)
    model.fit(data, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not [warning for warning in recwarn if "optimizer" in str(warning.message)]
    names = [[variable.path for variable in one.trainable_variables] for one in (model, loaded)]
    assert names[0] == names[1]
    for optimizer in model.optimizers():
        for ours, theirs in zip(
            getattr(model, optimizer).variables, getattr(loaded, optimizer).variables
        ):
            np.testing.assert_array_equal(ours, theirs)
    frozen = [variable for variable in getattr(loaded, network).weights if not variable.trainable]
    before = [variable.numpy() for variable in frozen]
    losses = [one.fit(data, verbose=0).history for one in (model, loaded)]
    assert losses[0] == losses[1]
    assert frozen
    for ours, theirs in zip(before, frozen):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_with_one_network_frozen_as_a_whole_the_other_trains(network, digits):
    model = harness.MODELS["gan"]()
    getattr(model, network).trainable = False
    model.compile()
    states = [
        [variable.numpy() for variable in one.weights]
        for one in (model.generator, model.discriminator)
    ]
    logged = model.fit(digits[0][:60], batch_size=20, verbose=0).history
    assert np.isfinite(list(logged.values())).all()
    moved = [
        any((before != after.numpy()).any() for before, after in zip(state, one.weights))
        for state, one in zip(states, (model.generator, model.discriminator))
    ]
    assert moved == [network != "generator", network != "discriminator"]


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        pytest.param("vae_convolutional", "mixed_bfloat16", marks=pytest.mark.nightly),
        pytest.param("vae_convolutional", "mixed_float16", marks=pytest.mark.nightly),
        pytest.param("dcgan_label", "mixed_bfloat16", marks=pytest.mark.nightly),
        pytest.param("dcgan_label", "mixed_float16", marks=pytest.mark.nightly),
        pytest.param("cvae_label", "mixed_float16", marks=pytest.mark.nightly),
    ],
)
def test_a_saved_model_keeps_its_precision_and_its_optimizers_state(kind, policy, digits, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = harness.MODELS[kind]()
        data = batches(model, digits)
        model.fit(data, epochs=2, verbose=0)
        model.save(tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert keras.config.dtype_policy().name == "float32"
    assert loaded.dtype_policy.name == policy
    policies = [
        [layer.dtype_policy.name for layer in one._flatten_layers()] for one in (model, loaded)
    ]
    assert policies[0] == policies[1]
    assert policy in policies[0]
    for name in model.optimizers():
        ours, theirs = getattr(model, name), getattr(loaded, name)
        assert type(ours) is type(theirs)
        for one, two in zip(ours.variables, theirs.variables):
            np.testing.assert_array_equal(one, two)
    assert model.fit(data, verbose=0).history == loaded.fit(data, verbose=0).history
    single = loaded.in_float32()
    assert {layer.dtype_policy.name for layer in single._flatten_layers()} == {"float32"}
    for one, two in zip(single.weights, loaded.weights):
        np.testing.assert_array_equal(one, two)


def test_callbacks_of_the_learning_rate_move_both_optimizers(digits):
    model = harness.MODELS["gan"]()
    model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.SGD(1e-2))
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(
            "generator_loss", factor=0.5, patience=1, min_delta=1e9, mode="min"
        )
    ]
    history = model.fit(
        digits[0][:40], batch_size=20, epochs=2, callbacks=callbacks, verbose=0
    ).history
    rates = [
        float(optimizer.learning_rate)
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    ]
    assert rates == pytest.approx([2e-4, 5e-3])
    assert len([name for name in history if "learning_rate" in name]) == 2
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.125)
    model.fit(digits[0][:40], batch_size=20, callbacks=[schedule], verbose=0)
    rates = [
        float(optimizer.learning_rate)
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    ]
    assert rates == [0.125, 0.125]
    with pytest.raises(
        AttributeError, match=r"two learning rates\. Use generator_optimizer\.learning_rate"
    ):
        _ = model.optimizer.learning_rate


@pytest.mark.parametrize("model", COSTLY, indirect=True)
def test_clone_model_gives_a_model_of_the_same_class(model, digits):
    clone = keras.models.clone_model(model)
    assert type(clone) is type(model)
    assert clone.get_config() == model.get_config()
    clone.set_weights(model.get_weights())
    given = harness.conditioning(model, digits[0][:2], digits[1][:2])
    np.testing.assert_array_equal(clone.sample(2, **given), model.sample(2, **given))
    clone.fit(batches(model, digits), verbose=0)


def test_predict_computes_what_calling_the_model_computes(model, digits):
    given = harness.conditioning(model, digits[0][:5], digits[1][:5])
    column = list(harness.condition_column(model, digits[0][:5], digits[1][:5]))
    first = (
        noise.normal(np.arange(5), model.latent_dim)
        if model.call_signature == "decode"
        else digits[0][:5]
    )
    expected = getattr(model, model.call_signature)(first, **given)
    predicted = model.predict([first, *column] if column else first, verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-5)
    data = tf.data.Dataset.from_tensor_slices((first, *column) if column else first).batch(2)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.predict(IMAGES), r"z, the input of predict, must be of shape \(n, 4\)"),
        (lambda m: m.save("model.h5"), r"filepath must end in \.keras; received: 'model\.h5'"),
    ],
)
def test_a_wrong_call_of_a_keras_method_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call(harness.MODELS["gan"]())
    assert "\n" not in str(refused.value)


def test_conditions_are_checked():
    patch, plain = harness.MODELS["cvae_patch"](), harness.MODELS["vae_dense"]()
    with pytest.raises(ValueError, match="condition must be given"):
        patch.sample(2)
    with pytest.raises(ValueError, match="condition must be one array, or 3 of them"):
        patch.sample(3, condition=np.zeros((2, 14, 14, 1), "float32"))
    with pytest.raises(ValueError, match="labels must be None"):
        plain.sample(2, labels=1)
    with pytest.raises(ValueError, match="condition must be in \\[0, 1\\]"):
        patch.sample(1, condition=np.full((14, 14, 1), 5.0))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1"),
        ({"filters": (4, 4, 4)}, "image_shape must be a multiple of 8"),
        ({"blocks": 2}, "blocks must be 0 without filters; received: 2"),
        ({"bottleneck": 2}, "bottleneck must be None without filters; received: 2"),
        ({"filters": (4,), "bottleneck": 0}, "bottleneck must be an integer of at least 1"),
        ({"seed": None}, "seed must be an integer"),
    ],
)
def test_constructors_check_their_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        VAE(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Exactly one of num_classes, attributes and condition_shape must be given"),
        (
            {"num_classes": 10, "condition_shape": (3,)},
            "Exactly one of num_classes, attributes and condition_shape must be given",
        ),
        ({"num_classes": 0}, "num_classes must be an integer of at least 1"),
        ({"num_classes": 10, "condition_at": (0, 0)}, "condition_at must be the"),
        ({"condition_shape": (14, 14, 1), "condition_at": (20, 0)}, "condition_at must be the"),
        ({"condition_shape": (14, 14, 1), "condition_at": 14}, "condition_at must be the"),
        ({"condition_shape": ()}, "condition_shape must be a tuple of one or more integers"),
        ({"image_shape": (28, 28), "num_classes": 10}, "image_shape must be"),
    ],
)
def test_a_cvae_has_one_condition(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        CVAE(**arguments)

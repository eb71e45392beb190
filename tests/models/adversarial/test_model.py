"""Tests of adversarial models against closed forms, Algorithm 1, and the DCGAN guidelines."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from scipy import stats

from tests import harness
from zoo.inference import noise
from zoo.models import DCGAN, GAN
from zoo.models.adversarial.model import AdversarialModel
from zoo.models.layers import Conv2DTranspose, Dropout, Maxout, OneHot

PENALIZED = {"class_name": "minimax", "config": {"gradient_penalty": 1.0}}


@pytest.fixture(params=harness.ADVERSARIAL)
def model(request):
    return harness.ADVERSARIAL[request.param]()


def adversarial_model(draw, judge, image_shape, latent_dim=1, **options):
    """Returns an adversarial model whose two networks are functions of Keras tensors."""
    z, images = keras.Input((latent_dim,), name="z"), keras.Input(image_shape, name="images")
    networks = (
        keras.Model(z, draw(z), name="generator"),
        keras.Model(images, judge(images), name="discriminator"),
    )
    return AdversarialModel(*networks, image_shape=image_shape, latent_dim=latent_dim, **options)


def test_with_a_fixed_generator_the_discriminator_converges_to_the_ratio(rng):
    """Checks proposition 1 of Goodfellow et al. 2014, D = p / (p + q), on four symbols."""
    p, q = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
    edges = stats.norm.ppf(np.cumsum(q)[:-1]).astype("float32")

    def draw(z):
        symbol = ops.sum(ops.cast(z > edges, "int32"), axis=-1)
        # A generator must have weights; these stay 0.
        moved = layers.Dense(4, use_bias=False, kernel_initializer="zeros")(z)
        return layers.Reshape((1, 4, 1))(ops.one_hot(symbol, 4) + 0 * moved)

    def judge(images):
        return layers.Reshape(())(
            layers.Dense(1, use_bias=False, kernel_initializer="zeros")(layers.Flatten()(images))
        )

    model = adversarial_model(draw, judge, (1, 4, 1))
    images = np.eye(4, dtype="float32")[rng.choice(4, 20_000, p=p)].reshape(-1, 1, 4, 1)
    model.compile(
        discriminator_optimizer=keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(2.0, 800)
        )
    )
    model.fit(images, batch_size=500, epochs=20, verbose=0)
    symbols = np.eye(4, dtype="float32").reshape(-1, 1, 4, 1)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-model.discriminate(symbols))), p / (p + q), atol=0.03
    )


def test_on_a_gaussian_the_generator_reaches_its_mean_and_deviation(rng):
    data = np.clip(rng.normal(0.6, 0.1, (20_000, 1, 1, 1)), 0, 1).astype("float32")

    def judge(images):
        x = layers.Flatten()(images) * 10 - 5
        return layers.Reshape(())(layers.Dense(1)(ops.concatenate([x, ops.square(x)], axis=-1)))

    def draw(z):
        affine = layers.Dense(
            1, kernel_initializer=keras.initializers.Constant(0.02), bias_initializer="zeros"
        )
        return layers.Reshape((1, 1, 1))(affine(z))

    model = adversarial_model(draw, judge, (1, 1, 1), ema=0.99)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(1e-2, beta_1=0.5))
    model.fit(data, batch_size=200, epochs=20, verbose=0)
    drawn = model.sample(10_000)
    assert drawn.mean() == pytest.approx(0.6, abs=0.02)
    assert drawn.std() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("generator_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_a_step_is_algorithm_1(generator_loss, label_smoothing, rng):
    """Replays k = 2 updates of a logistic D and one update of a linear G in float64."""
    images = rng.random((7, 1, 2, 1), dtype="float32")

    def draw(z):
        return layers.Reshape((1, 2, 1))(layers.Dense(2, use_bias=False, name="w")(z))

    def judge(images):
        return layers.Reshape(())(
            layers.Dense(1, use_bias=False, name="v")(layers.Flatten()(images))
        )

    model = adversarial_model(
        draw,
        judge,
        (1, 2, 1),
        3,
        objective={"class_name": generator_loss, "config": {"label_smoothing": label_smoothing}},
        discriminator_steps=2,
    )
    model.compile(keras.optimizers.SGD(0.3), keras.optimizers.SGD(0.5))
    w, v = (
        network.get_weights()[0].astype(float) for network in (model.generator, model.discriminator)
    )
    result = model.train_on_batch(images, return_dict=True)

    def d(x, v):
        return 1 / (1 + np.exp(-x @ v))

    for i in range(2):
        x, z = images[i::2].reshape(-1, 2), model.noise([len(images[i::2]), 3], 0, i).numpy()
        on_real, on_drawn = d(x, v), d(z @ w, v)
        target = 1 - label_smoothing
        loss = -np.mean(target * np.log(on_real) + (1 - target) * np.log(1 - on_real)) - np.mean(
            np.log(1 - on_drawn)
        )
        v = v + 0.5 * (x.T @ (target - on_real) / len(x) - (z @ w).T @ on_drawn / len(x))
    assert result["discriminator_loss"] == pytest.approx(loss, rel=1e-4)
    assert result["probability_real"] == pytest.approx(on_real.mean(), rel=1e-4)
    assert result["probability_generated"] == pytest.approx(on_drawn.mean(), rel=1e-4)
    z = model.noise([3, 3], 0, 2).numpy()
    on_drawn = d(z @ w, v)
    # G ascends log D, whose slope in the logit is 1 - D, or descends log(1 - D), with slope -D.
    slope = 1 - on_drawn if generator_loss == "non_saturating" else on_drawn
    generator_loss = (
        -np.log(on_drawn).mean()
        if generator_loss == "non_saturating"
        else np.log(1 - on_drawn).mean()
    )
    assert result["generator_loss"] == pytest.approx(generator_loss, rel=1e-4)
    w = w + 0.3 * z.T @ (slope @ v.T) / len(z)
    np.testing.assert_allclose(model.generator.get_weights()[0], w, rtol=1e-4)
    np.testing.assert_allclose(model.discriminator.get_weights()[0], v, rtol=1e-4)


def test_each_players_update_leaves_the_other_alone(model, digits):
    """Compares weights and the moving statistics of batch normalization."""
    images, labels = (
        tf.constant(digits[0][:20]),
        tf.constant(digits[1][:20]) if model.num_classes else None,
    )
    z = tf.random.stateless_normal([20, model.latent_dim], [0, 1])

    def state(network):
        # The bias of a critic's output cancels in D(G(z)) − D(x).
        critic = model.objective.__class__.__name__ in ("Wasserstein", "Hinge")
        return [
            variable.numpy()
            for variable in network.weights
            if not (critic and variable.path.endswith("output/bias"))
        ]

    updates = {
        "discriminator": lambda: model._update_discriminator(images, z, labels, (0, 0)),
        "generator": lambda: model._update_generator(z, labels, (0, 1)),
    }
    for player, other in (("discriminator", "generator"), ("generator", "discriminator")):
        mine, theirs = state(getattr(model, player)), state(getattr(model, other))
        updates[player]()
        assert all(
            (before != after).any() for before, after in zip(mine, state(getattr(model, player)))
        )
        for before, after in zip(theirs, state(getattr(model, other))):
            np.testing.assert_array_equal(before, after)


def test_k_counts_the_discriminators_updates(digits):
    model = harness.ADVERSARIAL["dcgan_label"]()
    model.fit(digits[0][:60], digits[1][:60], batch_size=20, verbose=0)
    assert int(model.generator_optimizer.iterations) == 3
    assert int(model.discriminator_optimizer.iterations) == 6
    with pytest.raises(ValueError, match="A batch must have at least discriminator_steps images"):
        model.fit(digits[0][:1], digits[1][:1], verbose=0)


def test_instance_noise_is_on_all_that_the_discriminator_sees_in_training(digits):
    model = DCGAN(latent_dim=4, filters=(4,), instance_noise=0.2)
    seen, judge = [], model.judge
    model.judge = lambda images, *given, **options: (
        seen.append(images),
        judge(images, *given, **options),
    )[1]
    model.compile(run_eagerly=True)
    real = digits[0][:50]
    model.train_on_batch(real)
    assert len(seen) == 3
    assert stats.kstest(np.ravel(seen[0] - real) / 0.2, "norm").pvalue > 0.01
    assert min(tf.reduce_min(images) for images in seen[1:]) < 0
    model.test_on_batch(real)
    np.testing.assert_array_equal(seen[3], real)


def test_the_sampler_is_the_moving_average_of_the_generator(digits):
    model = harness.ADVERSARIAL["dcgan"]()
    average = model.generator.get_weights()
    for step in range(12):
        model.train_on_batch(digits[0][:20])
        rate = min(0.9, (1 + step) / (10 + step))
        average = [
            rate * one + (1 - rate) * other
            for one, other in zip(average, model.generator.get_weights())
        ]
    for ours, theirs in zip(average, model.sampler.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    z = noise.normal([0, 1], 4)
    np.testing.assert_allclose(model.sample(2, seed=0), model.sampler(z), atol=1e-6)
    assert not np.allclose(model.sample(2, seed=0), model.generator(z), atol=1e-6)
    plain = harness.ADVERSARIAL["gan"]()
    assert plain.sampler is plain.generator


def test_discriminate_and_score(model, digits):
    images, labels = digits[0][:30], digits[1][:30]
    given = harness.conditioning(model, images, labels)
    logits = model.discriminate(images, **given)
    inputs = [images, labels] if given else images
    np.testing.assert_allclose(logits, model.discriminator(inputs, training=False), atol=1e-5)
    assert logits.shape == (30,)
    np.testing.assert_array_equal(model.score(images, **given), -logits)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        model.discriminate(images + 1, **given)
    if given:
        with pytest.raises(ValueError, match="labels must be given"):
            model.score(images)


def test_predict_is_decode(model):
    z, labels = np.random.default_rng(0).standard_normal((4, 4), dtype=np.float32), np.arange(4)
    expected = model.decode(z, labels if model.num_classes else None)
    np.testing.assert_allclose(
        model.predict([z, labels] if model.num_classes else z, verbose=0), expected, atol=1e-6
    )


def seeing_the_label(network):
    """Returns the names of the operations whose inputs include the one-hot label."""
    tensors, found = {"label"}, []
    for operation in network.operations:
        if tensors & {tensor.name for tensor in keras.tree.flatten(operation.input)}:
            if isinstance(operation, (layers.InputLayer, OneHot, layers.Reshape)):
                tensors.add(operation.output.name)
            else:
                found.append(operation.name)
    return found


def test_labels_reach_every_stage():
    dense = GAN(latent_dim=4, num_classes=3, hidden=(6, 5), maxout=((4, 2), (3, 2)))
    deep = DCGAN(latent_dim=4, num_classes=3, filters=(6, 5))
    assert [name.partition("_")[0] for name in seeing_the_label(dense.generator)] == [
        "concatenate"
    ] * 3
    assert [name.partition("_")[0] for name in seeing_the_label(dense.discriminator)] == [
        "concatenate"
    ] * 3
    assert {name for name in seeing_the_label(deep.generator) if "concatenate" not in name} == {
        "shift_0",
        "shift_1",
    }
    assert len(seeing_the_label(deep.generator)) == 3
    assert {name for name in seeing_the_label(deep.discriminator) if "multiply" not in name} == {
        "shift_0",
        "shift_1",
    }
    assert len(seeing_the_label(deep.discriminator)) == 3
    for model in (dense, deep):
        drawn = model.decode(np.zeros((3, 4), "float32"), [0, 1, 2])
        logits = model.discriminate(np.zeros((3, 28, 28, 1), "float32"), [0, 1, 2])
        assert len(np.unique(drawn.mean(axis=(1, 2, 3)))) == len(np.unique(logits)) == 3


GUIDED = [
    (28, {}),
    (32, {}),
    (64, {}),
    (28, {"num_classes": 10}),
    (28, {"filters": (16, 8), "kernel_size": 4}),
    (64, {"num_classes": 3}),
]


@pytest.mark.parametrize(("size", "options"), GUIDED)
def test_the_graph_keeps_the_guidelines(size, options):
    """Checks each guideline of Radford et al. 2015, section 3, on the layers and their order."""
    model = DCGAN((size, size, 3), **options)
    filters = options.get("filters", (1024, 512, 256, 128) if size == 64 else (512, 256, 128))

    def stages(network, kind):
        return [
            layer
            for layer in network.layers
            if isinstance(layer, kind) and layer.name not in seeing_the_label(network)
        ]

    def after(network, layer):
        """Returns the types of the layers between a convolution and the next ones."""
        convolutions, found, names = (
            (layers.Conv2D, layers.Conv2DTranspose),
            [],
            [layer.output.name],
        )
        for name in names:
            for one in network.operations:
                given = {tensor.name for tensor in keras.tree.flatten(one.input)}
                if name in given and not isinstance(one, (layers.InputLayer, *convolutions)):
                    found.append(type(one))
                    names.append(one.output.name)
        return found

    up = stages(model.generator, layers.Conv2DTranspose)
    down = stages(model.discriminator, layers.Conv2D)
    everything = [*model.generator.layers, *model.discriminator.layers]
    # "Replace any pooling layers with strided convolutions and fractional-strided convolutions."
    assert not [
        layer
        for layer in everything
        if "Pool" in type(layer).__name__ or "UpSampling" in type(layer).__name__
    ]
    assert [layer.strides for layer in up] == [up[0].kernel_size] + [(2, 2)] * len(filters)
    assert [layer.strides for layer in down] == [(2, 2)] * len(filters) + [(1, 1)]
    assert [layer.filters for layer in up] == [*filters, 3]
    assert [layer.filters for layer in down[:-1]] == [*reversed(filters)]
    # "Remove fully connected hidden layers": G's first and D's last layer are convolutions too.
    assert not [layer for layer in everything if isinstance(layer, (layers.Dense, Maxout))]
    assert up[0].input.shape[1:3] == (1, 1)
    assert down[-1].output.shape[1:3] == (1, 1)
    # Batch normalization is in both networks, except at G's output and D's input.
    for network, convolutions, normal in (
        (model.generator, up, up[:-1]),
        (model.discriminator, down, down[1:-1]),
    ):
        for convolution in convolutions:
            assert (layers.BatchNormalization in after(network, convolution)) == (
                convolution in normal
            )
        assert len(stages(network, layers.BatchNormalization)) == len(normal)
    # "Use ReLU activation in generator for all layers except for the output, which uses Tanh",
    # and LeakyReLU in D.
    for convolution in up[:-1]:
        assert layers.ReLU in after(model.generator, convolution)
    assert [layer.activation.__name__ for layer in stages(model.generator, layers.Activation)] == [
        "tanh"
    ]
    slopes = [layer.negative_slope for layer in stages(model.discriminator, layers.LeakyReLU)]
    assert slopes == pytest.approx([0.2] * len(filters))
    # Section 4: weights start from N(0, 0.02), and the networks use images in [-1, 1].
    for layer in (*up, *down):
        assert layer.kernel_initializer.get_config() == {"mean": 0.0, "stddev": 0.02, "seed": None}
    (scale,) = stages(model.discriminator, layers.Rescaling)
    assert (scale.scale, scale.offset) == (2.0, -1.0)


def test_dropout_keeps_the_mean_and_goes_on_after_save_and_load(tmp_path):
    x = np.ones((100, 1000), "float32")
    model = keras.Sequential([keras.Input((1000,)), Dropout(0.2)])
    drawn = np.asarray(model(x, training=True))
    assert set(np.unique(drawn)) == {0, np.float32(1.25)}
    assert drawn.mean() == pytest.approx(1, abs=5 * 0.5 / np.sqrt(x.size))
    assert (np.asarray(model(x)) == x).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again, other = np.asarray(model(x, training=True)), np.asarray(loaded(x, training=True))
    np.testing.assert_array_equal(again, other)
    assert (again != drawn).any()


def test_dropout_of_nothing_is_saved_too(tmp_path):
    GAN(hidden=(4,), maxout=((2, 2),), dropout=(0.0, 0.0)).save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").dropout == (0.0, 0.0)


def test_each_player_has_an_optimizer_of_its_own():
    model, adam = harness.ADVERSARIAL["gan"](), keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be two objects"):
        model.compile(adam, adam)
    with pytest.raises(ValueError, match="generator_optimizer= and discriminator_optimizer="):
        model.compile(optimizer="adam")
    model.compile("sgd", "adam")
    assert isinstance(model.generator_optimizer, keras.optimizers.SGD)
    assert isinstance(model.discriminator_optimizer, keras.optimizers.Adam)


def test_noise_is_fresh_in_each_step_and_update():
    model = harness.ADVERSARIAL["gan"]()
    drawn = [
        model.noise([5, 3], *moment).numpy()
        for moment in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 1))
    ]
    assert len({one.tobytes() for one in drawn}) == 5
    np.testing.assert_array_equal(model.noise([5, 3], 1, 0), drawn[2])


def test_maxout_is_the_largest_of_its_affine_maps(rng):
    layer = Maxout(4, 3)
    x = rng.standard_normal((5, 6), dtype="float32")
    answer = np.asarray(layer(x))
    layer.bias.assign(rng.standard_normal(12))
    kernel, bias = (weight.astype(float) for weight in layer.get_weights())
    expected = np.stack(
        [(x @ kernel + bias)[:, unit * 3 : unit * 3 + 3].max(axis=1) for unit in range(4)], axis=1
    )
    assert answer.shape == (5, 4)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("kernel", "strides"), [(4, 2), (5, 2), (1, 2), ((4, 3), (4, 3)), ((7, 2), (3, 1)), (3, 1)]
)
def test_the_transposed_convolution_is_keras_s_in_training_and_out_of_it(kernel, strides, rng):
    x = rng.standard_normal((2, 5, 3, 6), dtype="float32")
    keras_s = layers.Conv2DTranspose(
        7, kernel, strides=strides, padding="same", activation="relu", bias_initializer="normal"
    )
    full = keras_s(x)
    for crop in {0, min(keras_s.strides) - 1}:
        grid = [side - crop for side in full.shape[1:3]]
        layer = Conv2DTranspose(7, kernel, grid, strides=strides, activation="relu")
        layer = keras.layers.deserialize(keras.layers.serialize(layer))
        layer.build(x.shape)
        layer.set_weights(keras_s.get_weights())
        for training in (False, True):
            answer = layer(x, training=training)
            assert answer.shape == layer.compute_output_shape(x.shape)
            np.testing.assert_allclose(answer, full[:, : grid[0], : grid[1]], atol=1e-5)


@pytest.mark.parametrize(
    ("family", "arguments", "sentence"),
    [
        (GAN, {"generator_loss": "minimax"}, "generator_loss was replaced; give objective="),
        (GAN, {"label_smoothing": 0.1}, "label_smoothing was replaced; give objective="),
        (
            GAN,
            {"objective": "wassertein"},
            r"objective must be one of .*; received: 'wassertein'\. Did you mean 'wasserstein'",
        ),
        (
            GAN,
            {"objective": {"class_name": "hinge", "config": {"weight": 1}}},
            "objective must have arguments of 'hinge'",
        ),
        (DCGAN, {"objective": "wasserstein"}, "must not have batch normalization"),
        (DCGAN, {"objective": PENALIZED}, "must not have batch normalization"),
        (
            GAN,
            {"objective": {"class_name": "minimax", "config": {"gradient_penalty": -1}}},
            "gradient_penalty must be a number of at least 0; received: -1",
        ),
        (
            GAN,
            {"objective": {"class_name": "wasserstein", "config": {"gradient_penalty": "1"}}},
            "gradient_penalty must be a number of at least 0; received: '1'",
        ),
        (
            DCGAN,
            {"discriminator_normalization": "group"},
            "discriminator_normalization must be one of 'batch'",
        ),
        (
            GAN,
            {"objective": {"class_name": "minimax", "config": {"label_smoothing": 1.0}}},
            "label_smoothing must be at least 0 and less than 1; received: 1.0",
        ),
        (GAN, {"discriminator_steps": 0}, "discriminator_steps must be an integer of at least 1"),
        (GAN, {"instance_noise": -0.1}, "instance_noise must be at least 0"),
        (GAN, {"ema": 1.0}, "ema must be between 0 and 1"),
        (GAN, {"latent_dim": 0}, "latent_dim must be an integer of at least 1"),
        (GAN, {"num_classes": 0}, "num_classes must be an integer of at least 1"),
        (GAN, {"seed": -1}, "seed must be an integer of at least 0"),
        (
            DCGAN,
            {"filters": (8,) * 5},
            "grid of 28x28, which must keep at least 2 rows and columns",
        ),
        (DCGAN, {"filters": ()}, "filters must have at least 1 element"),
        (
            GAN,
            {"image_shape": (28, 28)},
            r"image_shape must be \(height, width, channels\), .*; received: \(28, 28\)",
        ),
        (GAN, {"hidden": 64}, "hidden must be a tuple of integers; received: 64"),
        (
            GAN,
            {"maxout": (240, 5)},
            "Each element of maxout must be a tuple of 2 integers; received: 240",
        ),
        (GAN, {"dropout": 0.5}, r"dropout must be two rates .*; received: 0\.5"),
        (GAN, {"dropout": (0.5,)}, "dropout must be two rates"),
        (DCGAN, {"image_shape": (28, 28)}, "image_shape must be"),
        (
            DCGAN,
            {"filters": (8, 0)},
            "Each element of filters must be an integer of at least 1; received: 0",
        ),
        (DCGAN, {"kernel_size": 0}, "kernel_size must be an integer of at least 1"),
    ],
)
def test_constructors_check_their_arguments(family, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        family(**arguments)

"""Tests of bijections against numerical Jacobians, quadrature and known densities."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import integrate, linalg, stats

from zoo.models import bijections
from zoo.models.bijections import (
    ActNorm,
    Chain,
    CheckerboardCoupling,
    Coupling,
    Flatten,
    InBlocks,
    Linear,
    Logit,
    Split,
    Squeeze,
    Wavelet,
)

convolutional = partial(
    bijections.convolutional_network, 6, lambda h: layers.Conv2D(6, 1, activation="tanh")(h)
)
dense = partial(bijections.dense_network, (16,), "tanh")
VECTOR, MAPS = (5,), (4, 4, 2)


def scales():
    """Returns two scales of every kind of bijection of images."""
    last = Chain([ActNorm(), Squeeze(), Coupling(convolutional), Flatten()])
    return Chain(
        [
            CheckerboardCoupling(convolutional),
            Squeeze(),
            ActNorm(),
            Linear(),
            Coupling(convolutional),
            Split(last),
        ]
    )


def wavelet():
    """Returns two scales of a wavelet flow."""
    averages = Chain([Flatten(), Coupling(dense)])
    for _ in range(2):
        details = [ActNorm(), Linear(), Coupling(convolutional), Flatten(), Coupling(dense)]
        averages = Wavelet(averages, Chain(details))
    return averages


# {name: (bijection, shape, shape of the condition)}
BIJECTIONS = {
    "logit": (lambda: Logit(0.01), (4, 4, 1), None),
    "squeeze": (Squeeze, (4, 4, 2), None),
    "flatten": (Flatten, (4, 4, 2), None),
    "act_norm": (ActNorm, (4, 4, 3), None),
    "act_norm_vector": (ActNorm, (6,), None),
    "linear": (Linear, (4, 4, 5), None),
    "linear_vector": (Linear, (7,), None),
    "linear_from_identity": (lambda: Linear(rotation=False), (7,), None),
    "coupling": (lambda: Coupling(convolutional), (4, 4, 3), None),
    "coupling_swapped": (lambda: Coupling(convolutional, swap=True), (4, 4, 3), VECTOR),
    "coupling_given_maps": (lambda: Coupling(convolutional), (4, 4, 4), MAPS),
    "coupling_vector": (lambda: Coupling(dense), (5,), VECTOR),
    "coupling_vector_swapped": (lambda: Coupling(dense, swap=True), (5,), None),
    "checkerboard": (lambda: CheckerboardCoupling(convolutional), (4, 4, 2), VECTOR),
    "checkerboard_swapped": (
        lambda: CheckerboardCoupling(convolutional, swap=True),
        (4, 4, 1),
        None,
    ),
    "scales": (scales, (4, 4, 2), VECTOR),
    "wavelet": (wavelet, (8, 4, 1), None),
    "wavelet_of_colours": (wavelet, (4, 4, 3), VECTOR),
}


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)


def built(name, dtype="float32"):
    """Returns a bijection with random weights, and inputs and a condition of three rows."""
    keras.utils.set_random_seed(0)
    make, shape, condition_shape = BIJECTIONS[name]
    bijection, random = make(), np.random.default_rng(1)
    bijection.build_for(shape, condition_shape)
    for weight in bijection.trainable_variables:
        weight.assign(weight + 0.1 * random.standard_normal(weight.shape))
    draw = random.uniform if name == "logit" else random.standard_normal
    x = tf.constant(draw(size=(3, *shape)), dtype)
    if condition_shape is None:
        return bijection, x, None
    return bijection, x, tf.constant(random.standard_normal((3, *condition_shape)), dtype)


@pytest.mark.parametrize("name", BIJECTIONS)
def test_the_inverse_of_the_forward_map_is_the_identity(name):
    bijection, x, condition = built(name)
    y = bijection.forward(x, condition)
    np.testing.assert_allclose(bijection.inverse(y, condition), x, atol=1e-5)


@pytest.mark.parametrize("name", BIJECTIONS)
def test_the_log_determinant_is_that_of_the_jacobian(name, float64):
    bijection, x, condition = built(name, "float64")
    size = int(np.prod(x.shape[1:]))
    expected = []
    for i in range(len(x)):
        row, given = x[i : i + 1], None if condition is None else condition[i : i + 1]
        with tf.GradientTape() as tape:
            tape.watch(row)
            y = tf.reshape(bijection.forward(row, given), [-1])
        jacobian = tf.reshape(tape.jacobian(y, row), [size, size])
        expected.append(np.linalg.slogdet(jacobian.numpy())[1])
    np.testing.assert_allclose(bijection.log_det(x, condition), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 33])
def test_the_inverse_of_a_unit_triangular_matrix_is_exact(size, float64):
    strict = np.tril(np.random.default_rng(0).standard_normal((size, size)), -1) / 2
    expected = np.linalg.inv(np.eye(size) + strict)
    np.testing.assert_allclose(
        bijections._inverse_of_unit(tf.constant(strict)), expected, rtol=1e-8, atol=1e-8
    )


def test_the_first_matrix_of_a_linear_map_is_a_rotation():
    linear = Linear()
    linear.build_for((6,))
    matrix = linear.forward(tf.eye(6)).numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(linear.log_det(tf.zeros((1, 6))), 0, atol=1e-6)
    linear = Linear(rotation=False)
    linear.build_for((6,))
    np.testing.assert_array_equal(linear.forward(tf.eye(6)), np.eye(6))


def test_a_wavelet_scale_is_the_haar_transform():
    bijection = Wavelet(Flatten(), Flatten())
    bijection.build_for((2, 2, 1))
    x = np.random.default_rng(0).standard_normal((3, 4))
    y = bijection.forward(tf.constant(x.reshape(3, 2, 2, 1), tf.float32))
    # The rows are the average and the differences of columns, of rows and of diagonals.
    matrix = linalg.hadamard(4) / [[4], [2], [2], [2]]
    np.testing.assert_allclose(y, x @ matrix.T, atol=1e-6)


def test_the_differences_are_given_averages_within_the_range_of_the_data():
    bijection, x, _ = built("wavelet")
    bijection.initialize(x)
    averages = x.numpy().reshape(3, 4, 2, 2, 2).mean(axis=(2, 4))
    assert bijection.low.numpy() == pytest.approx(averages.min(), abs=1e-6)
    assert bijection.high.numpy() == pytest.approx(averages.max(), abs=1e-6)
    # Adding a number to all pixels changes the averages alone.
    low, high = bijection.low.numpy(), bijection.high.numpy()
    y = [bijection.forward(x + shift) for shift in (high - low, 2 * (high - low))]
    np.testing.assert_allclose(y[1][:, 8:], y[0][:, 8:], rtol=1e-5, atol=1e-5)
    assert np.abs(y[0] - bijection.forward(x))[:, 8:].max() > 0.01
    np.testing.assert_allclose(bijection.inverse(y[0]), x + (high - low), atol=1e-5)


def test_the_inverse_of_a_vector_does_not_depend_on_the_number_of_rows():
    keras.utils.set_random_seed(0)
    network = partial(bijections.dense_network, (144, 144), "silu")
    steps = [step for i in range(4) for step in (Coupling(network, swap=i % 2 == 1), Linear())]
    bijection, random = InBlocks(steps), np.random.default_rng(1)
    bijection.build_for((49,), (3,))
    for weight in bijection.trainable_variables:
        weight.assign(weight + 0.02 * random.standard_normal(weight.shape))
    y, condition = random.standard_normal((100, 49)), random.standard_normal((100, 3))
    y, condition = tf.constant(y, tf.float32), tf.constant(condition, tf.float32)
    expected = bijection.inverse(y, condition)
    for n in (1, 3, 7, 17, 99):
        np.testing.assert_array_equal(bijection.inverse(y[:n], condition[:n]), expected[:n])


def test_act_norm_starts_with_normalized_channels():
    x = tf.constant(np.random.default_rng(0).normal(3, [1, 2, 5], (64, 4, 4, 3)), tf.float32)
    bijection = ActNorm()
    bijection.build_for((4, 4, 3))
    y = bijection.initialize(x).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-4)


def planar_flow(couplings=6):
    network = partial(bijections.dense_network, (32,), "tanh")
    flow = Chain(
        [step for i in range(couplings) for step in (Coupling(network, swap=i % 2 == 1), Linear())]
    )
    flow.build_for((2,))
    return flow


def log_density(flow, x):
    z, log_det = flow.forward_and_log_det(tf.constant(x, tf.float32))
    return stats.norm.logpdf(z.numpy()).sum(axis=1) + log_det.numpy()


def grid(half_width, n):
    axis = np.linspace(-half_width, half_width, n)
    return axis, np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def test_the_density_of_a_flow_integrates_to_one():
    keras.utils.set_random_seed(3)
    flow = planar_flow()
    for weight in flow.trainable_variables:
        weight.assign_add(0.1 * keras.random.normal(weight.shape))
    axis, points = grid(16, 641)
    density = np.exp(log_density(flow, points)).reshape(len(axis), len(axis))
    total = integrate.simpson(integrate.simpson(density, x=axis), x=axis)
    assert abs(total - 1) < 2e-3


def test_a_fitted_flow_has_the_density_of_the_data():
    """The data are y = (a, b + a²/2) of normal a, b, whose density is known."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)

    def draw(n):
        a, b = random.standard_normal((2, n))
        return np.float32(np.stack([a, 0.5 * b + a**2 / 2], axis=1))

    def true_log_density(x):
        return stats.norm.logpdf(x[:, 0]) + stats.norm.logpdf(x[:, 1], x[:, 0] ** 2 / 2, 0.5)

    flow, optimizer = planar_flow(), keras.optimizers.Adam(3e-3)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            z, log_det = flow.forward_and_log_det(x, training=True)
            loss = tf.reduce_mean(0.5 * tf.reduce_sum(z**2, axis=1) - log_det)
        optimizer.apply(tape.gradient(loss, flow.trainable_variables), flow.trainable_variables)

    for _ in range(1500):
        step(draw(256))
    x = draw(20_000)
    # The mean difference of the log-densities is the divergence of the flow from the data.
    divergence = np.mean(true_log_density(x) - log_density(flow, x))
    assert 0 < divergence + 0.01 < 0.03
    np.testing.assert_allclose(flow.inverse(flow.forward(x[:100])), x[:100], atol=1e-5)


@pytest.mark.parametrize(
    ("bijection", "shape", "sentence"),
    [
        (Squeeze(), (5, 4, 1), "even for a squeeze; received: (5, 4, 1)"),
        (Coupling(convolutional), (4, 4, 1), "at least 2 channels; received: (4, 4, 1)"),
        (Wavelet(Flatten(), Flatten()), (4, 5, 1), "even for a squeeze; received: (4, 5, 1)"),
        (Split(Flatten()), (4, 4, 3), "even number of channels; received: (4, 4, 3)"),
    ],
)
def test_a_shape_that_does_not_fit_is_one_sentence(bijection, shape, sentence):
    with pytest.raises(ValueError) as error:
        bijection.build_for(shape)
    assert sentence in str(error.value)

"""Tests of training on two replicas, in a process that has two logical devices."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

VARIATIONAL = """
    import keras, numpy as np, tensorflow as tf
    cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from zoo.models import VAE

    images = np.random.default_rng(0).random((8, 4, 4, 1), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices(images).batch(8)
    weights, noise = [], []
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = VAE((4, 4, 1), latent_dim=2, hidden=(3,))
            model.compile(keras.optimizers.SGD(1e-2))
        # A posterior of variance near 0 makes the gradients independent of the noise.
        model.encoder.get_layer("log_var").weights[0].assign(np.zeros((3, 2)))
        model.encoder.get_layer("log_var").weights[1].assign(np.full(2, -60.0))
        model.encoder.get_layer("log_var").trainable = False
        model.fit(data, epochs=3, verbose=0)
        weights.append(model.get_weights())
        drawn = strategy.run(lambda: model._noise(images[:4], step=0))
        noise.append([tensor.numpy() for tensor in strategy.experimental_local_results(drawn)])
    for one, two in zip(*weights):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    assert len(noise[1]) == 2 and not np.allclose(*noise[1])
"""

ADVERSARIAL = """
    import keras, numpy as np, tensorflow as tf
    cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from zoo.models import DCGAN, GAN

    images = np.random.default_rng(0).random((8, 4, 4, 1), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices(images).batch(8)
    weights = []
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = GAN(
                (4, 4, 1), latent_dim=2, hidden=(), maxout=((3, 2),), dropout=(0.0, 0.0), ema=0.5
            )
            model.compile(
                keras.optimizers.SGD(1e-2, momentum=0.5), keras.optimizers.SGD(1e-1, momentum=0.5)
            )
        # A kernel of zeros makes the gradients of both networks independent of the noise.
        dense = model.generator.get_layer("dense_0")
        dense.kernel.assign(np.zeros((2, 16)))
        before = model.discriminator.get_weights()
        model.fit(data, epochs=1, verbose=0)
        weights.append([*model.discriminator.get_weights(), dense.bias.numpy()])
        assert any((one != two).any() for one, two in zip(before, weights[-1]))
        trainable = model.generator.trainable_variables
        assert len(model.generator_optimizer.variables) == 2 + len(trainable)
    for one, two in zip(*weights):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)

    with strategy.scope():
        # This model has the default optimizers and batch normalization.
        model = DCGAN((8, 8, 1), latent_dim=2, filters=(4,), ema=0.5)
    images = np.zeros((8, 8, 8, 1), "float32")
    model.fit(tf.data.Dataset.from_tensor_slices(images).batch(8), epochs=2, verbose=0)
    model.save("model.keras")
    loaded = keras.saving.load_model("model.keras")
    assert int(loaded.discriminator_optimizer.iterations) == 2
    for one, two in zip(model.generator_optimizer.variables, loaded.generator_optimizer.variables):
        np.testing.assert_array_equal(one, two)
"""

FLOW = """
    import keras, numpy as np, tensorflow as tf
    cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from zoo.models import Glow
    from zoo.models.flow.dequantization import Uniform

    class Middle(Uniform):
        def draw(self, shape, seed):
            return tf.fill(shape, 0.5)

    images = np.random.default_rng(0).random((8, 4, 4, 1), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices(images).batch(8)
    weights, noise = [], []
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    sizes = {"steps": (1,), "filters": 2, "couplings": 1, "hidden": (3,)}
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = Glow((4, 4, 1), **sizes, dequantization=Middle())
            model.compile(keras.optimizers.SGD(1e-3))
        before = model.get_weights()
        model.fit(data, epochs=3, verbose=0)
        assert bool(model.initialized.numpy())
        weights.append(model.get_weights())
        assert any((one != two).any() for one, two in zip(before, weights[-1]))
        with strategy.scope():
            usual = Glow((4, 4, 1), **sizes)
        drawn = strategy.run(lambda: usual._noise(images[:4], step=0))
        noise.append([tensor.numpy() for tensor in strategy.experimental_local_results(drawn)])
    for one, two in zip(*weights):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    assert len(noise[1]) == 2 and not np.allclose(*noise[1])
"""

SCRIPTS = {"variational": VARIATIONAL, "adversarial": ADVERSARIAL, "flow": FLOW}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_replicas_train_as_one_and_draw_noise_of_their_own(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]

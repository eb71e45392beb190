"""Tests of training on two replicas, in a process that has two logical devices."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

START = """
    import sys
    import keras, numpy as np, pytest, tensorflow as tf
    cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from zoo import data
    from zoo.models import CVAE, DCGAN, GAN, VAE, Classifier, Glow, RealNVP

    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""

# Two replicas with half of each batch must end with the weights of one. Two rows of a batch that
# are exchanged, or a gradient of twice the size, would be seen.
AS_ONE = (
    START
    + """
    rng = np.random.default_rng(0)
    images, labels = rng.random((40, 8, 8, 1), dtype="float32"), np.arange(40) % 3
    coupled = {"couplings": 0, "steps": (1,), "filters": 2}
    MODELS = {
        "vae": lambda: VAE((8, 8, 1), 2, hidden=(3,)),
        "gan": lambda: GAN((8, 8, 1), 2, hidden=(8, 8), maxout=((3, 2),), dropout=(0, 0), ema=0.5),
        "dcgan": lambda: DCGAN((8, 8, 1), 2, filters=(4, 4), discriminator_steps=2),
        "glow": lambda: Glow((8, 8, 1), **coupled),
        "cvae": lambda: CVAE(
            (8, 8, 1), 2, num_classes=3, hidden=(3,), importance_samples=3, prior="flow"
        ),
        "wasserstein": lambda: DCGAN(
            (8, 8, 1), 2, filters=(4, 4), num_classes=3, objective="wasserstein",
            discriminator_normalization=None, instance_noise=0.1, ema=0.5,
            augmentations=("color", "cutout", "flip", "translation"),
        ),
        "spectral": lambda: DCGAN(
            (8, 8, 1), 2, filters=(4,), discriminator_normalization="spectral",
            objective={"class_name": "non_saturating", "config": {"gradient_penalty": 4.0}},
        ),
        "realnvp": lambda: RealNVP(
            (8, 8, 1), scales=1, checkerboards=1, filters=2, blocks=1, dequantization="variational"
        ),
        "classifier": lambda: Classifier((8, 8, 1), 3, filters=(4, 4), dropout=0.0, mirror=True),
    }
    for name in sys.argv[1:]:
        # The gradient of a gradient penalty increases rounding errors.
        rate = 1e-4 if name == "wasserstein" else 1e-2
        weights, losses = [], []
        for strategy in (one, two):
            keras.utils.set_random_seed(0)
            with strategy.scope():
                model = MODELS[name]()
                model.compile(*(keras.optimizers.SGD(rate) for _ in model.optimizers()))
            before = model.get_weights()
            source = data.MemorySource(images, labels if model.num_classes else None)
            losses.append(model.fit(source, batch_size=8, epochs=2, verbose=0).history)
            if name == "cvae":
                before = model.prior.flow.get_weights()
                with strategy.scope():
                    optimizer = keras.optimizers.SGD(rate)
                model.fit_prior(source, epochs=1, batch_size=8, optimizer=optimizer, verbose=0)
                after = model.prior.flow.get_weights()
                assert max(np.abs(old - new).max() for old, new in zip(before, after)) > 1e-3
            weights.append(model.get_weights())
            assert any((old != new).any() for old, new in zip(before, weights[-1])), name
        for of_one, of_two in zip(*weights):
            np.testing.assert_allclose(of_two, of_one, rtol=1e-4, atol=2e-6, err_msg=name)
        for key in losses[0]:
            np.testing.assert_allclose(
                losses[1][key], losses[0][key], rtol=1e-4, atol=1e-5, err_msg=name
            )
"""
)

# Also with arrays and the default optimizers, with dropout and after loading.
IN_FIT = (
    START
    + """
    images = np.random.default_rng(0).random((8, 8, 8, 1), dtype="float32")
    with two.scope():
        model = GAN((8, 8, 1), 2, hidden=(4,), maxout=((3, 2),))
    model.save("untrained.keras")  # This creates the state of the optimizers, outside the scope.
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    drawn = two.run(lambda: model.noise([4, 2], 0))
    first, second = (part.numpy() for part in two.experimental_local_results(drawn))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(np.concatenate([first, second]), model.noise([8, 2], 0))
    dropout = next(layer for layer in model.discriminator.layers if "dropout" in layer.name)
    kept = two.run(lambda: dropout(tf.ones([4, 64]), training=True))
    first, second = (part.numpy() for part in two.experimental_local_results(kept))
    assert (first != second).any()

    model.save("model.keras")
    for strategy in (one, two):
        with strategy.scope():
            loaded = keras.saving.load_model("model.keras")
        assert loaded.steps_done == 2
        optimizers = (part.generator_optimizer.variables for part in (model, loaded))
        for mine, theirs in zip(*optimizers):
            np.testing.assert_array_equal(mine, theirs)
    loaded.fit(data.MemorySource(images), batch_size=4, epochs=3, initial_epoch=1, verbose=0)
    assert loaded.steps_done == 6
    assert set(loaded.evaluate(data.MemorySource(images), verbose=0, return_dict=True))

    with two.scope():
        vae = VAE((8, 8, 1), 2, hidden=(3,))
    for _ in range(2):
        vae.fit(data.MemorySource(images), batch_size=4, verbose=0)
        vae.fit_prior(images, epochs=1, verbose=0)
    assert vae.has("prior")

    for given, size, message in (
        (data.MemorySource(images), 7, "batch_size must be a multiple of 2"),
        (images, 7, "batch_size must be a multiple of 2"),
        (images[:7], 4, "in the last batch must be a multiple of 2, .*received: 3, because"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.fit(given, batch_size=size, verbose=0)
"""
)


# Of a last batch of one or three images the second replica gets none or one.
IN_EVALUATE = (
    START
    + """
    images = np.random.default_rng(0).random((9, 8, 8, 1), dtype="float32")
    models = []
    for strategy in (one, two):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            models.append(VAE((8, 8, 1), 2, hidden=(3,), beta=0.0))
        # The variances of the posteriors are nearly zero, so that the noise makes no difference.
        models[-1].encoder.get_layer("log_var").bias.assign(tf.fill([2], -40.0))
    for n in (9, 7):
        each = [models[0].evaluate(images[i : i + 1], verbose=0)[0] for i in range(n)]
        for model in models:
            for given in (images[:n], data.MemorySource(images[:n])):
                loss = model.evaluate(given, batch_size=4, verbose=0)[0]
                np.testing.assert_allclose(loss, np.mean(each), rtol=1e-5)
"""
)


def run_script(script, tmp_path, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]


OTHERS = ("gan", "glow", "cvae", "wasserstein", "spectral", "realnvp", "classifier")


@pytest.mark.parametrize(
    "names",
    [("vae", "dcgan"), *(pytest.param((name,), marks=pytest.mark.nightly) for name in OTHERS)],
    ids="-".join,
)
def test_two_replicas_train_as_one(names, tmp_path):
    run_script(AS_ONE, tmp_path, *names)


@pytest.mark.nightly
def test_the_mean_of_evaluate_is_that_over_all_images(tmp_path):
    run_script(IN_EVALUATE, tmp_path)


@pytest.mark.nightly
def test_replicas_draw_different_noise_in_fit_and_continue_after_loading(tmp_path):
    run_script(IN_FIT, tmp_path)

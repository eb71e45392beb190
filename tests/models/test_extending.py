"""Tests of a user's own family, objective, likelihood, prior and data, without a change to zoo."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import zoo
from tests import harness
from zoo import catalog, cli
from zoo.data import Source
from zoo.data.source import index_batches
from zoo.export import saved_model, tflite
from zoo.inference.litert import LiteRT
from zoo.inference.saved_model import SavedModel
from zoo.models import CVAE, DCGAN, VAE
from zoo.models.adversarial.objectives import Losses, Objective
from zoo.models.variational.likelihoods import Likelihood
from zoo.models.variational.model import VariationalModel
from zoo.models.variational.priors import Prior


@keras.saving.register_keras_serializable("tests")
class Linear(Objective):
    """Wasserstein objective without a penalty, bounded by tanh."""

    metrics = ("on_real",)

    def discriminator_loss(self, discriminator, real, generated, seed):
        on_real = ops.tanh(discriminator(real))
        return Losses(-on_real, ops.tanh(discriminator(generated)), {"on_real": on_real})

    def generator_loss(self, discriminator, generated):
        return -ops.tanh(discriminator(generated))


@keras.saving.register_keras_serializable("tests")
class Laplace(Likelihood):
    """Laplace distribution of scale 0.1."""

    def log_prob(self, images, output):
        return -ops.abs(images - output) / 0.1 - ops.log(0.2)

    def mean(self, output):
        return ops.clip(output, 0.0, 1.0)


@keras.saving.register_keras_serializable("tests")
class Shifted(Prior):
    """Prior N(shift(y), I) with a learned shift, and without a closed form of the divergence."""

    conditional = True

    def build_for(self, latent_dim, condition_size):
        super().build_for(latent_dim, condition_size)
        self.shift = layers.Dense(latent_dim, name="prior")
        self.shift.build((None, condition_size))
        self.built = True

    def call(self, noise, condition=None):
        return noise + self.shift(condition)

    def log_prob(self, z, condition=None):
        return -0.5 * ops.sum(ops.square(z - self.shift(condition)) + np.log(2 * np.pi), axis=-1)


@keras.saving.register_keras_serializable("tests")
class LinearVAE(VariationalModel):
    """VAE with a linear encoder and a linear decoder, as a family of its own."""

    def __init__(self, image_shape=(28, 28, 1), latent_dim=4, **training):
        images, z = keras.Input(image_shape), keras.Input((latent_dim,))
        flat = layers.Flatten()(images)
        encoder = keras.Model(
            images, [layers.Dense(latent_dim)(flat), layers.Dense(latent_dim)(flat)]
        )
        size = int(np.prod(image_shape))
        decoder = keras.Model(z, layers.Reshape(image_shape)(layers.Dense(size)(z)))
        super().__init__(
            encoder, decoder, image_shape=image_shape, latent_dim=latent_dim, **training
        )


class Bars(Source):
    """Images of one horizontal bar that are computed when they are needed; the label is its row."""

    image_shape = (28, 28, 1)
    classes = tuple(map(str, range(10)))

    def __len__(self):
        return 200

    def image(self, number):
        row = number % 10
        rows = tf.range(28, dtype=number.dtype)
        bar = tf.cast((rows >= 2 + 2 * row) & (rows < 6 + 2 * row), tf.float32)
        return tf.tile(bar[:, None, None], [1, 28, 1]), tf.cast(row, tf.int32)

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        numbers = index_batches(self, batch_size, seed, start_step, shard)
        return numbers.map(lambda rows: tf.map_fn(self.image, rows, (tf.float32, tf.int32)))

    def first(self, n=None):
        images, labels = next(iter(self.batches(len(self))))
        return images.numpy()[:n], labels.numpy()[:n]


TOYS = {
    "objective": lambda: DCGAN(latent_dim=4, filters=(8, 4), objective=Linear()),
    "likelihood": lambda: VAE(latent_dim=4, hidden=(16,), likelihood=Laplace()),
    "prior": lambda: CVAE(latent_dim=4, hidden=(16,), num_classes=10, prior=Shifted()),
    "family": lambda: LinearVAE(likelihood="continuous_bernoulli"),
}


@pytest.mark.parametrize("toy", TOYS)
def test_a_toy_goes_through_the_whole_life_of_a_model(toy, digits, tmp_path):
    model = TOYS[toy]()
    columns = harness.condition_column(model, digits[0], digits[1])
    history = model.fit(digits[0], *columns, batch_size=50, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    if toy != "objective":
        assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    images, labels = digits[0][:20], digits[1][:20]
    given = harness.conditioning(model, images, labels)
    np.testing.assert_array_equal(loaded.sample(20, **given), model.sample(20, **given))
    inputs = harness.signature_inputs(loaded, images, labels)
    expected = harness.answers(loaded, inputs)
    saved_model.write(loaded, tmp_path / "1")
    (tmp_path / "model.tflite").write_bytes(tflite.convert(tmp_path / "1", "float16"))
    lite, served = LiteRT(tmp_path / "model.tflite"), SavedModel(tmp_path / "1")
    assert ("prior" in lite.signatures) == (toy == "prior")
    for signature in {"sample", "decode", "encode", "prior", "log_prior"} & set(inputs):
        for runtime, tolerance in ((served, 1e-5), (lite, 1e-2)):
            if signature in runtime.signatures:
                for output, value in runtime(signature, inputs[signature]).items():
                    np.testing.assert_allclose(
                        value, expected[signature][output], atol=tolerance, rtol=1e-3
                    )


def test_a_toy_family_and_a_toy_source_are_members_of_the_zoo(tmp_path, monkeypatch):
    model = LinearVAE(likelihood=Laplace())
    history = model.fit(Bars(), batch_size=50, epochs=3, validation_data=Bars(), verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    zoo.publish(model, tmp_path / "toy", data=Bars())
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    card = zoo.info("toy")
    assert (card.family, catalog.problems("toy")) == ("LinearVAE", [])
    assert {metric["name"] for metric in card.metrics} == {"nll"}
    images, _ = Bars().first(20)
    again = zoo.load("toy")
    assert isinstance(again, LinearVAE)
    drawn = again.sample(20)
    for runtime, tolerance in (("saved_model", 1e-5), ("litert", 2e-3)):
        other = zoo.load("toy", runtime)
        np.testing.assert_allclose(other.sample(20), drawn, rtol=0, atol=tolerance)
        np.testing.assert_allclose(other.encode(images), again.encode(images), rtol=0, atol=1e-2)
    harness.check_full_integer(catalog.file("toy", "litert-int8"))
    for command in (
        ["sample", "toy", "-n", "4", "-o", str(tmp_path / "toy.png")],
        ["info", "toy"],
        ["verify", "toy"],
        ["export", "toy", "--format", "saved_model", "-o", str(tmp_path / "served")],
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(command)
        assert not stopped.value.code
    assert (tmp_path / "toy.png").is_file()


def test_the_divergence_without_a_closed_form_is_that_of_the_samples(digits):
    """Compares the mean over many samples with the closed form, which is known for this prior."""
    model = TOYS["prior"]()
    # A batch of 1000 copies of each image is faster than 4000 importance samples.
    images, labels = (tf.constant(part[:4].repeat(1000, axis=0)) for part in digits)
    model.importance_samples = 4
    noise = tf.random.stateless_normal([4, 4000, 4], [0, 1])
    _, _, kl = model.negative_elbo(images, labels, noise)
    mean, log_var = (part.numpy() for part in model.encode_tensor(images, labels))
    shift = model.prior.shift(np.eye(10)[labels]).numpy()
    expected = 0.5 * np.sum(np.exp(log_var) + (mean - shift) ** 2 - 1 - log_var, axis=1).mean()
    assert float(kl) == pytest.approx(expected, abs=0.1)

"""Tests of a model that is conditional on several attributes, in Python and on every runtime."""

import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import click
import keras
import numpy as np
import pytest
from PIL import Image

from tests import harness
from zoo import cli, data, evaluation, loading, publishing
from zoo.data import MemorySource
from zoo.evaluation import METRICS, Splits
from zoo.models import CVAE, VAE
from zoo.publishing import page
from zoo.serving import limits, model, pages, rest
from zoo.serving.limits import Refused

LONG = {"parity": "odd", "size": "large"}


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    return harness.MODELS["cvae_attributes"]()


@pytest.fixture
def source(digits):
    images, labels = digits
    return MemorySource(images, harness.attributes_of(labels), attributes=harness.ATTRIBUTES)


def test_the_condition_reaches_the_networks_as_one_hot_vectors_side_by_side(small):
    """The first dense layer sees z and the one-hot vectors, computed here by NumPy."""
    dense, z = small.decoder.get_layer("dense_0"), np.ones((6, 4), np.float32)
    values = [[parity, size] for parity in range(2) for size in range(3)]
    one_hot = [np.concatenate([np.eye(2)[parity], np.eye(3)[size]]) for parity, size in values]
    inputs = np.concatenate([z, one_hot], axis=1)
    network = keras.Model(small.decoder.inputs, dense.output)
    expected = inputs @ dense.kernel.numpy() + dense.bias.numpy()
    found = network([z, np.int32(values)]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_sample_has_the_attributes_asked_for_and_others_vary_with_the_seed(small):
    drawn = small.sample(6, condition={"parity": "odd"}, seed=12)
    sizes = harness.ATTRIBUTES["size"]
    asked = {"parity": "odd", "size": [sizes[seed % 3] for seed in range(12, 18)]}
    np.testing.assert_allclose(small.sample(6, condition=asked, seed=12), drawn, atol=1e-6)
    numbers = np.array([[1, seed % 3] for seed in range(12, 18)])
    np.testing.assert_allclose(small.sample(6, condition=numbers, seed=12), drawn, atol=1e-6)
    np.testing.assert_allclose(
        small.sample(1, condition={"parity": "odd"}, seed=15)[0], drawn[3], atol=1e-6
    )
    other = small.sample(6, condition={"parity": "even"}, seed=12)
    assert (np.abs(other - drawn).max(axis=(1, 2, 3)) > 1e-4).all()


def test_every_method_takes_names(small, digits):
    images = digits[0][:3]
    numbers = np.int32([[1, 2]] * 3)
    for method in ("encode", "reconstruct", "score"):
        ours = np.asarray(getattr(small, method)(images, condition=LONG))
        theirs = np.asarray(getattr(small, method)(images, condition=numbers))
        np.testing.assert_array_equal(ours, theirs)
    line = small.interpolate(images[0], images[1], steps=2, condition=LONG)
    np.testing.assert_allclose(line, small.reconstruct(images[:2], condition=LONG), atol=1e-6)
    ours = small.log_likelihood(images, samples=20, condition=LONG)
    np.testing.assert_allclose(
        ours, small.log_likelihood(images, samples=20, condition=numbers), rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"a value for each attribute .*received: none for size"):
        small.reconstruct(images, condition={"parity": "odd"})


def test_it_learns_what_an_attribute_looks_like_and_fits_a_prior(rng, tmp_path):
    """The upper half is bright or dark by one attribute, the left half by another."""
    values = np.int32(np.stack([rng.integers(0, 2, 400), rng.integers(0, 2, 400)], axis=1))
    images = np.full((400, 8, 8, 3), 0.2, np.float32)
    images[:, :4] += 0.4 * values[:, 0, None, None, None]
    images[:, :, :4] += 0.2 * values[:, 1, None, None, None]
    images += 0.05 * rng.random(images.shape, np.float32)
    attributes = {"top": ["dark", "bright"], "left": ["dark", "bright"]}
    learner = CVAE((8, 8, 3), 2, attributes=attributes, hidden=(32,), likelihood="gaussian")
    learner.compile(keras.optimizers.Adam(0.01))
    learner.fit(
        MemorySource(images, values, attributes=attributes), batch_size=40, epochs=15, verbose=0
    )
    top, left = {}, {}
    for value in ("dark", "bright"):
        top[value] = learner.sample(20, condition={"top": value, "left": "dark"})
        left[value] = learner.sample(20, condition={"top": "dark", "left": value})
    rise = top["bright"].mean(axis=0) - top["dark"].mean(axis=0)
    np.testing.assert_allclose(rise[:4], 0.4, atol=0.1)
    np.testing.assert_allclose(rise[4:], 0, atol=0.1)
    rise = left["bright"].mean(axis=0) - left["dark"].mean(axis=0)
    np.testing.assert_allclose(rise[:, :4], 0.2, atol=0.1)
    np.testing.assert_allclose(rise[:, 4:], 0, atol=0.1)
    learner.fit_prior(images, values, epochs=1, verbose=0)
    learner.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.attributes == learner.attributes
    np.testing.assert_allclose(
        loaded.sample(4, condition={"top": "bright"}),
        learner.sample(4, condition={"top": "bright"}),
        atol=1e-6,
    )


def test_training_data_without_the_attributes_are_refused(small, digits, source):
    images, labels = digits
    with pytest.raises(ValueError, match=r"element must be \(images, condition\)"):
        small.fit(images, verbose=0)
    with pytest.raises(ValueError, match=r"must have a column for each attribute .*parity, size"):
        small.fit(MemorySource(images, labels), verbose=0)
    other = MemorySource(
        images, harness.attributes_of(labels), attributes={"a": [0, 1], "b": [0, 1, 2]}
    )
    with pytest.raises(ValueError, match=r"parity \(even, odd\).*received: a \(0, 1\), b \(0, 1"):
        data.for_model(other, small)
    with pytest.raises(ValueError, match="numbers of size from 0 to 2; received: 3"):
        small.fit(images[:4], np.int32([[0, 3]] * 4), verbose=0)
    assert data.for_model(source, small) is source
    for wrong in (None, labels, np.zeros((300, 3), int), np.full((300, 2), 2), images[:, 0, :2, 0]):
        with pytest.raises(ValueError, match=r"^Conditions must be integers \(n, 2\), .*parity"):
            MemorySource(images, wrong, attributes=harness.ATTRIBUTES)
    for wrong in (np.int32([[0, 3]] * 4), np.zeros((4, 2), np.float32), np.zeros((4, 3), np.int32)):
        with pytest.raises(ValueError, match=r"^condition must "):
            small.predict([images[:4], wrong], verbose=0)
    pair = VAE(latent_dim=2, hidden=(4,), attributes=harness.ATTRIBUTES)
    again = VAE.from_config(pair.get_config())
    assert again.attributes == pair.attributes
    assert list(again.attributes) == list(harness.ATTRIBUTES)
    for given in ({"attributes": harness.ATTRIBUTES, "num_classes": 2}, {}):
        with pytest.raises(ValueError, match="Exactly one of num_classes, attributes and condit"):
            CVAE(**given)


@pytest.fixture(scope="module")
def published(small, tmp_path_factory):
    """Returns the folder of an artifact, which has no int8 file."""
    return publishing.publish(small, tmp_path_factory.mktemp("models") / "faces")


def test_an_artifact_lists_the_attributes_and_litert_takes_their_names(small, published):
    stored = loading.find(published)
    assert stored.card.condition == {"shape": [2], "at": None, "attributes": harness.ATTRIBUTES}
    assert stored.card.signatures["decode"]["inputs"]["condition"]["dtype"] == "int32"
    expected = small.sample(5, condition={"size": "large"}, seed=3)
    rounded = stored.load("keras").sample(5, condition={"size": "large"}, seed=3)
    np.testing.assert_allclose(rounded, expected, atol=5e-3)
    for runtime, tolerance in (("saved_model", 1e-5), ("litert", 2e-3)):
        drawn = stored.load(runtime).sample(5, condition={"size": "large"}, seed=3)
        np.testing.assert_allclose(drawn, rounded, rtol=0, atol=tolerance)
    page = (published / "README.md").read_text()
    assert "The attributes are parity (even, odd), size (small, medium, large)." in page
    assert 'condition={"parity": "odd", "size": "large"}' in page
    assert f"zoo sample {published} --condition parity=odd,size=large" in page


def test_commands_are_quoted_for_the_shell(published):
    stored = loading.find(published)
    attributes = {"hair": ["short", "king's long"]}
    card = replace(stored.card, condition=stored.card.condition | {"attributes": attributes})
    line = next(
        line for line in page.text(card, published / "1", "faces").splitlines() if "zoo sa" in line
    )
    assert shlex.split(line)[3:5] == ["--condition", "hair=king's long"]
    served = model.Served("faces", published, limits.Limits())
    attributes["hair"].reverse()
    mocked = SimpleNamespace(name="faces", card=card, signatures=served.signatures)
    words = shlex.split(pages._command(mocked, "http://localhost:8501/"))
    rows = [{"condition": {"hair": "king's long"}, "seed": 0}]
    assert json.loads(words[2]) == {"instances": rows}


def test_a_model_is_measured_on_other_data_with_the_labels_of_its_own(published):
    stored = loading.find(published)
    assert stored.recipe_on("others").pictures["labels"] == ["parity", "size"]
    assert "labels" not in stored.recipe_on("folder:/pictures").pictures
    recipe = stored.card.recipe | {"pictures": {"labels": "hair"}}
    stored.card = replace(stored.card, condition=None, recipe=recipe)
    assert stored.recipe_on("others").pictures["labels"] == "hair"


def call(capfd, *arguments, status=0):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, arguments)])
    assert (stopped.value.code or 0) == status
    return capfd.readouterr().err


def test_the_command_line_takes_names_of_values(small, published, tmp_path, capfd):
    path = tmp_path / "faces.png"
    command = ["sample", published, "-n", 4, "-o", path, "--condition"]
    call(capfd, *command, " size = large,parity=odd")
    sheet = np.asarray(Image.open(path), float) / 255
    expected = small.sample(4, condition=LONG, seed=0)
    assert np.abs(sheet[2:30, 2:30] - expected[0, ..., 0]).max() < 0.02
    for wrong, sentence in (
        ("size=lrge", "'lrge'; the nearest is 'large'"),
        ("sizes=large", "'sizes'; the nearest is 'size'"),
        ("large", "--condition must be ATTRIBUTE=VALUE, with commas between several, of the"),
        ("size=", "received: 'size='"),
        ("size=large,size=small", "each at most once; received: 'size=large,size=small'"),
        ("size=7", "size must be one of its values; received: '7'; there are large, medium, sm"),
    ):
        error = call(capfd, *command, wrong, status=2)
        assert sentence in error
        assert len(error.splitlines()) == 1
    assert cli.condition_of(None, "faces", None) is None
    with pytest.raises(click.UsageError, match=r"not be given for vae, .*received: 'size=large'"):
        cli.condition_of("size=large", "vae", None)


def test_a_tensor_that_is_no_picture_is_a_condition_in_python_alone(tmp_path, capfd):
    path = tmp_path / "mine.keras"
    CVAE((8, 8, 1), 2, hidden=(4,), condition_shape=(3,)).save(path)
    for given in ([], ["--condition", "picture.png"]):
        error = call(capfd, "sample", path, *given, status=2)
        assert "condition is a tensor of shape (3,). Use model.sample(n, condition=" in error


def test_the_attributes_are_printed(published, capfd):
    with pytest.raises(SystemExit):
        cli.main(["info", str(published)])
    out = capfd.readouterr().out
    assert "attributes: parity (even, odd), size (small, medium, large)\n" in out


def test_the_server_takes_names_of_values_in_each_row(published):
    served = model.Served("faces", published, limits.Limits())
    names = (
        b'{"instances": [{"seed": 5, "condition": {"size": "large"}}, '
        b'{"seed": 8, "condition": {"parity": "odd", "size": "small"}}]}'
    )
    inputs = rest.read(served, bytearray(names)).inputs
    np.testing.assert_array_equal(inputs["condition"], [[1, 2], [1, 0]])
    assert inputs["condition"].dtype == np.int32
    one = b'{"inputs": {"z": [[0, 0, 0, 0]], "condition": [%s]}, "signature_name": "decode"}'
    inputs = rest.read(served, bytearray(one % b'{"size": "large", "parity": "odd"}')).inputs
    np.testing.assert_array_equal(inputs["condition"], [[1, 2]])
    with pytest.raises(Refused, match=r"a value for each attribute .*received: none for parity"):
        rest.read(served, bytearray(one % b'{"size": "large"}'))
    columns = b'{"inputs": {"seed": [5, 6], "condition": [[0, 1], [1, 2]]}}'
    inputs = rest.read(served, bytearray(columns)).inputs
    np.testing.assert_array_equal(inputs["condition"], [[0, 1], [1, 2]])
    for condition, sentence in (
        (b'{"sice": "large"}', "'sice'; the nearest is 'size'"),
        (b'{"size": "lage"}', "'lage'; the nearest is 'large'"),
        (b"[0, 3]", "numbers of size from 0 to 2; received: 3"),
        (b'{"size": [["large"]]}', "must have one value of size"),
        (b'"large"', "condition must be whole numbers"),
    ):
        body = b'{"instances": [{"seed": 0, "condition": %s}]}' % condition
        with pytest.raises(Refused, match=sentence):
            rest.read(served, bytearray(body))


class Reading:
    """Classifier that reads the attributes from two pixels, which ``Writing`` writes."""

    attributes = harness.ATTRIBUTES

    def classify(self, images):
        parity, size = np.round(images[:, 0, :2, 0] * 10).astype(int).T
        return np.float32(np.concatenate([np.eye(2)[parity], np.eye(3)[size]], 1)), images[
            :, 0, :4, 0
        ]


class Writing:
    """Model that writes the attributes into two pixels, the size wrong in each fifth image."""

    num_classes, condition_at, image_shape = None, None, (28, 28, 1)
    attributes, condition_shape = harness.ATTRIBUTES, (2,)

    def sample(self, n, *, seed, condition):
        images, rows = np.zeros((n, 28, 28, 1), np.float32), seed + np.arange(n)
        images[:, 0, :2, 0] = condition / 10
        images[rows % 5 == 0, 0, 1] = ((condition[rows % 5 == 0, 1:] + 1) % 3) / 10
        return images

    def reconstruct(self, images, *, condition):
        return self.sample(len(images), seed=1, condition=condition)


def test_the_accuracy_of_each_attribute_is_that_of_samples_and_of_reconstructions(source):
    splits = Splits(lambda _: source, {"test": "test"}, features=Reading, features_name="a test")
    for kind, n in (("attribute", 200), ("reconstruction", 300)):
        for name, value in (("parity", 100), ("size", 80)):
            metric = METRICS[f"{kind}_accuracy_{name}"]
            metric.validate(Writing(), splits)
            found = metric.measure(Writing(), splits, images=n)
            assert (found["value"], found["n"]) == (pytest.approx(value), n)
    with pytest.raises(
        ValueError, match="has the attribute 'age'; received: one with parity, size"
    ):
        METRICS["attribute_accuracy_age"].validate(Writing(), splits)

    class Reversed(Writing):
        attributes = harness.ATTRIBUTES | {"size": ["large", "medium", "small"]}

    with pytest.raises(ValueError, match="small, medium, large; received: one with large, medium"):
        METRICS["attribute_accuracy_size"].validate(Reversed(), splits)


def test_the_accuracy_of_a_label_is_that_of_its_attribute(digits):
    """A model that is conditional on one attribute as its label."""
    values = harness.attributes_of(digits[1])
    labelled = MemorySource(digits[0], values[:, 1], classes=harness.ATTRIBUTES["size"])
    splits = Splits(lambda _: labelled, {"test": "test"}, features=Reading, features_name="a test")

    class Labelled(Writing):
        num_classes, attributes, condition_shape = 3, None, None

        def sample(self, n, labels, *, seed):
            condition = np.stack([np.zeros_like(labels), labels], axis=1)
            return super().sample(n, seed=seed, condition=condition)

    found = evaluation.measure("attribute_accuracy_size", Labelled(), splits, {"images": 200})
    assert found["value"] == pytest.approx(80)
    with pytest.raises(ValueError, match=r"parity are those of .* even, odd; received: one with s"):
        evaluation.measure("attribute_accuracy_parity", Labelled(), splits, {})
    with pytest.raises(ValueError, match=r"LabelAccuracy must be measured with a classifier of la"):
        evaluation.measure("label_accuracy", Labelled(), splits, {})

"""Tests of publishing: a user's own model, a run and a shipped model become artifacts."""

import io
import json
import os
import re
import shutil
import zlib
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tensorflow_serving.apis import prediction_log_pb2

import zoo
from tests import harness
from tests.conftest import FIXTURE
from tests.training.test_training import SMALL
from zoo import artifact, catalog, cli, recipes, training
from zoo.evaluation import Splits
from zoo.publishing import card_of, models_config, publish_with_card
from zoo.publishing.weights import compressed_hdf5, round_weights
from zoo.utils.numbers import with_stderr

SHIPPED = "vae_dense_mnist"


def called(*arguments, status=0):
    """Calls the command line, which exits with a status."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    assert (stopped.value.code or 0) == status


@pytest.fixture(scope="module")
def fitted(digits):
    """Returns a model that plain ``fit`` has trained."""
    keras.utils.set_random_seed(0)
    model = zoo.models.CVAE(latent_dim=3, hidden=(8,), num_classes=10, prior="conditional_normal")
    model.fit(*digits, batch_size=100, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def published(fitted, digits, tmp_path_factory):
    """Returns the artifact of the model, published with held-out images."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    before = [weights.copy() for weights in fitted.get_weights()]
    assert zoo.publish(fitted, folder, data=(digits[0][:60], digits[1][:60])) == folder
    for one, two in zip(before, fitted.get_weights()):
        np.testing.assert_array_equal(one, two)
    return folder


@pytest.fixture
def named(published, monkeypatch):
    """Makes the artifact loadable by its name."""
    monkeypatch.setenv("ZOO_PATH", f"{published.parent}{os.pathsep}{published.parent / 'none'}")
    return published


def test_a_published_model_is_a_member_of_the_zoo(named, fitted):
    assert "mine" in zoo.list_models()
    assert "vae_mnist" in zoo.list_models()
    assert catalog.problems("mine") == []
    card = zoo.info("mine")
    assert (card.name, card.family, card.num_classes) == ("mine", "CVAE", 10)
    assert {f"1/{file}" for file in (*artifact.FILES.values(), artifact.WARMUP)} <= set(card.files)
    assert {artifact.PAGE, artifact.SHEET} <= set(card.files)
    expected = zoo.load("mine").sample(8, seed=3)
    np.testing.assert_allclose(expected, fitted.sample(8, seed=3), rtol=0, atol=2e-3)
    for runtime, tolerance in (("saved_model", 1e-5), ("litert", 2e-3)):
        drawn = zoo.load("mine", runtime).sample(8, seed=3)
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=tolerance)
    assert np.abs(zoo.load("mine", "litert-int8").sample(8, seed=3) - expected).mean() < 0.02


def test_its_keras_file_is_compressed(published, fitted, tmp_path):
    fitted.save(tmp_path / "model.keras")
    sizes = [
        path.stat().st_size
        for path in (published / "1" / artifact.FILES["keras"], tmp_path / "model.keras")
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_compressed_hdf5_file_has_the_same_contents(tmp_path, rng):
    weights = np.float32(np.float16(rng.normal(size=(300, 200))))
    others = np.float32([1e-9, 0.1, 1e9])
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file.attrs["version"] = 3
        file.create_dataset("layers/dense/vars/0", data=weights)
        file.create_dataset("layers/dense/vars/1", data=np.int64(7))
        file.create_dataset("layers/dense/vars/2", data=others)
        file["layers/dense/vars/0"].attrs["name"] = "kernel"
        file.create_group("layers/empty")
    content = (tmp_path / "plain.h5").read_bytes()
    smaller = compressed_hdf5(content)
    assert len(smaller) < len(zlib.compress(content))
    with h5py.File(io.BytesIO(smaller)) as file:
        assert dict(file.attrs) == {"version": 3}
        np.testing.assert_array_equal(file["layers/dense/vars/0"], weights)
        assert file["layers/dense/vars/0"].dtype == np.float16
        assert file["layers/dense/vars/1"][()] == 7
        np.testing.assert_array_equal(file["layers/dense/vars/2"], others)
        assert dict(file["layers/dense/vars/0"].attrs) == {"name": "kernel"}
        assert list(file["layers/empty"]) == []


def test_its_card_has_metrics_on_the_images_and_null_for_what_is_not_known(named, digits):
    card = zoo.info("mine")
    assert [metric["name"] for metric in card.metrics] == [
        "nll",
        "nll_decoded",
        "nll_decoded@litert-int8",
    ]
    for metric in card.metrics:
        assert (metric["n"], metric["split"]) == (60, "held-out images")
        assert (metric["anchor"], metric["command"]) == (None, None)
    model, (images, labels) = zoo.load("mine"), (column[:60] for column in digits)
    nats = -model.log_likelihood(images, labels, samples=500)
    assert card.metrics[0]["value"] == pytest.approx(nats.mean(), rel=1e-5)
    known = [key for key, value in card.recipe.items() if value is not None]
    assert known == ["family", "model"]
    assert (card.dataset, card.paper) == (None, None)
    assert set(card.versions) == {"python", "tensorflow", "keras", "tensorflow-datasets", "numpy"}
    page = (named / artifact.PAGE).read_text()
    header, _, body = page.removeprefix("---\n").partition("---\n")
    described = yaml.safe_load(header)
    assert "license" not in described  # It is the user's choice.
    assert described["library_name"] == "keras"
    assert described["pipeline_tag"] == "unconditional-image-generation"
    assert described["metrics"] == ["nll", "nll_decoded"]
    assert "variational" in described["tags"]
    assert "# mine" in body
    float_value, int8_value = (
        with_stderr(metric["value"], metric["stderr"]) for metric in card.metrics[1:]
    )
    assert f"| nll_decoded | {float_value} | {int8_value} |" in body
    for snippet in re.findall(r"```python\n(.*?)```", body, re.DOTALL):
        compile(snippet, "page", "exec")
    assert "None" not in page


@pytest.mark.nightly
def test_the_card_alone_is_updated_with_the_metrics_that_it_lacks(tmp_path, monkeypatch, capfd):
    training.train(SMALL, tmp_path / "run", data_dir=FIXTURE, verbose=0)
    folder = tmp_path / "mine"
    called("publish", tmp_path / "run", "-o", folder, "--data-dir", FIXTURE)
    before = json.loads((folder / artifact.CARD).read_text())
    fewer = before["metrics"][1:2]
    first = fewer[0]
    quick = first.pop("quick")
    first["value"] += 1  # Values on the card are kept.
    (folder / artifact.CARD).write_text(json.dumps(before | {"metrics": fewer}))
    called("publish", folder, "--card-only", "--data-dir", FIXTURE)
    after = json.loads((folder / artifact.CARD).read_text())
    assert [metric["name"] for metric in after["metrics"]] == [
        metric["name"] for metric in before["metrics"]
    ]
    assert after["metrics"][1] == first | {"quick": quick}
    assert artifact.versions(after["files"]) == [1]
    assert zoo.loading.find(folder).problems() == []
    called("publish", tmp_path / "run", "--card-only", "--data-dir", FIXTURE, status=2)
    assert "--card-only needs an artifact with a recipe" in capfd.readouterr().err


def test_warm_up_requests_are_answered_by_the_saved_model(named):
    """Replays the requests as TF Serving does when it loads the version."""
    served = tf.saved_model.load(str(named / "1")).signatures
    records = tf.data.TFRecordDataset(str(named / "1" / artifact.WARMUP))
    seen = []
    for record in records.as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "mine"
        signature = request.model_spec.signature_name
        seen.append(signature)
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        outputs = served[signature](**{key: tf.constant(rows) for key, rows in inputs.items()})
        assert {len(value) for value in outputs.values()} == {1}
    assert seen == list(zoo.info("mine").signatures)
    assert set(seen) | {"serving_default"} == set(served)


def test_without_images_there_is_no_int8_file_and_no_metric_and_the_page_says_so(fitted, tmp_path):
    folder = zoo.publish(fitted, tmp_path / "mine")
    card = zoo.info(folder)
    assert card.metrics == []
    assert f"1/{artifact.FILES['litert-int8']}" not in card.files
    page = (folder / artifact.PAGE).read_text()
    assert "There is no int8 file" in page
    assert "has no metrics" in page
    with pytest.raises(ValueError, match="runtime must be one of keras, litert, saved_model"):
        zoo.load(folder, "litert-int8")


def test_publishing_again_writes_the_next_version(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "mine")
    other = zoo.models.VAE(latent_dim=2, hidden=(4,))
    zoo.publish(other, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "1",
        "2",
        artifact.PAGE,
        artifact.CARD,
        artifact.SHEET,
    ]
    assert artifact.versions(zoo.info(folder).files) == [1, 2]
    assert catalog.problems_in(folder) == []
    assert zoo.info(folder).family == "VAE"
    for runtime in ("keras", "litert", "saved_model"):
        assert zoo.load(folder, runtime).latent_dim == 2


@pytest.mark.parametrize("exists", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_a_publication_that_fails_leaves_the_folder_as_it_was(
    published, fitted, tmp_path, monkeypatch, exists
):
    folder = tmp_path / "mine"
    if exists:
        shutil.copytree(published, folder)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    for part in ("warmup.write_requests", "page.text"):
        with monkeypatch.context() as patched:
            patched.setattr(f"zoo.publishing.write.{part}", fail)
            with pytest.raises(OSError, match=r"mine cannot be written: No space left on device"):
                zoo.publish(fitted, folder)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    assert folder.exists() == exists


def test_a_missing_classifier_is_noticed_at_once(fitted, tmp_path, monkeypatch):
    write = "zoo.publishing.write.saved_model.write"
    monkeypatch.setattr(write, lambda *_: pytest.fail("A SavedModel was written."))
    images = Splits.of_recipe(replace(SMALL, dataset="mnist"), FIXTURE)
    monkeypatch.setattr(images, "classifier", None)
    card = card_of(fitted, "mine")
    with pytest.raises(ValueError, match="zoo evaluate --features"):
        publish_with_card(fitted, card, tmp_path / "mine", images, {"frechet": {}})
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_published_by_one_command_and_measured_by_its_recipe(tmp_path, monkeypatch, capfd):
    run = tmp_path / "runs" / "cvae_small"
    recipe = replace(
        SMALL, metrics={"nll": {"samples": 3}, "nll_decoded": {"samples": 3, "images": 20}}
    )
    training.train(recipe, run, data_dir=FIXTURE, verbose=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_PATH", "models")
    capfd.readouterr()
    called("publish", "runs/cvae_small", "--data-dir", FIXTURE)
    written = capfd.readouterr()
    assert written.out == "Published: models/cvae_small.\n"
    reports = written.err.splitlines()
    assert reports[-1] == "nll_decoded@litert-int8: 20 of 20"
    assert all(line.startswith("nll") for line in reports)
    card = zoo.info("cvae_small")
    assert card.recipe["wall_clock_seconds"] is not None
    assert (card.dataset, card.recipe["epochs"]) == ("mnist", 3)
    assert [metric["name"] for metric in card.metrics] == [
        "nll",
        "nll_decoded",
        "nll_decoded@litert-int8",
    ]
    assert card.metrics[0]["command"] == "zoo evaluate cvae_small --metric nll"
    assert (card.metrics[1]["n"], card.metrics[1]["split"]) == (20, "test[:20]")
    called("publish", "runs/cvae_small", "-o", "elsewhere/other", "--data-dir", FIXTURE)
    other = zoo.info("elsewhere/other")
    assert other.name == "other"
    assert other.metrics[0]["command"] == "zoo evaluate elsewhere/other --metric nll"
    assert other.metrics[0]["value"] == card.metrics[0]["value"]
    model = zoo.load("cvae_small")
    np.testing.assert_allclose(model.sample(3), zoo.load(run).sample(3), rtol=0, atol=2e-3)
    for name in ("cvae_small", "elsewhere/other"):
        called("verify", name)
        called("sample", name, "-n", 2, "-o", tmp_path / "two.png")


def test_without_a_path_the_folder_must_be_given(fitted, tmp_path, monkeypatch, capsys):
    fitted.save(tmp_path / "mine.keras")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZOO_PATH", raising=False)
    called("publish", "mine.keras", status=2)
    assert capsys.readouterr().err == (
        "zoo: -o must name the folder of the artifact where ZOO_PATH is not set; "
        "received: nothing.\n"
    )
    called("publish", "mine.keras", "-o", "models/clothes")
    assert zoo.info("models/clothes").family == "CVAE"


def test_a_folder_of_the_path_comes_before_the_packages_own(published, tmp_path, monkeypatch):
    shutil.copytree(published, tmp_path / "vae_mnist")
    assert zoo.info("vae_mnist").family == "VAE"
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    assert zoo.info("vae_mnist").family == "CVAE"
    assert zoo.list_models().count("vae_mnist") == 1
    assert any("must be of vae_mnist" in problem for problem in catalog.all_problems())


@pytest.mark.nightly
def test_a_shipped_model_is_published_anew_with_its_weights_and_metrics(tmp_path, monkeypatch):
    """Maintainers use the same command; only what the card lacks and int8 are measured."""
    shutil.copytree(catalog.directory(SHIPPED), tmp_path / SHIPPED)
    (tmp_path / "models.config").write_text("")
    monkeypatch.setattr(catalog, "package_root", lambda: tmp_path)
    few = {"nll": {"samples": 500}, "nll_decoded": {}}
    monkeypatch.setattr(
        recipes, "with_current_metrics", lambda _, recipe: replace(recipe, metrics=few)
    )
    before = zoo.info(SHIPPED)
    values = [metric | {"value": 1.0} for metric in before.metrics if metric["name"] == "nll"]
    (tmp_path / SHIPPED / artifact.CARD).write_text(replace(before, metrics=values).to_json())
    images = zoo.load(SHIPPED).sample(4)
    called("publish", SHIPPED, "-o", tmp_path / SHIPPED, "--data-dir", FIXTURE)
    assert catalog.all_problems() == []
    after = zoo.info(SHIPPED)
    assert artifact.versions(after.files) == [1, 2]
    np.testing.assert_array_equal(zoo.load(SHIPPED).sample(4), images)
    assert [metric["name"] for metric in after.metrics] == [
        "nll",
        "nll_decoded",
        "nll_decoded@litert-int8",
    ]
    assert after.metrics[0]["value"] == 1  # A value of the card is not measured again.
    # Posterior samples and protocol are the same, so that the difference is the cost of int8.
    assert 0 < after.metrics[2]["value"] - after.metrics[1]["value"] < 6
    harness.check_full_integer(catalog.file(SHIPPED, "litert-int8"))
    assert after.recipe == before.recipe | {"metrics": few}


def test_rounded_weights_are_numbers_of_float16_as_tf_lite_stores_them():
    model = zoo.models.DCGAN(latent_dim=4, filters=(8, 4))
    for variable in model.weights:
        variable.assign(variable + 0.1 * np.random.default_rng(0).random(variable.shape))
    round_weights(model)
    normalizations = [
        layer
        for layer in model.generator.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert normalizations
    for layer in normalizations:
        gamma, beta, mean, variance = (np.float64(weights) for weights in layer.get_weights())
        factor = gamma / np.sqrt(variance + layer.epsilon)
        for value in (factor, beta - mean * factor):
            np.testing.assert_allclose(value, np.float64(np.float16(value)), rtol=0, atol=1e-6)
    (kernel, *_) = model.generator.get_weights()
    np.testing.assert_array_equal(kernel, np.float32(np.float16(kernel)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda model, path: (keras.Sequential(), path), "model must be a model of zoo.models"),
        (
            lambda model, path: (model, path, np.zeros((3, 2, 2, 1))),
            r"image_shape of the data must be \(28, 28, 1\)",
        ),
        (
            lambda model, path: (model, path, np.zeros((3, 28, 28, 1))),
            "labels from 0 to 9 for this conditional model; received: images without labels",
        ),
        (lambda model, path: (model, path, "mnist"), "Data must be images"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_write_nothing(fitted, tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        zoo.publish(*arguments(fitted, tmp_path / "mine"))
    assert not any(tmp_path.iterdir())


def test_a_model_with_a_tensor_as_condition_is_published_without_data(tmp_path):
    model = zoo.models.CVAE(latent_dim=2, hidden=(4,), condition_shape=(3,))
    folder = zoo.publish(model, tmp_path / "mine")
    assert zoo.info(folder).condition == {"shape": [3], "at": None}


def test_a_folder_with_other_files_is_left_alone(fitted, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OSError, match="must be a new or empty folder, or that of an artifact"):
        zoo.publish(fitted, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_damaged_card_is_noticed_before_anything_is_computed(published, fitted, tmp_path):
    shutil.copytree(published, tmp_path / "mine")
    (tmp_path / "mine" / artifact.CARD).write_text("{")
    with pytest.raises(catalog.DamagedFileError, match="is not a model's card"):
        zoo.publish(fitted, tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "1",
        artifact.PAGE,
        artifact.CARD,
        artifact.SHEET,
    ]


def test_an_artifact_without_a_recipe_keeps_its_metrics(published, tmp_path, capsys):
    called("publish", published, "-o", tmp_path / "again")
    assert "It has no int8 file" in capsys.readouterr().out
    ours, theirs = zoo.info(tmp_path / "again"), zoo.info(published)
    assert ours.metrics == [metric for metric in theirs.metrics if "@" not in metric["name"]]
    assert ours.signatures == theirs.signatures
    np.testing.assert_array_equal(
        zoo.load(tmp_path / "again").sample(3), zoo.load(published).sample(3)
    )


def test_a_batch_normalization_without_scale_or_offset_is_rounded(tmp_path):
    z, images = keras.Input((4,)), keras.Input((28, 28, 1))
    x = keras.layers.BatchNormalization(scale=False)(keras.layers.Dense(784)(z))
    x = keras.layers.BatchNormalization(center=False)(x)
    generator = keras.Model(z, keras.layers.Reshape((28, 28, 1))(keras.ops.sigmoid(x)))
    x = keras.layers.Dense(1)(keras.layers.Flatten()(images))
    discriminator = keras.Model(images, keras.layers.Flatten()(x)[:, 0])
    model = zoo.models.GAN(latent_dim=4, generator=generator, discriminator=discriminator)
    expected = model.sample(3)
    folder = zoo.publish(model, tmp_path / "mine")
    np.testing.assert_allclose(zoo.load(folder).sample(3), expected, rtol=0, atol=2e-3)
    np.testing.assert_allclose(
        zoo.load(folder, "litert").sample(3), zoo.load(folder).sample(3), rtol=0, atol=2e-3
    )


def test_models_config_is_written_only_where_there_is_one(fitted, tmp_path):
    models_config.update(tmp_path)
    assert not any(tmp_path.iterdir())
    (tmp_path / "models.config").write_text("")
    zoo.publish(fitted, tmp_path / "a")
    assert (tmp_path / "models.config").read_text() == models_config.text(["a"])


def test_a_card_has_the_same_fields_whatever_is_known(named):
    ours, shipped = (json.loads(zoo.info(name).to_json()) for name in ("mine", "vae_mnist"))
    assert list(ours) == list(shipped)
    assert set(ours["recipe"]) == set(shipped["recipe"])

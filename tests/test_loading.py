"""Tests of loading models by catalog name, run, artifact, or Keras file."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest

import zoo
from tests import harness
from tests.conftest import FIXTURE
from tests.training.test_training import SMALL
from zoo import artifact, catalog, loading, training
from zoo.models.variational.likelihoods import Bernoulli
from zoo.recipes import Recipe

MODEL = harness.MODELS["cvae_patch"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with a run, an unfinished run, a Keras file, and an artifact."""
    folder = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    training.train(SMALL, folder / "run", data_dir=FIXTURE, verbose=0)
    shutil.copytree(folder / "run", folder / "stopped")
    training.Run(folder / "stopped").model.unlink()
    MODEL().save(folder / "file.keras")
    shutil.copytree(catalog.directory("cvae_mnist"), folder / "artifact")
    return folder


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def draw(model):
    return model.sample(
        3, condition=np.zeros(model.condition_shape) if model.condition_shape else None
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("run", "run/model.keras"),
        ("run/", "run/model.keras"),
        ("stopped/checkpoint.keras", "run/checkpoint.keras"),
        ("file.keras", "file.keras"),
        ("artifact", "artifact/1/assets.extra/model.keras"),
    ],
)
def test_each_form_loads_as_the_model_that_keras_finds_in_its_file(name, path):
    np.testing.assert_array_equal(draw(zoo.load(name)), draw(keras.saving.load_model(path)))


def test_a_path_object_names_a_model_too(folder):
    assert isinstance(zoo.load(folder / "file.keras"), zoo.models.CVAE)


def test_the_folder_of_an_artifact_loads_on_every_runtime():
    for runtime in artifact.RUNTIMES:
        ours, theirs = (zoo.load(name, runtime).sample(2) for name in ("artifact", "cvae_mnist"))
        np.testing.assert_array_equal(ours, theirs)


def test_a_catalog_name_wins_over_a_folder_and_a_dot_names_the_folder(
    folder, tmp_path, monkeypatch
):
    shutil.copytree(folder / "run", tmp_path / "vae_mnist")
    monkeypatch.chdir(tmp_path)
    assert (zoo.info("vae_mnist").family, zoo.info("./vae_mnist").family) == ("VAE", "CVAE")
    assert zoo.info("./vae_mnist").name == "vae_mnist"


def test_the_card_of_a_run_has_its_recipe_and_no_metrics():
    card, lines = zoo.info("run"), training.Run("run").history()
    assert Recipe.from_json(card.recipe) == SMALL
    assert card.recipe["wall_clock_seconds"] == round(sum(line["seconds"] for line in lines))
    assert (card.name, card.family, card.dataset, card.latent_dim, card.num_classes) == (
        "run",
        "CVAE",
        "mnist",
        3,
        10,
    )
    assert card.parameters["total"] == zoo.load("run").count_params()
    assert (card.versions, card.metrics, card.files) == (None, [], {})


def test_the_card_of_a_keras_file_is_null_where_nothing_is_known():
    card, known = (
        zoo.info("file.keras"),
        ("name", "family", "parameters", "latent_dim", "image_shape", "tags", "condition"),
    )
    assert (card.name, card.family) == ("file", "CVAE")
    assert card.condition == {"shape": [14, 14, 1], "at": [14, 0]}
    assert card.recipe["model"]["condition_at"] == [14, 0]
    model, whole = zoo.models.CVAE(**card.recipe["model"]), zoo.load("file.keras")
    assert {**model.get_config(), "name": ""} == {**whole.get_config(), "name": ""}
    assert [key for key, value in asdict(card).items() if value] == [*known, "signatures", "recipe"]
    assert [key for key, value in card.recipe.items() if value is not None] == ["family", "model"]
    written, shipped = (json.loads(one.to_json()) for one in (card, zoo.info("cvae_mnist")))
    assert list(written) == list(shipped)
    assert set(written["recipe"]) == set(shipped["recipe"])


@pytest.mark.parametrize("name", ["run", "file.keras"])
def test_a_run_or_a_keras_file_becomes_an_artifact_that_answers_alike(name, tmp_path):
    written = loading.find(name).artifact(tmp_path / "written")
    assert written == tmp_path / "written"
    assert loading.find(written).problems() == []
    np.testing.assert_allclose(
        draw(zoo.load(written, "saved_model")), draw(zoo.load(name)), atol=1e-5
    )
    ours, theirs = (asdict(zoo.info(one)) | {"files": {}, "name": ""} for one in (written, name))
    assert ours == theirs


def test_an_artifact_is_served_from_its_own_folder(folder, tmp_path):
    shipped, copied = (
        loading.find(name).artifact(tmp_path / "none") for name in ("cvae_mnist", "artifact")
    )
    assert shipped == catalog.directory("cvae_mnist")
    assert copied.resolve() == folder / "artifact"
    assert not any(tmp_path.iterdir())


def test_another_process_finds_a_model_by_its_location(monkeypatch, tmp_path):
    found = [loading.find(name) for name in ("cvae_mnist", "run", "file.keras", "artifact")]
    expected = {stored.location: stored.digest() for stored in found}
    monkeypatch.chdir(tmp_path)
    assert {name: loading.find(name).digest() for name in expected} == expected
    assert len(expected) == 4


def test_a_digest_is_that_of_the_trained_model(folder, tmp_path):
    for name, file in (("run", "run/model.keras"), ("file.keras", "file.keras")):
        expected = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        assert loading.find(name).digest() == expected
    shipped, copied, other = (
        loading.find(name).digest() for name in ("cvae_mnist", "artifact", "vae_mnist")
    )
    assert shipped == copied != other
    shutil.copytree(folder / "artifact", tmp_path / "measured")
    path = tmp_path / "measured" / artifact.CARD
    card = replace(catalog.Card.read(path), metrics=[])
    path.write_text(card.to_json())
    assert loading.find(tmp_path / "measured").digest() == shipped


def test_what_is_served_has_names_of_its_own(folder, tmp_path):
    served = loading.artifacts(["artifact", "vae_mnist", "file.keras"], tmp_path)
    assert {name: path.resolve() for name, path in served.items()} == {
        "artifact": folder / "artifact",
        "vae_mnist": catalog.directory("vae_mnist"),
        "file": tmp_path / "file",
    }
    with pytest.raises(
        ValueError, match=r"file\.keras and \./file\.keras would both be served as 'file'"
    ):
        loading.artifacts(["file.keras", "./file.keras"], tmp_path / "twice")


class Unknown(keras.layers.Layer):
    pass


@pytest.fixture
def wrong(tmp_path):
    """Returns a folder of files and folders that are not models of the zoo."""
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(
        tmp_path / "foreign.keras"
    )
    keras.Sequential([Unknown()]).save(tmp_path / "unknown.keras")
    MODEL().save(tmp_path / "cut.keras")
    (tmp_path / "cut.keras").write_bytes((tmp_path / "cut.keras").read_bytes()[:5000])
    shutil.copy("file.keras", tmp_path / "damaged.keras")
    damage(tmp_path / "damaged.keras")
    (tmp_path / "text.keras").write_text("no zip file")
    (tmp_path / "model.h5").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.json").write_text("{}")
    return tmp_path


def damage(path):
    """Overwrites bytes of the weights, which are stored without compression."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = b"\xff" * 3000
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("path", "kind", "sentence"),
    [
        (
            "foreign.keras",
            ValueError,
            r"foreign\.keras must hold one of the zoo's models, CVAE, DCGAN, GAN, [\w, ]+; "
            "received: a file with Sequential",
        ),
        (
            "unknown.keras",
            ValueError,
            r"unknown\.keras must hold .* received: a file with Sequential",
        ),
        ("cut.keras", catalog.DamagedFileError, r"cut\.keras cannot be loaded by Keras"),
        (
            "damaged.keras",
            catalog.DamagedFileError,
            r"damaged\.keras cannot be loaded by Keras",
        ),
        ("text.keras", catalog.DamagedFileError, r"text\.keras cannot be loaded by Keras"),
        ("model.h5", ValueError, r"model\.h5 must be .* a \.keras file; received: another file"),
        (
            "empty",
            ValueError,
            r"empty must be .*; received: a folder with neither card\.json nor recipe\.json",
        ),
        ("broken", catalog.DamagedFileError, r"card\.json is not a model's card"),
        ("txet.keras", ValueError, r"no model '.*/txet\.keras'; the nearest is '.*/text\.keras'"),
        ("no/such/model", ValueError, r"There is no model '.*no/such/model'"),
    ],
)
def test_a_path_that_names_no_model_is_refused_in_one_sentence(wrong, path, kind, sentence):
    for look in (zoo.load, zoo.info):
        with pytest.raises(kind, match=sentence) as error:
            look(wrong / path)
        assert "\n" not in str(error.value)


def test_a_run_that_is_not_finished_names_the_two_ways_on():
    with pytest.raises(
        FileNotFoundError,
        match=r"stopped is not finished: .*`zoo train \w+ --run-dir .*stopped --resume`, or load "
        r".*stopped/checkpoint\.keras",
    ):
        zoo.load("stopped")


def test_what_a_form_lacks_is_said():
    with pytest.raises(
        ValueError,
        match=r"runtime must be one of keras, for which run has files; received: 'litert'",
    ):
        zoo.load("run", "litert")
    with pytest.raises(
        ValueError,
        match=r"file\.keras has no recipe.* name the data by `zoo evaluate --data",
    ):
        loading.find("file.keras").recipe  # noqa: B018
    for name, kind in (("run", "a run"), ("file.keras", "a Keras file")):
        with pytest.raises(
            ValueError, match=f"verify takes artifacts, .*; received: {name}, {kind}"
        ):
            loading.find(name).problems()


def test_the_runtime_that_needs_no_tensorflow_is_preferred():
    names = ("cvae_mnist", "artifact", "run", "file.keras")
    assert [loading.find(name).preferred for name in names] == [
        "litert",
        "litert",
        "keras",
        "keras",
    ]


def test_a_class_of_the_user_that_is_not_imported_is_named(tmp_path, monkeypatch):
    """Removes the classes from Keras's registry, as in a process that has not imported them."""

    @keras.saving.register_keras_serializable("mine")
    class Pixels(Bernoulli):
        """Likelihood of the user."""

    @keras.saving.register_keras_serializable("mine")
    class Family(zoo.models.VAE):
        """Family of the user."""

    zoo.models.VAE(latent_dim=2, hidden=(4,), likelihood=Pixels()).save(tmp_path / "a.keras")
    Family(latent_dim=2, hidden=(4,)).save(tmp_path / "b.keras")
    assert isinstance(zoo.load(tmp_path / "a.keras").likelihood, Pixels)
    registry = keras.saving.get_custom_objects()
    for name in ("mine>Pixels", "mine>Family"):
        monkeypatch.delitem(registry, name)
    with pytest.raises(ValueError, match=r"a\.keras needs the class .*Pixels.* Import the module"):
        zoo.load(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"received: a file with Family\. For a class of your own"):
        zoo.load(tmp_path / "b.keras")


def test_the_version_is_the_highest_number(tmp_path):
    shutil.copytree("artifact", tmp_path / "ten")
    (tmp_path / "ten" / "1").rename(tmp_path / "ten" / "10")
    card = json.loads((tmp_path / "ten" / "card.json").read_text())
    files = {path.replace("1/", "10/", 1): entry for path, entry in card["files"].items()}
    old = {"9/saved_model.pb": files["10/saved_model.pb"]}
    (tmp_path / "ten" / "9").mkdir()
    shutil.copy(tmp_path / "ten" / "10" / "saved_model.pb", tmp_path / "ten" / "9")
    (tmp_path / "ten" / "card.json").write_text(json.dumps(card | {"files": files | old}))
    assert loading.find(tmp_path / "ten").problems() == []
    assert zoo.load(tmp_path / "ten", "litert").latent_dim == 40


def test_a_card_of_another_version_of_the_zoo_is_read(tmp_path):
    card = zoo.info("cvae_mnist")
    values = {
        key: value
        for key, value in asdict(card).items()
        if key not in ("paper", "versions", "metrics", "parameters")
    }
    (tmp_path / "card.json").write_text(json.dumps(values | {"signatures": {"decode": {}}}))
    read = catalog.Card.read(tmp_path / "card.json")
    assert (read.paper, read.versions, read.metrics, read.parameters) == (None, None, [], None)
    assert read.files == card.files
    for lacking in ("name", "latent_dim", "image_shape", "recipe", "files", "num_classes"):
        (tmp_path / "card.json").write_text(
            json.dumps({key: value for key, value in values.items() if key != lacking})
        )
        with pytest.raises(catalog.DamagedFileError, match=f"is not a model's card .*{lacking}"):
            catalog.Card.read(tmp_path / "card.json")
    for wrong in (
        {"recipe": None},
        {"recipe": {}},
        {"files": []},
        {"files": {"1/saved_model.pb": {}}},
        {"metrics": [{}]},
        {"image_shape": 3},
    ):
        (tmp_path / "card.json").write_text(json.dumps(values | wrong))
        with pytest.raises(catalog.DamagedFileError, match="is not a model's card"):
            catalog.Card.read(tmp_path / "card.json")


def test_a_card_without_signatures_has_the_methods_of_its_files(tmp_path):
    """Reads a card as earlier versions wrote it."""
    shutil.copytree(catalog.directory("cvae_mnist"), tmp_path / "old")
    card = json.loads((tmp_path / "old" / "card.json").read_text())
    del card["signatures"], card["condition"]
    (tmp_path / "old" / "card.json").write_text(json.dumps(card))
    for runtime in ("litert", "saved_model"):
        ours, theirs = (zoo.load(name, runtime) for name in (tmp_path / "old", "cvae_mnist"))
        np.testing.assert_array_equal(ours.sample(3), theirs.sample(3))
        assert hasattr(ours, "encode")


def test_a_metric_that_is_no_number_is_null_on_the_card():
    card = zoo.info("cvae_mnist")
    values = [card.metrics[0] | {"value": float("nan")}]
    written = json.loads(replace(card, metrics=values).to_json(), parse_constant=pytest.fail)
    assert written["metrics"][0]["value"] is None

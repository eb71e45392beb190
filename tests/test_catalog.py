"""Tests of every shipped model: its files, its outputs on every runtime, and its card."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import zoo
from tests import harness
from tests.conftest import FIXTURE, nightly_except
from zoo import artifact, catalog, data, evaluation, recipes
from zoo.inference import noise
from zoo.inference.litert import LiteRT
from zoo.inference.methods import Encodes
from zoo.inference.saved_model import SavedModel
from zoo.utils.numbers import with_stderr

NAMES = zoo.list_models()
# Models of Fashion-MNIST have the networks and signatures of those of MNIST.
COSTLY = pytest.mark.parametrize(
    "name",
    nightly_except([name for name in NAMES if "fashion" not in name], NAMES),
    indirect=True,
    scope="module",
)
DRAWING = {"sample", "serving_default", "sample_png"}
LARGE = {("log_likelihood", "log_prob"), ("dequantize", "log_prob")}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name):
    return catalog.directory(name)


@pytest.fixture(scope="module")
def tflite_files(name):
    """Returns the TF Lite files, without that in int8 if the model's class has none."""
    return [
        catalog.file(name, runtime)
        for runtime in artifact.TFLITE_RUNTIMES
        if f"1/{artifact.FILES[runtime]}" in zoo.info(name).files
    ]


@pytest.fixture(scope="module")
def model(name):
    return zoo.load(name)


@pytest.fixture(scope="module")
def batch(name):
    """Returns 100 test images, binarized if the training images were, and their labels."""
    recipe = recipes.named(name)
    return recipe.source("test", FIXTURE).first()


@pytest.fixture(scope="module")
def inputs(model, batch):
    return harness.signature_inputs(model, *batch)


@pytest.fixture(scope="module")
def expected(model, inputs):
    """Returns the expected outputs of each signature, ``{signature: {output: array}}``."""
    return harness.answers(model, inputs)


def test_there_are_models_and_each_has_a_recipe():
    assert NAMES
    assert set(NAMES) <= set(recipes.list_recipes())


def test_files_are_those_of_the_card(name):
    assert catalog.problems(name) == []


@COSTLY
def test_saved_model_answers_as_keras_does(folder, inputs, expected):
    served = SavedModel(folder / "1")
    for signature, given in inputs.items():
        answer = served(signature, given)
        assert set(answer) == set(expected[signature])
        for output, value in answer.items():
            if output == "png_bytes":
                pixels = np.stack([tf.io.decode_png(png) for png in value]).astype(int)
                # A difference of 1e-5 may change the rounded grey level by one.
                assert np.abs(pixels - expected[signature][output]).max() <= 1
            else:
                # Scores and the densities of a flow are hundreds or thousands of nats.
                large = output == "score" or (signature, output) in LARGE
                tolerance = (1e-5, 0) if large else (0, 1e-5)
                np.testing.assert_allclose(value, expected[signature][output], *tolerance)


@COSTLY
def test_tflite_float16_answers_as_keras_does(folder, inputs, expected):
    lite = LiteRT(catalog.file(folder.name, "litert"))
    for signature in lite.signatures:
        for output, value in lite(signature, inputs[signature]).items():
            tolerance = {"images": (0, 2e-3), "score": (1e-3, 0), "log_prob": (1e-3, 0)}.get(
                output, (0, 1e-2)
            )
            np.testing.assert_allclose(value, expected[signature][output], *tolerance)


@COSTLY
def test_tflite_int8_stays_close_on_images(model, tflite_files, inputs, expected):
    assert len(tflite_files) == 1 + model.has_int8
    for path in tflite_files[1:]:
        lite = LiteRT(path)
        for signature in {"decode", "reconstruct"} & set(lite.signatures):
            images = lite(signature, inputs[signature])["images"]
            assert np.abs(images - expected[signature]["images"]).mean() <= 0.02


def test_tflite_int8_is_full_integer(tflite_files):
    for path in tflite_files[1:]:
        harness.check_full_integer(path)


@COSTLY
def test_tflite_files_answer_alike_on_both_interfaces_of_litert(tflite_files, inputs):
    for path in tflite_files:
        harness.check_interfaces(path, inputs)


def test_no_output_of_a_tflite_file_gets_its_shape_at_run_time(tflite_files):
    for path in tflite_files:
        assert all(constant for constant, _ in harness.reshapes(path))


@COSTLY
def test_tflite_files_have_the_signatures_and_builtin_operations_only(
    model, inputs, expected, tflite_files
):
    for path in tflite_files:
        assert {
            name.removeprefix("prior ") for _, name, _, _ in harness.operations(path)
        } <= harness.OPERATIONS
        interpreter = Interpreter(str(path))
        listed = interpreter.get_signature_list()
        assert set(listed) == set(model.signatures()) - DRAWING
        for signature, names in listed.items():
            assert set(names["inputs"]) == set(inputs[signature])
            assert set(names["outputs"]) == set(expected[signature])
            runner = interpreter.get_signature_runner(signature)
            for n in (1, 3):
                answer = runner(**{name: rows[:n] for name, rows in inputs[signature].items()})
                for output, value in answer.items():
                    shape = n, *expected[signature][output].shape[1:]
                    assert (value.dtype, value.shape) == (np.float32, shape)


def decoded(model, noise, given):
    """Returns decode(prior(noise)), where the prior is the identity if the card has none."""
    if model.has("prior"):
        condition = {name.removesuffix("s"): rows for name, rows in given.items()}
        noise = model.compute("prior", {"noise": noise} | condition)["z"]
    return model.decode(noise, **given)


@COSTLY
def test_a_sample_is_the_decoded_noise_of_its_seed_on_every_runtime(name, model, batch):
    given, seeds = harness.conditioning(model, *batch), np.arange(100)
    drawn = decoded(model, noise.normal(seeds, model.latent_dim), given)
    for runtime, tolerance in (("keras", 0), ("saved_model", 1e-5), ("litert", 2e-3)):
        np.testing.assert_allclose(
            zoo.load(name, runtime).sample(100, seed=0, **given), drawn, rtol=0, atol=tolerance
        )


@COSTLY
def test_every_method_answers_on_litert_as_on_keras(name, model, batch):
    images = batch[0][:9]
    given = {key: rows[:9] for key, rows in harness.conditioning(model, *batch).items()}
    lite = zoo.load(name, "litert")
    z = noise.normal(np.arange(300), model.latent_dim)
    one = {key: value[0] for key, value in given.items()}
    np.testing.assert_allclose(lite.decode(z, **one), model.decode(z, **one), rtol=0, atol=2e-3)
    given_290 = {key: value[None] for key, value in one.items()}
    np.testing.assert_allclose(
        lite.sample(1, seed=290, **one)[0],
        decoded(lite, z[290:291], given_290)[0],
        rtol=0,
        atol=1e-5,
    )
    if isinstance(model, Encodes):
        for ours, theirs in zip(lite.encode(images, **given), model.encode(images, **given)):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2)
        for method, arguments in (
            ("reconstruct", (images,)),
            ("interpolate", (images, images[::-1])),
        ):
            ours, theirs = (getattr(one, method)(*arguments, **given) for one in (lite, model))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3)
        np.testing.assert_allclose(
            lite.score(images, **given), model.score(images, **given), rtol=1e-3
        )


@pytest.mark.parametrize("labelled", [name for name in NAMES if zoo.info(name).num_classes])
def test_labels_out_of_range_never_reach_the_interpreter(labelled):
    lite = zoo.load(labelled, "litert")
    lite.compute = lambda *given: pytest.fail("The interpreter was reached.")
    images = np.zeros((2, *lite.image_shape), "float32")
    methods = {"sample": (2,), "decode": (np.zeros((2, lite.latent_dim)),)}
    if isinstance(lite, Encodes):
        methods |= {
            "encode": (images,),
            "reconstruct": (images,),
            "score": (images,),
            "interpolate": (images, images),
        }
    for method, arguments in methods.items():
        for labels in (-1, lite.num_classes, [0, lite.num_classes], 2**32, -(2**63)):
            with pytest.raises(ValueError, match="labels must be integers from 0 to"):
                getattr(lite, method)(*arguments, labels=labels)


def test_threads_may_share_a_model_on_litert():
    lite = zoo.load(NAMES[0], "litert")
    drawn = lite.sample(64, seed=0)

    def draw(seed):
        n = 1 + seed % 30
        np.testing.assert_allclose(
            lite.sample(n, seed=seed), drawn[seed : seed + n], rtol=0, atol=1e-5
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(draw, list(range(30)) * 3))


def test_the_card_is_complete(name, folder, model):
    card = zoo.info(name)
    assert card.name == name
    assert card.parameters == model.parameters
    assert 0 < card.parameters["generator"] < card.parameters["total"] <= model.count_params()
    assert recipes.Recipe.from_json(card.recipe) == recipes.named(name)
    assert card.recipe["wall_clock_seconds"] > 0
    measured = list(recipes.named(name).metrics)
    lite, splits = zoo.load(name, "litert"), evaluation.Splits.of_recipe(recipes.named(name))
    chosen = evaluation.choose(name, recipes.named(name).metrics, None, lite, splits, "litert-int8")
    integer = [f"{metric}@litert-int8" for metric in chosen] if model.has_int8 else []
    assert bool(integer) == model.has_int8
    assert [metric["name"] for metric in card.metrics] == measured + integer
    for metric in card.metrics:
        assert set(metric) - {"quick"} == {
            "name",
            "value",
            "stderr",
            "n",
            "split",
            "protocol",
            "anchor",
            "command",
        }
        _, _, first = metric["split"].rstrip("]").partition("[:")
        # There are 10,000 samples, also where they are compared with more training images, and
        # 10,000 test images, of the drawn faces 5,000.
        of_images = metric["name"].startswith(("active_units", "anomaly", "reconstruction"))
        most = 5_000 if of_images and card.dataset.startswith("avatars") else 10_000
        images = min(int(first or most), most)
        # A metric of anomalies has as many images of another kind.
        assert metric["n"] == (2 * images if metric["name"].startswith("anomaly") else images)
        assert (
            metric["command"]
            == f"zoo evaluate {name} --metric {metric['name'].replace('@', ' --runtime ')}"
        )
    page = (folder / "README.md").read_text()
    assert "license: apache-2.0" in page
    if card.recipe["best"]:
        assert f"after epoch {card.recipe['kept']['epoch']}" in page
        assert card.recipe["validation"] != card.recipe["split"]
    for metric in card.metrics:
        assert with_stderr(metric["value"], metric["stderr"]) in page


# Each value was read in the paper or repository that is named. Cards have no other values.
PUBLISHED = {
    ("gan_mnist", "parzen"): (225, "table 1"),
    ("vae_dense_mnist", "nll"): (86.76, "1509.00519v2"),
    ("vae_mnist", "nll"): (78.61, "1905.13452, convolutional VAE with a RealNVP prior"),
    ("cvae_mnist", "nll"): (82.32, "one run of the repository nbip/IWAE, unreviewed"),
    ("cvae_quadrant_mnist", "nll_monte_carlo"): (71.8, "Pyro's tutorial"),
    ("glow_mnist", "bits_per_dim"): (1.05, "1908.09257, table 5"),
}


def test_published_values_are_the_verified_ones(name, folder):
    card, page = zoo.info(name), (folder / "README.md").read_text()
    measured = {metric["name"]: metric for metric in card.metrics}
    for metric, one in measured.items():
        value, source = PUBLISHED.get((name, metric), (None, None))
        # The claim of Radford et al. is about a conditional DCGAN.
        if metric == "nearest_neighbor" and card.family == "DCGAN":
            value, source = round(measured["nearest_neighbor_real"]["value"], 2), "section 8.1"
        if value is None:
            assert one["anchor"] is None
        else:
            assert set(one["anchor"]) == {"value", "source"}
            assert one["anchor"]["value"] == value
            assert source in one["anchor"]["source"]
            assert one["anchor"]["source"] in page


def test_a_shipped_model_is_compiled_with_a_fresh_optimizer(model):
    assert model.compiled
    new = type(model).from_config(model.get_config())
    for optimizer in model.optimizers():
        assert int(getattr(model, optimizer).iterations) == 0
        ours, theirs = (
            getattr(one, optimizer).get_config() | {"name": None} for one in (model, new)
        )
        assert ours == theirs


def size(folder):
    """Returns the number of bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_all_together_stay_small():
    assert size(catalog.package_root()) < 160e6


def test_flows_colour_models_and_classifiers_stay_small():
    cards = list(catalog.package_root().rglob("card.json"))
    assert cards
    for path in cards:
        card = json.loads(path.read_text())
        limits = {"Classifier": 2e6, "Glow": 10e6, "RealNVP": 10e6}
        limit = limits.get(card["family"], 7e6 if card["image_shape"][-1] == 3 else 160e6)
        assert size(path.parent) <= limit, card["name"]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Copies one model, which a test may damage, to a catalog of its own."""
    shutil.copytree(catalog.directory(NAMES[0]), tmp_path / NAMES[0])
    monkeypatch.setattr(catalog, "package_root", lambda: tmp_path)
    return tmp_path / NAMES[0]


@pytest.mark.parametrize(
    ("runtime", "file"),
    artifact.FILES.items(),
)
def test_a_damaged_or_missing_file_is_never_parsed(copied, runtime, file):
    path = copied / "1" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(catalog.DamagedFileError, match=f"{path} is damaged.*Restore the file"):
        zoo.load(NAMES[0], runtime)
    assert len(catalog.problems(NAMES[0])) == 1
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is missing"):
        zoo.load(NAMES[0], runtime)


def test_foreign_files_and_broken_cards_are_found(copied):
    (copied / "1" / "extra.bin").write_bytes(b"?")
    assert "does not belong" in catalog.problems(NAMES[0])[0]
    card = json.loads((copied / "card.json").read_text())
    for broken in ("{", "[]", json.dumps({key: card[key] for key in list(card)[1:]})):
        (copied / "card.json").write_text(broken)
        with pytest.raises(catalog.DamagedFileError, match="is not a model's card"):
            zoo.info(NAMES[0])
        assert len(catalog.problems(NAMES[0])) == 1


def test_the_whole_catalog_is_verified(copied):
    (copied.parent / "models.config").write_text(
        f'model_config_list {{ config {{ name: "{NAMES[0]}" }} }}'
    )
    assert catalog.all_problems() == []
    (copied.parent / f".{NAMES[0]}.0.partial").mkdir()
    (copied.parent / f".{NAMES[0]}.0.partial" / "card.json").write_text("{}")
    assert zoo.list_models() == [NAMES[0]]
    (copied / "card.json").unlink()
    problems = catalog.all_problems()
    assert "There is no model in" in problems[0]
    assert f"{copied} is not a model" in problems[1]
    assert "models.config must list" in problems[2]


def test_the_version_loaded_is_that_of_the_card(copied):
    (copied / "2").mkdir()
    assert zoo.load(NAMES[0], "litert").latent_dim == zoo.info(NAMES[0]).latent_dim


def test_wrong_names_get_the_nearest():
    with pytest.raises(ValueError, match=f"no model '{NAMES[0]}x'; the nearest is '{NAMES[0]}'"):
        zoo.load(f"{NAMES[0]}x")
    with pytest.raises(ValueError, match="no runtime 'kears'; the nearest is 'keras'"):
        zoo.load(NAMES[0], "kears")


@pytest.mark.data
@pytest.mark.nightly
def test_evaluate_gives_the_figures_of_the_card_again(name, model):
    recipe, measured = recipes.named(name), []
    splits = evaluation.Splits.of_recipe(recipe)
    for runtime in ("keras", "litert-int8") if model.has_int8 else ("keras",):
        on = model if runtime == "keras" else zoo.load(name, runtime)
        chosen = evaluation.choose(name, recipe.metrics, None, on, splits, runtime)
        measured += evaluation.evaluate(
            on, name, chosen, splits, anchors=recipe.anchors, runtime=runtime
        )
    stated = zoo.info(name).metrics
    assert [metric["command"] for metric in measured] == [metric["command"] for metric in stated]
    for ours, theirs in zip(measured, stated):
        assert abs(ours["value"] - theirs["value"]) <= theirs["stderr"]


@pytest.mark.parametrize(("dataset", "least"), [("mnist", 99.4), ("fashion_mnist", 93)])
def test_evaluation_classifiers_are_accurate_small_and_not_listed(dataset, least):
    name = f"evaluation/classifier_{dataset}"
    card = zoo.info(name)
    accuracy = next(metric for metric in card.metrics if metric["name"] == "accuracy")
    assert accuracy["value"] >= least
    assert recipes.Recipe.from_json(card.recipe) == recipes.named(card.name)
    assert sum(entry["bytes"] for entry in card.files.values()) < 2e6
    assert card.name not in zoo.list_models()
    assert name not in (catalog.package_root() / catalog.CONFIG).read_text()
    assert catalog.problems(name) == []
    images = np.linspace(0, 1, 3 * 784, dtype="float32").reshape(3, 28, 28, 1)
    expected = zoo.load(name).classify(images)
    for runtime, tolerance in (("saved_model", 1e-4), ("litert", 1e-2)):
        for ours, theirs in zip(zoo.load(name, runtime).classify(images), expected):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.data
def test_a_classifier_has_the_accuracy_of_its_card_on_the_first_thousand_images():
    images, labels = data.tfds("mnist", "test").first(1000)
    logits, _ = zoo.load("evaluation/classifier_mnist").classify(images)
    card = zoo.info("evaluation/classifier_mnist")
    accuracy = next(metric for metric in card.metrics if metric["name"] == "accuracy")
    assert abs(100 * np.mean(logits.argmax(axis=1) == labels) - accuracy["value"]) < 1

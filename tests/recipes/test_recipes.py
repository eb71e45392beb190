"""Tests of recipes: the named ones, and the checks of every field."""

import json
from dataclasses import asdict, fields, replace

import pytest

from zoo import evaluation, recipes, training
from zoo.recipes.recipe import RULES, Recipe

SMALL = recipes.named("cvae_mnist")


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_every_recipe_builds_its_model(name):
    recipe = recipes.named(name)
    assert Recipe.from_json(json.loads(json.dumps(asdict(recipe)))) == recipe
    model = training.build(recipe, steps=100)
    assert (
        model.get_config().items()
        >= {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in recipe.model.items()
            if name in ("latent_dim", "num_classes")
        }.items()
    )
    assert all(name in evaluation.METRICS for name in recipe.metrics)
    assert set(recipe.anchors) <= set(recipe.metrics)
    for anchor in recipe.anchors.values():
        assert set(anchor) == {"value", "source"}


def test_every_field_has_a_rule():
    assert list(RULES) == [field.name for field in fields(Recipe)]


WRONG = {
    "family": [3, "", None],
    "model": [[], "VAE"],
    "dataset": [None, 3],
    "batch_size": [0, 2.0, True, "8"],
    "cycles": [
        [],
        [3],
        [[1, 0.1]],
        [[0, 0.1, {}]],
        [[1, -0.1, {}]],
        [[1, float("inf"), {}]],
        [[1, 0.1, []]],
        [[1, 0.1, {"beta": "x"}]],
        "x",
    ],
    "paper": [3],
    "optimizer": [3],
    "optimizer_arguments": [[]],
    "split": [3],
    "validation": [3],
    "best": [
        {},
        3,
        {"metric": "nll"},
        {"metric": "nll", "every": 0},
        {"metric": ["nll"], "every": 1},
    ],
    "binarize": ["static", True],
    "precision": ["float64"],
    "seed": [-1, 0.5, 2**32],
    "metrics": [[], {"nll": 3}],
    "anchors": [{"nll": 81.0}, {"nll": {}}],
}


@pytest.mark.parametrize("field", WRONG)
def test_an_error_names_the_field(field, tmp_path):
    for value in WRONG[field]:
        with pytest.raises(ValueError, match=rf"^{field} must be .*; received: "):
            replace(SMALL, **{field: value})
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(asdict(SMALL) | {field: value}))
        with pytest.raises(ValueError, match=rf"mine.json: {field} must be .*; received: "):
            recipes.read(path)


def test_the_best_model_needs_validation_images_and_a_metric_of_the_recipe():
    best = {"metric": "nll", "every": 1}
    with pytest.raises(ValueError, match=r"^validation must be a split where best is given"):
        replace(SMALL, best=best)
    with pytest.raises(ValueError, match=r"^best must name one .*; received: .*parzen"):
        replace(SMALL, best=best | {"metric": "parzen"}, validation="train[50000:]")


def test_a_recipe_file_is_read_and_its_errors_are_one_sentence(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(SMALL.to_json())
    assert recipes.read(path) == SMALL
    assert len(SMALL.to_json().splitlines()) == len(fields(Recipe)) + 2
    needed = {key: getattr(SMALL, key) for key in ("family", "model", "dataset", "batch_size")}
    path.write_text(json.dumps(needed | {"cycles": [[1, 0.1, {}]]}))
    assert recipes.read(path).precision == "float32"
    for text, sentence in (
        (json.dumps(needed), "mine.json: cycles must be given in a recipe"),
        (json.dumps(needed | {"batchsize": 3}), "has no field 'batchsize'; the nearest is 'batch_"),
        ("[1]", r"mine.json: A recipe must be a table of fields; received: \[1\]"),
        ("{", "mine.json must be a recipe in JSON"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            recipes.read(path)
    with pytest.raises(FileNotFoundError, match=r"no recipe file .*other\.json"):
        recipes.read(tmp_path / "other.json")
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="received: deep nesting"):
        recipes.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="received: a binary file"):
        recipes.read(path)


def test_a_card_or_a_run_of_another_version_is_read():
    """Fields that are unknown are ignored, and fields that are missing have their defaults."""
    values = asdict(SMALL)
    del values["binarize"], values["anchors"]
    read = Recipe.from_json(values | {"new_field": 3})
    assert read == replace(SMALL, anchors={})


def test_metrics_of_today_are_used_for_an_unchanged_recipe():
    before = replace(SMALL, metrics={}, anchors={})
    assert recipes.with_current_metrics("cvae_mnist", before) == SMALL
    other = replace(before, batch_size=7)
    assert recipes.with_current_metrics("cvae_mnist", other) == other
    assert recipes.with_current_metrics("mine", before) == before

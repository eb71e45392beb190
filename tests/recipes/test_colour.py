"""Tests of the recipes of colour images: drawn faces, and CIFAR-10 on a small stand-in."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.conftest import FIXTURE, nightly_except
from tests.recipes.test_sizes import narrow
from zoo import evaluation, publishing, recipes
from zoo.models import Classifier
from zoo.recipes import avatars
from zoo.training import trainer

FACES = [name for name in recipes.list_recipes() if "avatars" in name]
CIFAR10 = [name for name in recipes.list_recipes() if "cifar10" in name]


def fitted(recipe, data_dir):
    """Returns the model of a recipe with narrow networks after two steps, and its images."""
    recipe = replace(recipe, model=recipe.model | narrow(recipe.model), batch_size=20)
    model, source = trainer.build(recipe, 2), recipe.source(recipe.split, data_dir)
    model.adapt(source)
    before = model.get_weights()
    history = model.fit(source, batch_size=20, steps_per_epoch=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert any((old != new).any() for old, new in zip(before, model.get_weights()))
    return model, source


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    """Returns a folder with random pictures that tensorflow-datasets takes for CIFAR-10."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def examples(n):
        for i in range(n):
            image = rng.integers(0, 256, (32, 32, 3), np.uint8)
            yield i, {"id": str(i), "image": image, "label": i % 10}

    with pytest.MonkeyPatch.context() as patch:
        builder = tfds.builder("cifar10", data_dir=folder)
        splits = lambda *_: {"train": examples(80), "test": examples(20)}  # noqa: E731
        patch.setattr(type(builder), "_split_generators", splits)
        builder.download_and_prepare()
    return str(folder)


@pytest.mark.parametrize("name", nightly_except(["vae_cifar10"], CIFAR10))
def test_recipes_of_cifar10_train(name, cifar10):
    recipe = replace(recipes.named(name), split="train[:60]", validation="train[60:]")
    model, source = fitted(recipe, cifar10)
    assert source.image_shape == model.image_shape == (32, 32, 3)
    assert len(source.classes or ()) == (model.num_classes or 0)
    assert model.sample(3).shape == (3, 32, 32, 3)


@pytest.mark.parametrize("name", nightly_except([], FACES))
def test_recipes_of_faces_train_and_are_measured(name):
    recipe = recipes.named(name)
    model, source = fitted(recipe, FIXTURE)
    assert source.attributes is None or dict(source.attributes) == dict(model.attributes)
    _, size, _ = model.image_shape
    classifier = Classifier((size, size, 3), attributes=avatars.ATTRIBUTES, filters=(4, 8))
    splits = evaluation.Splits.of_recipe(
        recipe, FIXTURE, features=classifier, features_name="a small classifier"
    )
    chosen = evaluation.choose(name, recipe.metrics, None, model, splits)
    assert set(chosen) == set(recipe.metrics)
    few = {metric: settings | smallest(metric) for metric, settings in chosen.items()}
    for metric in evaluation.evaluate(model, name, few, splits):
        assert np.isfinite(metric["value"])


def smallest(metric):
    """Returns settings with which a metric is measured fast."""
    parameters = inspect.signature(evaluation.METRICS[metric].measure).parameters
    least = {"samples": 4 if metric == "bits_per_dim" else 100, "images": 20}
    return {name: value for name, value in least.items() if name in parameters}


def test_a_cvae_on_a_data_set_of_attributes_is_conditional_on_all():
    recipe, source = recipes.on_pictures("cvae", "tfds:avatars/pixel_art", FIXTURE)
    assert recipe.model["attributes"] == avatars.ATTRIBUTES
    assert "num_classes" not in recipe.model
    again = recipe.images(recipe.split, FIXTURE)
    assert again.attributes == source.attributes
    np.testing.assert_array_equal(again.first(5)[1], source.first(5)[1])
    recipe, source = recipes.on_pictures("vae", "tfds:avatars/pixel_art", FIXTURE)
    assert not {"attributes", "num_classes"} & set(recipe.model)
    named = recipes.named("cvae_avatars")
    recipe, _ = recipes.on_pictures(named, "tfds:avatars/lorelei", FIXTURE)
    assert recipe.model == named.model


def test_a_recipe_on_other_images_has_the_conditions_that_its_model_can_have():
    named = recipes.named("classifier_avatars_pixel_art")
    recipe, _ = recipes.on_pictures(named, "tfds:avatars/lorelei", FIXTURE)
    assert list(recipe.metrics) == [f"accuracy_{name}" for name in avatars.ATTRIBUTES]
    recipe, _ = recipes.on_pictures(named, "tfds:mnist", FIXTURE)
    assert (recipe.model["num_classes"], recipe.metrics) == (10, {"accuracy": {}})
    other = recipes.named("classifier_mnist")
    recipe, source = recipes.on_pictures(other, "tfds:fashion_mnist", FIXTURE)
    assert (recipe.model["num_classes"], recipe.metrics) == (10, {"accuracy": {}})
    assert len(source.first(5)) == 2
    with pytest.raises(ValueError, match="or have the feature 'label'; received: no classes"):
        recipes.on_pictures(recipes.named("cdcgan_mnist"), "tfds:avatars/lorelei", FIXTURE)


@pytest.mark.nightly
@pytest.mark.parametrize("name", FACES)
def test_an_artifact_is_as_small_as_promised(name, tmp_path):
    recipe = recipes.named(name)
    model = trainer.build(recipe, 2)
    model.evaluate(recipe.source("test", FIXTURE), verbose=0)
    splits = evaluation.Splits.of_recipe(recipe, FIXTURE)
    card = publishing.card_of(model, name)
    publishing.publish_with_card(model, card, tmp_path / name, splits, {})
    size = sum(path.stat().st_size for path in (tmp_path / name).rglob("*") if path.is_file())
    assert size < (2e6 if "classifier" in name else 7e6)

"""Cards of models."""

import importlib.metadata
import json
import platform
from dataclasses import fields
from pathlib import Path

from zoo.catalog import FOLDER, Card
from zoo.recipes import Recipe

PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")
# Fields of a card's recipe that describe the training itself.
OUTCOME = ("epochs", "kept", "wall_clock_seconds")
# Entries of a model's configuration that are not hyper-parameters.
OTHER = ("name", "dtype", "layers_trainable")


def card_of(model, name: str, recipe: dict | None = None) -> Card:
    """Returns the card of a model, without metrics and files.

    Args:
        model: On the Keras runtime.
        name: Name of the model.
        recipe: Fields of its recipe with the outcome of the training, or None for a model that has
            no recipe. The fields that are not known are then None.
    """
    recipe = recipe or _unknown_recipe(model)
    if (recipe["dataset"] or "").startswith(FOLDER):
        # The path of a folder may say more about its owner than a card should.
        recipe = recipe | {"dataset": f"{FOLDER}{Path(recipe['dataset']).name}"}
    return Card(
        name=name,
        family=type(model).__name__,
        dataset=recipe["dataset"],
        paper=recipe["paper"],
        parameters=model.parameters,
        latent_dim=model.latent_dim,
        image_shape=model.image_shape,
        num_classes=model.num_classes,
        **model.description(),
        recipe=recipe,
        files={},
    )


def versions() -> dict:
    """Returns the versions of Python and of the packages that a model depends on."""
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | packages


def _unknown_recipe(model) -> dict:
    """Returns a card's recipe with the family and the hyper-parameters alone."""
    config = json.loads(json.dumps(model.get_config(), default=str))
    arguments = {
        name: value
        for name, value in config.items()
        if value is not None and name not in OTHER and name not in model.given_networks
    }
    unknown = dict.fromkeys([*(field.name for field in fields(Recipe)), *OUTCOME])
    return unknown | {"family": type(model).__name__, "model": arguments}

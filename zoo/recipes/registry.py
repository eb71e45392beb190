"""Finds the recipe of a name in the modules of this package: each module's ``RECIPES``."""

import functools
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import replace

from zoo import recipes
from zoo.catalog import nearest
from zoo.recipes.recipe import Recipe


@functools.cache
def _recipes() -> dict[str, Recipe]:
    modules = [
        importlib.import_module(f"zoo.recipes.{module.name}")
        for module in pkgutil.iter_modules(recipes.__path__)
    ]
    return {
        name: recipe
        for module in modules
        for name, recipe in getattr(module, "RECIPES", {}).items()
    }


def list_recipes() -> list[str]:
    """Returns the names of all recipes, sorted."""
    return sorted(_recipes())


def named(name: str, others: Iterable = ()) -> Recipe:
    """Returns the recipe of a name.

    Args:
        name: Name of a recipe.
        others: Further names that would be right in place of it, for the message of the error.

    Raises:
        ValueError: If there is no such recipe.
    """
    if name not in _recipes():
        raise ValueError(f"There is no recipe {name!r}{nearest(name, [*others, *_recipes()])}.")
    return _recipes()[name]


def with_current_metrics(name: str, recipe: Recipe) -> Recipe:
    """Returns a recipe with the metrics and anchors that the recipe of its name has today.

    A recipe that trains another model than the one of that name is returned as it is.
    """
    if name not in _recipes():
        return recipe
    today = _recipes()[name]
    return (
        today if replace(recipe, metrics=today.metrics, anchors=today.anchors) == today else recipe
    )

"""Recipes of the named models: data alone, which imports no TensorFlow."""

from zoo.recipes.pictures import FAMILIES, data_set_of, on_pictures
from zoo.recipes.recipe import Recipe, read
from zoo.recipes.registry import list_recipes, named, with_current_metrics

__all__ = [
    "FAMILIES",
    "Recipe",
    "data_set_of",
    "list_recipes",
    "named",
    "on_pictures",
    "read",
    "with_current_metrics",
]

"""Recipes of the named models: data alone, which imports no TensorFlow."""

from zoo.recipes.pictures import FAMILIES, of_family, of_recipe
from zoo.recipes.recipe import FILE, Recipe, read
from zoo.recipes.registry import list_recipes, named, with_current_metrics

__all__ = [
    "FAMILIES",
    "FILE",
    "Recipe",
    "list_recipes",
    "named",
    "of_family",
    "of_recipe",
    "read",
    "with_current_metrics",
]

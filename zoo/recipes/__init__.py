"""Recipes of the named models: data alone, which imports no TensorFlow."""

from zoo.recipes.recipe import FILE, Recipe, read
from zoo.recipes.registry import list_recipes, named, with_current_metrics

__all__ = ["FILE", "Recipe", "list_recipes", "named", "read", "with_current_metrics"]

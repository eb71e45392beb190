"""Recipes of the named models: data alone, which imports no TensorFlow."""

from zoo.recipes.recipe import FILE, Recipe, read
from zoo.recipes.registry import current, list_recipes, named

__all__ = ["FILE", "Recipe", "current", "list_recipes", "named", "read"]

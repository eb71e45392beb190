"""Writes a model as a SavedModel with the contract's signatures."""

from pathlib import Path

import tensorflow as tf

SERVING_DEFAULT = "sample"


def write(model, path: Path) -> None:
    """Writes ``saved_model.pb`` and its variables into a new directory; ``serving_default`` is ``sample``."""
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    functions = {name: model.concrete_function(name) for name in model.signatures()}
    tf.saved_model.save(module, str(path), signatures=functions | {"serving_default": functions[SERVING_DEFAULT]})

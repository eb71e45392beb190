"""Writes a model as a SavedModel with the contract's signatures."""

from pathlib import Path

import tensorflow as tf

SERVING_DEFAULT = "sample"


def write(model, path: Path) -> None:
    """Writes ``saved_model.pb`` and its variables into a new directory; ``serving_default`` is ``sample``."""
    module = tf.Module()
    functions = {name: model.concrete_function(name) for name in model.signatures()}
    # Only the variables that the functions use: an adversarial artifact carries the generator alone.
    module.used = [variable for function in functions.values() for variable in function.variables]
    tf.saved_model.save(
        module, str(path), signatures=functions | {"serving_default": functions[SERVING_DEFAULT]}
    )

"""Writes a model as a SavedModel."""

from pathlib import Path

import tensorflow as tf


def write(model, path: Path) -> None:
    """Writes the signatures of a model and their variables into a new directory.

    The signature ``serving_default`` is the model's ``default_signature``, ``sample`` for a
    generative model.

    Args:
        model: Model on the Keras runtime.
        path: Directory to create, with ``saved_model.pb`` and ``variables``.
    """
    module = tf.Module()
    functions = {name: model.concrete_function(name) for name in model.signatures()}
    # Only variables that the functions use, so that an adversarial artifact has no discriminator.
    module.used = [variable for function in functions.values() for variable in function.variables]
    default = functions[model.default_signature]
    signatures = functions | {"serving_default": default}
    # An artifact is not trained: its gradients would only make the graph larger.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures, options)

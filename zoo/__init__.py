"""zoo: pretrained generative models for Keras and TensorFlow.

``import zoo`` imports neither TensorFlow nor NumPy; modules that need them are imported at their
first use. The model classes are registered with Keras when Keras is imported, before ``import zoo``
or after it.
"""

import importlib
from typing import Any

from zoo.catalog import Card, list_models
from zoo.utils.dependencies import full_install_required
from zoo.utils.keras_registration import register_with_keras

__version__ = "0.4.0"
__all__ = ["Card", "datasets", "info", "list_models", "load", "models"]


def info(name: str) -> Card:
    """The card of a trained model.

    Args:
        name: a name or path, as in ``load``. The card of a run or of a Keras file is made from the
            model, with None for what is not known.

    Raises:
        ValueError: where there is no such model.
    """
    with full_install_required():
        return importlib.import_module("zoo.loading").find(name).card


def load(name: str, runtime: str = "keras") -> Any:
    """Loads a trained model.

    Args:
        name: one of ``zoo.list_models()``, or a path: the folder of a run or of an artifact, or a
            ``.keras`` file. A catalog name comes first; "./NAME" is always the path.
        runtime: what computes it. "keras" gives the ``keras.Model``, compiled and ready for
            ``fit``; "saved_model" runs the SavedModel's signatures; "litert" and "litert-int8" run
            the TF Lite files of float16 weights and of int8 weights and activations, and import no
            TensorFlow. All answer the same verbs, but for ``log_likelihood`` and what else is a
            ``keras.Model``'s. Runs and Keras files have "keras" alone.

    Raises:
        ValueError: where there is no such model or runtime, or a file is not the one that the card
            describes.
        FileNotFoundError: where a file is missing.
        ModuleNotFoundError: where a light install lacks what the runtime needs.
    """
    with full_install_required():
        return importlib.import_module("zoo.loading").load(name, runtime)


def __getattr__(name):
    if name in ("datasets", "models"):
        with full_install_required():
            return importlib.import_module(f"zoo.{name}")
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


register_with_keras()

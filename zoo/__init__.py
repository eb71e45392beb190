"""zoo: pretrained generative models for Keras and TensorFlow.

``import zoo`` imports neither TensorFlow nor NumPy; modules that need them are imported at first
use. The model classes are registered with Keras when Keras is imported, before ``import zoo`` or
after it.
"""

import importlib
from typing import Any

from zoo.catalog import Card, list_models
from zoo.utils.dependencies import full_install_required
from zoo.utils.keras_registration import register_with_keras

__version__ = "0.4.0"
__all__ = ["Card", "data", "evaluation", "info", "list_models", "load", "models", "publish"]


def info(name: str) -> Card:
    """Returns the card of a model.

    Args:
        name: A name or path, as in ``load``. The card of a run or of a Keras file is made from the
            model, with None for what is not known.

    Raises:
        ValueError: If there is no such model.
    """
    with full_install_required():
        return importlib.import_module("zoo.loading").find(name).card


def load(name: str, runtime: str = "keras") -> Any:
    """Loads a trained model.

    Args:
        name: One of ``zoo.list_models()``, or a path: the folder of a run or of an artifact, or a
            ``.keras`` file. A catalog name comes first; "./NAME" is always the path.
        runtime: "keras" returns the ``keras.Model``, compiled and ready for ``fit``. "saved_model"
            uses the signatures of the SavedModel. "litert" and "litert-int8" use the TF Lite files
            with float16 weights, and with int8 weights and activations, and import no TensorFlow.
            All runtimes share the methods whose signatures the card lists; ``log_likelihood``,
            ``discriminate`` and the methods of ``keras.Model`` need "keras". Runs and Keras files
            have "keras" alone.

    Raises:
        ValueError: If there is no such model or runtime, or a file differs from the card.
        FileNotFoundError: If a file is missing.
        ModuleNotFoundError: If a package that the runtime needs is not installed.
    """
    with full_install_required():
        return importlib.import_module("zoo.loading").load(name, runtime)


def publish(model: Any, folder: Any, data: Any = None) -> Any:
    """Writes a model as an artifact with card, SavedModel, TF Lite files and sample sheet.

    An artifact in a folder of the environment variable ``ZOO_PATH`` is found by its name, as the
    named models are.

    Args:
        model: A model of ``zoo.models``, for example one that plain ``fit`` has trained.
        folder: Folder of the artifact, whose name is the name of the model. In the folder of an
            artifact, the next version is written.
        data: Held-out images for the metrics and the calibration of the int8 file: images, a pair
            (images, labels), a ``tf.data.Dataset`` or a ``zoo.data.Source``. Without them the
            artifact has no int8 file and no metrics, and the card says so.

    Returns:
        The folder, a ``pathlib.Path``.

    Raises:
        ValueError: If an argument is not as above.
        OSError: If the folder cannot be written to.
    """
    with full_install_required():
        return importlib.import_module("zoo.publishing").publish(model, folder, data)


def __getattr__(name):
    if name in ("data", "evaluation", "models"):
        with full_install_required():
            return importlib.import_module(f"zoo.{name}")
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


register_with_keras()

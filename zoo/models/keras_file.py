"""Reads Keras files (``.keras``) of the zoo's models."""

import json
import re
import zipfile
from pathlib import Path

import keras

import zoo.models
from zoo.catalog import DamagedFileError
from zoo.models.base import ImageModel


def read(path: Path) -> ImageModel:
    """Loads a model of the zoo from a Keras file.

    Raises:
        DamagedFileError: If Keras cannot load the file.
        ValueError: If the file holds a model of another class, or needs a class that is not
            registered with Keras.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
            name = config["class_name"]
            family = keras.saving.get_registered_object(config["registered_name"])
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not (isinstance(family, type) and issubclass(family, ImageModel)):
        raise ValueError(
            f"{path} must hold one of the zoo's models, {', '.join(zoo.models.__all__)}; "
            f"received: a file with {name}. For a class of your own, import its module first."
        )
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras raises errors of many classes for damaged files.
        unknown = re.search(r"Could not locate class '([^']*)'", str(error))
        if unknown:
            raise ValueError(
                f"{path} needs the class {unknown[1]}, which is not registered with Keras. Import "
                "the module that defines it first."
            ) from error
        raise _damaged(path) from error


def _damaged(path):
    return DamagedFileError(
        f"{path} cannot be loaded by Keras. Restore the file, or save the model again."
    )

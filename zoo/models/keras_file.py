"""Keras files (``.keras``) that hold a model of the zoo."""

import json
import zipfile
from pathlib import Path

import keras

import zoo.models
from zoo.catalog import DamagedFileError
from zoo.models.base import GenerativeModel


def read(path: Path) -> GenerativeModel:
    """Loads a model of the zoo from a Keras file.

    Raises:
        DamagedFileError: where Keras cannot load the file.
        ValueError: where the file holds another model than one of the zoo's.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
            name = config["class_name"]
            family = keras.saving.get_registered_object(config["registered_name"])
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not (isinstance(family, type) and issubclass(family, GenerativeModel)):
        raise ValueError(
            f"{path} holds a {name}, but it must hold one of the zoo's models: {', '.join(zoo.models.__all__)}."
        )
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Whatever the loader meets, the remedy is the same.
        raise _damaged(path) from error


def _damaged(path):
    return DamagedFileError(
        f"{path} is not a file that Keras can load: restore it, or save the model again."
    )

"""Reads Keras files (``.keras``) of the zoo's models."""

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
        DamagedFileError: If Keras cannot load the file.
        ValueError: If the file holds a model of another class.
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
            f"{path} must hold one of the zoo's models, {', '.join(zoo.models.__all__)}; "
            f"received: a file with {name}."
        )
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras raises errors of many classes for damaged files.
        raise _damaged(path) from error


def _damaged(path):
    return DamagedFileError(
        f"{path} cannot be loaded by Keras. Restore the file, or save the model again."
    )

"""Evaluation classifiers that are shipped with the package."""

import functools

from zoo import catalog
from zoo.models import keras_file


def shipped_name(dataset: str) -> str:
    """Returns the catalog name of the classifier of a data set."""
    return f"evaluation/classifier_{dataset}"


@functools.cache
def shipped(dataset: str):
    """Returns the classifier that is shipped for a data set, or None."""
    name = shipped_name(dataset)
    if not catalog.is_model(name):
        return None
    path = catalog.file(name, "keras")
    catalog.check(catalog.directory(name), catalog.info(name), path)
    return keras_file.read(path)

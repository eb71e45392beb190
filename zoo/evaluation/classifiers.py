"""Evaluation classifiers that are shipped with the package."""

import functools

import numpy as np

from zoo import catalog
from zoo.models import keras_file


def shipped_name(dataset: str) -> str:
    """Returns the catalog name of the classifier of a data set."""
    return f"evaluation/classifier_{dataset.replace('/', '_')}"


@functools.cache
def shipped(dataset: str):
    """Returns the classifier that is shipped for a data set, or None."""
    name = shipped_name(dataset)
    if not catalog.is_model(name):
        return None
    path = catalog.file(name, "keras")
    catalog.check(catalog.directory(name), catalog.info(name), path)
    return keras_file.read(path)


def predicted(classifier, logits) -> np.ndarray:
    """Returns the most probable labels, int64 ``(n,)``, or values of k attributes, ``(n, k)``.

    Args:
        classifier: Model with ``classify``.
        logits: Its logits ``(n, outputs)``.
    """
    attributes = getattr(classifier, "attributes", None)
    if not attributes:
        return logits.argmax(axis=1)
    ends = np.cumsum([len(values) for values in attributes.values()])
    parts = np.split(logits, ends[:-1], axis=1)
    return np.stack([part.argmax(axis=1) for part in parts], axis=1)

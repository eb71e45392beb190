"""Inputs of a model's signatures from which int8 files take the ranges of their activations."""

import numpy as np

from zoo import datasets
from zoo.inference.noise import normal

SAMPLES = 300


def samples(model, recipe, data_dir=None) -> dict:
    """Returns inputs of each signature of a TF Lite file, as ``model.calibration_inputs`` makes them.

    Args:
        model: on the Keras runtime.
        recipe: how it was trained, which names the data set.
        data_dir: where tensorflow-datasets keeps its data.

    Returns:
        {signature: {input: array}}, ``SAMPLES`` rows each, or as many as the data set has.

    Raises:
        FileNotFoundError: If the data set is needed and is neither on this machine nor can be
            downloaded.
    """
    noise = normal(np.arange(SAMPLES), model.latent_dim)
    if not model.calibrates_on_images:
        label = (
            {"label": np.arange(SAMPLES, dtype=np.int32) % model.num_classes}
            if model.num_classes
            else {}
        )
        return model.calibration_inputs(None, label, noise)
    images, labels = datasets.load(recipe.dataset, recipe.split, data_dir)
    images = datasets.binarize(images[:SAMPLES]) if recipe.binarize else images[:SAMPLES]
    condition = {
        spec.name: recipe.condition_of(images, labels)[:SAMPLES] for spec in model.condition_spec()
    }
    return model.calibration_inputs(images, condition, noise[: len(images)])

"""Inputs of a model's signatures from which an int8 file takes the ranges of its activations."""

import numpy as np

from zoo.data import for_model
from zoo.inference.noise import normal

# With more samples, a few large activations make the ranges wide, and all other activations are
# rounded to fewer int8 steps.
SAMPLES = 100


def samples(model, source=None) -> dict:
    """Returns inputs of each signature of a TF Lite file.

    Args:
        model: On the Keras runtime.
        source: ``zoo.data.Source`` of training images. It may be None for a model whose
            ``calibrates_on_images`` is False.

    Returns:
        {signature: {input: array}} of ``GenerativeModel.calibration_inputs``, ``SAMPLES`` rows, or
        as many as the source has.

    Raises:
        ValueError: If the model needs images and there is no source, or it has other images, or it
            has no int8 file.
    """
    if not model.has_int8:
        raise ValueError(
            "int8 must be asked for a model that has an int8 file, which flows and baselines "
            f"do not have; received: {type(model).__name__}."
        )
    noise = normal(np.arange(SAMPLES), model.latent_dim)
    names = [spec.name for spec in model.condition_spec()]
    if not model.calibrates_on_images:
        label = np.arange(SAMPLES, dtype=np.int32) % (model.num_classes or 1)
        return model.calibration_inputs(None, dict.fromkeys(names, label), noise)
    if source is None:
        raise ValueError("source must be a zoo.data.Source for this model; received: None.")
    images, conditions = for_model(source, model).first(SAMPLES)
    return model.calibration_inputs(images, dict.fromkeys(names, conditions), noise[: len(images)])

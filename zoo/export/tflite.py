"""Converts a SavedModel to TF Lite files with the same signatures, but those that draw noise: the caller gives z."""

from pathlib import Path

import numpy as np
import tensorflow as tf

PRECISIONS = ("float32", "float16", "int8")


def convert(saved_model: Path, precision: str = "float32", examples: dict | None = None) -> bytes:
    """Converts with TensorFlow Lite's built-in operations only, a dynamic batch, and float32 inputs and outputs.

    Args:
        saved_model: directory of a SavedModel.
        precision: "float32", "float16" (weights), or "int8" (weights and activations).
        examples: for int8, ``{signature: list of {input: array with one row}}``, real inputs that show the range of each
            activation.

    Raises:
        ValueError: where the precision is none of these.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, but it is {precision!r}.")
    # From a SavedModel, not from concrete functions: those leave the variables of a Keras 3 model unset, and every answer NaN.
    names = [name for name in signatures(saved_model) if name not in ("sample", "sample_png", "serving_default")]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=names)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ((name, row) for name in names for row in examples[name])
    return converter.convert()


def signatures(saved_model: Path) -> list[str]:
    """The names of the signatures of a SavedModel, sorted."""
    return sorted(tf.saved_model.load(str(saved_model)).signatures)


def examples(model, images: np.ndarray, conditions: dict) -> dict:
    """Inputs to calibrate int8 with: real images, and the latent vectors of their posteriors.

    Args:
        model: a model on the Keras runtime.
        images: float32 ``(n, height, width, channels)`` in [0, 1].
        conditions: {}, {"label": int32 ``(n,)``} or {"condition": float32 ``(n, …)``}.
    """
    inputs = {"images": images} | conditions
    posterior = model.compute("encode", inputs)
    noise = np.random.default_rng(0).standard_normal(posterior["mean"].shape, dtype=np.float32)
    z = posterior["mean"] + np.exp(posterior["log_var"] / 2) * noise
    columns = {"decode": {"z": z} | conditions, "encode": inputs, "reconstruct": inputs, "score": inputs}
    return {
        name: [{key: rows[i : i + 1] for key, rows in column.items()} for i in range(len(images))]
        for name, column in columns.items()
    }

"""Converts a SavedModel to TF Lite files with the same signatures, but those that draw noise: the caller gives z."""

from pathlib import Path

import tensorflow as tf

PRECISIONS = ("float32", "float16", "int8")


def convert(saved_model: Path, precision: str = "float32") -> bytes:
    """Converts with TensorFlow Lite's built-in operations only, a dynamic batch, and float32 inputs and outputs.

    Args:
        saved_model: directory of a SavedModel.
        precision: "float32", "float16" (weights), or "int8": weights, and the inputs of matrix products and convolutions,
            whose range is taken from each batch as it comes. Ranges fixed beforehand cost too much here: images of the
            convolutional models were off by 0.07 to 0.13 on average.

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
    return converter.convert()


def signatures(saved_model: Path) -> list[str]:
    """The names of the signatures of a SavedModel, sorted."""
    return sorted(tf.saved_model.load(str(saved_model)).signatures)

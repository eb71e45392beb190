"""Converts a SavedModel to TF Lite files with the same signatures, but those that draw noise: the caller gives z."""

from pathlib import Path

import tensorflow as tf

from zoo.export import quantization

PRECISIONS = ("float32", "float16", "int8")


def convert(saved_model: Path, precision: str = "float32", samples: dict | None = None) -> bytes:
    """Converts with TensorFlow Lite's built-in operations only, a dynamic batch, and float32 inputs and outputs.

    Args:
        saved_model: directory of a SavedModel.
        precision: "float32", "float16" (weights), or "int8" (weights and activations).
        samples: for int8, what ``zoo.export.calibration.samples`` gives.

    Raises:
        ValueError: where the precision is none of these, or int8 has no samples.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, but it is {precision!r}.")
    # From a SavedModel, not from concrete functions: those leave the variables of a Keras 3 model unset, and every answer NaN.
    names = [name for name in signatures(saved_model) if name not in ("sample", "sample_png", "serving_default")]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=names)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "int8":
        if samples is None or set(samples) != set(names):
            raise ValueError(f"int8 takes its ranges from samples of {', '.join(names)}: give zoo.export.calibration.samples.")
        return quantization.quantize(converter, samples)
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def signatures(saved_model: Path) -> list[str]:
    """The names of the signatures of a SavedModel, sorted."""
    return sorted(tf.saved_model.load(str(saved_model)).signatures)

"""Converts a SavedModel to TF Lite files.

They have the same signatures, except those that draw noise: the caller gives z instead.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.lite.tools.flatbuffer_utils import schema_fb

from zoo.export import quantization

PRECISIONS = ("float32", "float16", "int8")


def convert(saved_model: Path, precision: str = "float32", samples: dict | None = None) -> bytes:
    """Converts a SavedModel to a TF Lite file with a dynamic batch.

    It has only built-in operations of TensorFlow Lite, and float32 inputs and outputs.

    Args:
        saved_model: Directory of a SavedModel.
        precision: "float32", "float16" (weights), or "int8" (weights and activations).
        samples: Result of ``zoo.export.calibration.samples``, for int8.

    Returns:
        Content of the TF Lite file.

    Raises:
        ValueError: If the precision is another one, or int8 has no samples.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}; received: {precision!r}."
        )
    # A conversion of concrete functions would leave the variables of a Keras 3 model unset, and
    # every output would be NaN.
    names = [
        name
        for name in signatures(saved_model)
        if name not in ("sample", "sample_png", "serving_default")
    ]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=names)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "int8":
        if samples is None or set(samples) != set(names):
            raise ValueError(
                f"samples must be given for int8, for the signatures {', '.join(names)}; "
                f"received: {'None' if samples is None else ', '.join(sorted(samples))}. "
                "Use zoo.export.calibration.samples."
            )
        return with_constant_shapes(quantization.quantize(converter, samples))
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return with_constant_shapes(converter.convert())


def with_constant_shapes(content: bytes) -> bytes:
    """Replaces the shape of each RESHAPE of a TF Lite model by a constant, with -1 for the batch.

    ``keras.layers.Reshape`` and ``Flatten`` compute the shape from the batch size at run time, so
    that LiteRT knows the size of the result only then. ``Interpreter`` supports this, but
    ``CompiledModel`` and LiteRT.js do not write such an output, and raise no error. The operations
    that computed the shapes are removed.

    Args:
        content: Content of a TF Lite file.

    Returns:
        Content of the new TF Lite file.

    Raises:
        ValueError: If a size other than the batch is known only at run time.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for graph in model.subgraphs:
        for operation in graph.operators:
            if flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex) == "RESHAPE":
                _make_shape_constant(model, graph, operation)
        _remove_unread(graph)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _make_shape_constant(model, graph, operation):
    if model.buffers[graph.tensors[operation.inputs[1]].buffer].data is not None:
        return
    result = graph.tensors[operation.outputs[0]]
    sizes = result.shape if result.shapeSignature is None else result.shapeSignature
    if np.count_nonzero(np.less(sizes, 0)) > 1:
        raise ValueError(
            "A model for TF Lite must have shapes that are known except for the batch; received: "
            f"{result.name.decode()} of shape {tuple(map(int, sizes))}. Reshape to sizes that do "
            "not depend on the input."
        )
    buffer = schema_fb.BufferT()
    buffer.data = np.frombuffer(np.int32(sizes).tobytes(), np.uint8)
    shape = schema_fb.TensorT()
    shape.name, shape.type = result.name + b"/shape", schema_fb.TensorType.INT32
    shape.shape, shape.buffer = np.int32([len(sizes)]), len(model.buffers)
    model.buffers.append(buffer)
    operation.inputs = np.int32([operation.inputs[0], len(graph.tensors)])
    graph.tensors.append(shape)


def _remove_unread(graph):
    """Removes the operations whose results no output and no other operation needs."""
    needed, kept = {*graph.outputs}, []
    for operation in reversed(graph.operators):
        if needed & {*operation.outputs}:
            needed |= {*operation.inputs}
            kept.insert(0, operation)
    graph.operators = kept


def signatures(saved_model: Path) -> list[str]:
    """Returns the names of the signatures of a SavedModel, sorted."""
    return sorted(tf.saved_model.load(str(saved_model)).signatures)

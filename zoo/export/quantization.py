"""Full-integer int8 of TensorFlow Lite: weights, and activations in the ranges that they had on samples.

TensorFlow Lite's quantizer takes a model whose tensors carry those ranges. Three things are
corrected here:

- Some signatures end in arithmetic on latent variables or in sums of log-probabilities over all
  pixels, whose rounding in int8 adds up to tens of nats. There the operations after the networks
  stay in float32. A prior stays in float32 as a whole.
- A range of ±70 before a tanh leaves a few steps where it rises. Ranges end where a sigmoid or a
  tanh is flat.
- The quantizer leaves ELU in float32, though the interpreter has it in int8. During quantization it
  is replaced by another function of one argument.
"""

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

WEIGHT_BEARING = {"CONV_2D", "FULLY_CONNECTED"}
LAYOUT = {"DEPTH_TO_SPACE", "RESHAPE", "STRIDED_SLICE", "TRANSPOSE"}
# Beyond these arguments the functions stay within half a step of their int8 results.
RISE = {"LOGISTIC": 8.0, "TANH": 4.0}


def quantize(converter: tf.lite.TFLiteConverter, samples: dict) -> bytes:
    """Converts to int8 weights and activations, with float32 inputs and outputs.

    Args:
        converter: of a SavedModel.
        samples: what each signature is given while the ranges are taken, {signature: {input:
            array}}.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples.items())
    converter._experimental_calibrate_only = True
    model = flatbuffer_utils.read_model_from_bytearray(converter.convert())
    in_float = []
    for signature in model.signatureDefs:
        graph = Graph(model, signature.subgraphIndex)
        graph.narrow()
        in_float += graph.of_a_prior()
        if [output.name for output in signature.outputs] != [b"images"]:
            in_float += graph.after_the_networks()
    _rename(model, "ELU", "HARD_SWISH")
    quantized = mlir_quantize(
        bytes(flatbuffer_utils.convert_object_to_bytearray(model)), denylisted_nodes=in_float
    )
    model = flatbuffer_utils.read_model_from_bytearray(quantized)
    _rename(model, "HARD_SWISH", "ELU")
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class Graph:
    """The operations of one signature of a TF Lite model, each after those that it needs.

    Attributes:
        operations: [(name, operation)].
        tensors: what their inputs and outputs are indices of.
    """

    def __init__(self, model, index: int):
        graph = model.subgraphs[index]
        self.operations = [
            (flatbuffer_utils.opcode_to_name(model, op.opcodeIndex), op) for op in graph.operators
        ]
        self.tensors, self._buffers = graph.tensors, model.buffers
        self._makers = {tensor: (name, op) for name, op in self.operations for tensor in op.outputs}
        self._readers = {}
        for name, op in self.operations:
            for tensor in op.inputs:
                self._readers.setdefault(tensor, []).append(name)

    def of_a_prior(self) -> list[str]:
        """Returns the names of the results of a prior, which contain "prior", and of its inputs.

        A condition that the encoder reads too would otherwise have the coarse range of the
        encoder's features, so that the prior of ``encode`` would differ from that of ``prior``.
        """
        needed, names = set(), []
        for name, op in reversed(self.operations):
            results = [self.tensors[tensor].name.decode() for tensor in op.outputs]
            in_prior = any("prior" in result for result in results)
            if in_prior or (name in LAYOUT and needed & {*op.outputs}):
                needed |= {*op.inputs}
                names += results
        return names

    def after_the_networks(self) -> list[str]:
        """Returns the names of the results that depend on no later operation with weights."""
        needed, names = set(), []
        for name, op in reversed(self.operations):
            if name in WEIGHT_BEARING or needed & {*op.outputs}:
                needed |= {*op.inputs}
            else:
                names += [self.tensors[tensor].name.decode() for tensor in op.outputs]
        return names

    def narrow(self) -> None:
        """Ends the ranges of what a sigmoid or a tanh alone reads where these are flat, back to the last weights."""
        for name, op in self.operations:
            if name in RISE:
                self._narrow(op.inputs[0], -RISE[name], RISE[name])

    def _narrow(self, tensor, low, high):
        if (
            tensor not in self._makers
            or len([name for name in self._readers[tensor] if name != "SHAPE"]) > 1
        ):
            return
        least, most = self._range(tensor)
        low, high = max(low, least), min(high, most)
        if low >= high:
            return
        self.tensors[tensor].quantization.min, self.tensors[tensor].quantization.max = [low], [high]
        name, op = self._makers[tensor]
        if name in LAYOUT:
            self._narrow(op.inputs[0], low, high)
        elif name == "ADD":
            for one, other in (op.inputs, op.inputs[::-1]):
                least, most = self._range(other)
                self._narrow(one, low - most, high - least)

    def _range(self, tensor):
        constant = self._buffers[self.tensors[tensor].buffer].data
        if constant is None:
            return self.tensors[tensor].quantization.min[0], self.tensors[tensor].quantization.max[
                0
            ]
        values = np.frombuffer(constant, np.float32)
        return values.min(), values.max()


def _rename(model, old, new):
    codes = vars(flatbuffer_utils.schema_fb.BuiltinOperator)
    for operation in model.operatorCodes:
        if operation.builtinCode == codes[old]:
            operation.builtinCode = operation.deprecatedBuiltinCode = codes[new]

"""Full-integer int8 quantization by TensorFlow Lite.

Weights and activations become int8. The range of each activation is measured on samples. Three
defects of TensorFlow Lite's quantizer are corrected here:

- Some signatures end in arithmetic on latent variables or in sums of log-probabilities over all
  pixels. Their rounding errors in int8 would add up to tens of nats. The operations after the
  networks of such a signature stay in float32, and all operations of a prior.
- A tanh whose input has a range of ±70 would have only a few int8 steps in the interval in which
  it rises. The range of an input of sigmoid or tanh therefore ends where the function is flat.
- The quantizer leaves ELU in float32, although the interpreter has an int8 kernel for it. During
  quantization ELU is replaced by another function of one argument.
"""

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

WEIGHT_BEARING = {"CONV_2D", "FULLY_CONNECTED"}
LAYOUT = {"DEPTH_TO_SPACE", "RESHAPE", "STRIDED_SLICE", "TRANSPOSE"}
# Above these absolute arguments the functions change by less than half an int8 step.
RISE = {"LOGISTIC": 8.0, "TANH": 4.0}


def quantize(converter: tf.lite.TFLiteConverter, samples: dict) -> bytes:
    """Converts to int8 weights and activations, with float32 inputs and outputs.

    Args:
        converter: Converter of a SavedModel.
        samples: Inputs with which the ranges are measured, {signature: {input: array}}.

    Returns:
        Content of the TF Lite file.
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
    """Operations of one signature of a TF Lite model, in an order in which they can run.

    Args:
        model: TF Lite model as ``flatbuffer_utils`` reads it.
        index: Index of the signature's subgraph.

    Attributes:
        operations: [(name, operation)].
        tensors: Tensors of the subgraph. Inputs and outputs of an operation are indices into them.
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
            if in_prior or (name not in WEIGHT_BEARING and needed & {*op.outputs}):
                needed |= {*op.inputs}
                names += results
        return names

    def after_the_networks(self) -> list[str]:
        """Returns the names of the tensors on which no later operation with weights depends."""
        needed, names = set(), []
        for name, op in reversed(self.operations):
            if name in WEIGHT_BEARING or needed & {*op.outputs}:
                needed |= {*op.inputs}
            else:
                names += [self.tensors[tensor].name.decode() for tensor in op.outputs]
        return names

    def narrow(self) -> None:
        """Narrows the ranges of inputs of sigmoid and tanh to the interval in which these rise.

        The tensors from which such an input is computed are narrowed too, back to the last
        operation with weights. A tensor that another operation also reads is left as it is.
        """
        for name, op in self.operations:
            if name in RISE:
                self._narrow(op.inputs[0], -RISE[name], RISE[name])

    def _narrow(self, tensor, low, high):
        if tensor not in self._makers:
            return
        if len([name for name in self._readers[tensor] if name != "SHAPE"]) > 1:
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
            quantization = self.tensors[tensor].quantization
            return quantization.min[0], quantization.max[0]
        values = np.frombuffer(constant, np.float32)
        return values.min(), values.max()


def _rename(model, old, new):
    codes = vars(flatbuffer_utils.schema_fb.BuiltinOperator)
    for operation in model.operatorCodes:
        if operation.builtinCode == codes[old]:
            operation.builtinCode = operation.deprecatedBuiltinCode = codes[new]

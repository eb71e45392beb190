"""Small models of every kind, their inputs, and the checks that every model must pass."""

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.tensor_buffer import TensorBuffer
from tensorflow.lite.tools import flatbuffer_utils

from zoo.data import MemorySource
from zoo.export import calibration, saved_model, tflite
from zoo.inference import noise
from zoo.inference.litert import LiteRT
from zoo.inference.saved_model import SavedModel
from zoo.models import CVAE, DCGAN, GAN, VAE, Glow, RealNVP
from zoo.models.flow.dequantization import dequantized

SMOOTHED = {"class_name": "non_saturating", "config": {"label_smoothing": 0.1}}

ATTRIBUTES = {"parity": ["even", "odd"], "size": ["small", "medium", "large"]}

VARIATIONAL = {
    "vae_dense": lambda: VAE(latent_dim=4, hidden=(16,)),
    "vae_convolutional": lambda: VAE(
        latent_dim=4, hidden=(16,), filters=(4, 8), blocks=1, bottleneck=3, activation="elu"
    ),
    "vae_gaussian": lambda: VAE(
        latent_dim=4, hidden=(16,), likelihood="gaussian", importance_samples=2
    ),
    "vae_continuous": lambda: VAE(latent_dim=4, hidden=(16,), likelihood="continuous_bernoulli"),
    "vae_logistic": lambda: VAE(
        latent_dim=4, hidden=(16,), filters=(4,), likelihood="discretized_logistic"
    ),
    "cvae_label": lambda: CVAE(
        latent_dim=4, hidden=(16,), num_classes=10, filters=(4,), prior="conditional_normal"
    ),
    "cvae_patch": lambda: CVAE(
        latent_dim=4, hidden=(16,), condition_shape=(14, 14, 1), condition_at=(14, 0)
    ),
    "cvae_attributes": lambda: CVAE(
        latent_dim=4,
        hidden=(16,),
        filters=(4,),
        attributes=ATTRIBUTES,
        prior={"class_name": "flow", "config": {"couplings": 2, "hidden": (8,)}},
    ),
    "cvae_flow": lambda: CVAE(
        latent_dim=4,
        hidden=(16,),
        num_classes=10,
        prior={"class_name": "flow", "config": {"couplings": 2, "hidden": (8,)}},
    ),
}
ADVERSARIAL = {
    "gan": lambda: GAN(latent_dim=4, hidden=(16, 8), maxout=((8, 3),)),
    "gan_label": lambda: GAN(
        latent_dim=4, hidden=(16,), maxout=((8, 3), (4, 2)), num_classes=10, ema=0.9
    ),
    "dcgan": lambda: DCGAN(latent_dim=4, filters=(8, 4), kernel_size=4, ema=0.9),
    "dcgan_label": lambda: DCGAN(
        latent_dim=4, filters=(8, 4), num_classes=10, discriminator_steps=2, objective=SMOOTHED
    ),
    "dcgan_wasserstein": lambda: DCGAN(
        latent_dim=4, filters=(8, 4), objective="wasserstein", discriminator_normalization="layer"
    ),
    "dcgan_spectral": lambda: DCGAN(
        latent_dim=4,
        filters=(8, 4),
        objective="hinge",
        discriminator_normalization="spectral",
        num_classes=10,
    ),
}
FLOWS = {
    "glow": lambda: Glow(steps=(1, 1), filters=4, couplings=2, hidden=(8,)),
    "glow_wavelet_label": lambda: Glow(
        steps=(1, 1), filters=4, couplings=2, hidden=(8,), multiscale="wavelet", num_classes=10
    ),
    "realnvp_label": lambda: RealNVP(
        scales=2,
        checkerboards=1,
        channels=1,
        filters=4,
        blocks=1,
        num_classes=10,
        dequantization="variational",
    ),
}
MODELS = VARIATIONAL | ADVERSARIAL | FLOWS


def condition_column(model, images, labels):
    """Returns a tuple of the condition that the model's data set holds, or an empty tuple."""
    if model.num_classes:
        return (labels,)
    if model.attributes:
        return (labels if np.ndim(labels) == 2 else attributes_of(labels),)
    return (images[:, 14:, :14],) if model.condition_shape else ()


def attributes_of(labels):
    """Returns the values of ``ATTRIBUTES`` of digits, int32 ``(n, 2)``."""
    return np.int32(np.stack([labels % 2, labels // 4], axis=-1))


def conditioning(model, images, labels) -> dict:
    """Returns the condition as keyword arguments of the model's methods."""
    column = condition_column(model, images, labels)
    return {"labels" if model.num_classes else "condition": column[0]} if column else {}


def signature_inputs(model, images, labels) -> dict:
    """Returns inputs of each signature, ``{signature: {input: array}}``, from a batch of images."""
    column = condition_column(model, images, labels)
    condition = {"label" if model.num_classes else "condition": column[0]} if column else {}
    normal = np.random.default_rng(0).standard_normal
    drawn = normal((len(images), model.latent_dim), dtype=np.float32)
    given = {
        "seed": np.arange(len(images)) + 2**40,
        "z": drawn,
        "noise": drawn,
        "images": images,
    } | condition
    inputs = {
        name: {spec.name: given[spec.name] for spec in specs}
        for name, (_, specs) in model.signatures().items()
    }
    if model.has("log_likelihood"):
        # The density of a flow is that of dequantized images: without noise they are far from it.
        for name in ("encode", "log_likelihood"):
            inputs[name]["images"] = dequantized(images, 0.5).numpy()
    if model.has("prior"):
        # The decoder is made for z from the prior, which may be far from N(0, I).
        inputs["decode"]["z"] = model.compute("prior", inputs["prior"])["z"]
    return inputs | {"serving_default": inputs["sample"]}


def answers(model, inputs) -> dict:
    """Returns the expected outputs of each signature, ``{signature: {output: array}}``.

    Samples are computed from their definition with NumPy's noise, other outputs by the Keras model.
    """
    seeds = inputs["sample"]
    condition = {name: value for name, value in seeds.items() if name != "seed"}
    z = noise.normal(seeds["seed"], model.latent_dim)
    if model.has("prior"):
        z = model.compute("prior", {"noise": z} | condition)["z"]
    drawn = model.compute("decode", {"z": z} | condition)
    png = {"png_bytes": np.round(drawn["images"] * 255).astype(np.uint8)}
    drawing = {"sample": drawn, "serving_default": drawn, "sample_png": png}
    return drawing | {
        name: model.compute(name, given) for name, given in inputs.items() if name not in drawing
    }


class Compiled:
    """Computes the signatures of a TF Lite file on LiteRT's ``CompiledModel``."""

    def __init__(self, path):
        self._model = CompiledModel.from_file(str(path))
        self.signatures = list(self._model.get_signature_list())

    def __call__(self, signature, inputs):
        given = {}
        for name, rows in inputs.items():
            self._model.resize_input_tensor_by_name(signature, name, rows.shape)
            given[name] = self._model.create_input_buffer_by_name(signature, name)
            given[name].write(rows)
        # Buffers that the model creates itself have the size of one row, and it writes beyond their
        # end (ai-edge-litert 2.3.0).
        buffers, answers = {}, {}
        for name, detail in self._model.get_output_tensor_details(signature).items():
            answers[name] = np.full((len(rows), *detail["shape"][1:]), np.nan, np.float32)
            buffers[name] = TensorBuffer.create_from_host_memory(answers[name])
        self._model.run_by_name(signature, given, buffers)
        # The buffer must be read, because the model copied the array if it was not aligned.
        for name, array in answers.items():
            array[:] = buffers[name].read(array.size, np.float32).reshape(array.shape)
        return answers


# TensorFlow Lite's built-in operations that exported models may use.
GATHERING = {"CONCATENATION", "GATHER"}
LAYOUT = {"DEPTH_TO_SPACE", "PAD", "RESHAPE", "SPACE_TO_DEPTH", "STRIDED_SLICE", "TRANSPOSE"}
WEIGHT_BEARING = {"CONV_2D", "FULLY_CONNECTED"}
ARITHMETIC = {
    "ADD",
    "ELU",
    "EXP",
    "LOG",
    "LOGISTIC",
    "MUL",
    "NEG",
    "SQUARE",
    "SQUARED_DIFFERENCE",
    "SUB",
    "SUM",
    "TANH",
}
CLIPPING = {"MAXIMUM", "MINIMUM", "RELU", "RELU_0_TO_1"}
CONVERSIONS = {"DEQUANTIZE", "QUANTIZE"}
# Only flows use these.
FLOW = {"ROUND", "ZEROS_LIKE"}
# Only some likelihoods use these.
CASES = {"ABS", "DIV", "GREATER", "LESS", "MEAN", "SELECT_V2", "SPLIT"}
OPERATIONS = (
    GATHERING | LAYOUT | WEIGHT_BEARING | ARITHMETIC | CLIPPING | CONVERSIONS | FLOW | CASES
)


def operations(path):
    """Yields (signature, name, input types, output types) for each operation of a TF Lite file.

    The names of operations in a prior's network start with "prior ".
    """
    model = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        for operation in graph.operators:
            inputs, outputs = (
                [
                    flatbuffer_utils.type_to_name(graph.tensors[tensor].type)
                    for tensor in tensors
                    if tensor >= 0
                ]
                for tensors in (operation.inputs, operation.outputs)
            )
            name = flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex)
            if b"prior" in graph.tensors[operation.outputs[0]].name:
                name = f"prior {name}"
            yield signature.signatureKey.decode(), name, inputs, outputs


def check_interfaces(path, inputs):
    """Asserts that both interfaces of LiteRT give equal outputs, for several batch sizes."""
    interpreter, compiled = LiteRT(path), Compiled(path)
    assert set(interpreter.signatures) == set(compiled.signatures)
    for signature in interpreter.signatures:
        for n in (1, 3, 100):
            rows = {name: rows[:n] for name, rows in inputs[signature].items()}
            ours, theirs = interpreter(signature, rows), compiled(signature, rows)
            assert set(ours) == set(theirs)
            for output, value in ours.items():
                np.testing.assert_allclose(theirs[output], value, 1e-5, 1e-6, err_msg=f"{n} rows")


def reshapes(path):
    """Yields (has a constant shape, computes an output) for each RESHAPE of a TF Lite file."""
    model = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        for operation in graph.operators:
            name = flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex)
            if name == "RESHAPE":
                shape = graph.tensors[operation.inputs[1]]
                constant = model.buffers[shape.buffer].data is not None
                yield constant, operation.outputs[0] in graph.outputs


def check_full_integer(path):
    """Asserts that networks and the decoding of images compute in int8, and priors in float32.

    The other signatures may end in float32 arithmetic on latent variables and log-probabilities.
    """
    for signature, name, inputs, outputs in operations(path):
        if name.startswith("prior") or signature in ("prior", "log_prior"):
            assert "INT8" not in inputs + outputs or name == "prior DEQUANTIZE"
        elif name in WEIGHT_BEARING:
            assert "FLOAT32" not in inputs + outputs
            assert inputs.count("INT8") == 2
            assert outputs == ["INT8"]
        elif signature == "decode" and name not in CONVERSIONS:
            assert "FLOAT32" not in inputs + outputs, (signature, name)


def check_runtimes(model, images, labels, folder):
    """Asserts that a model's signatures answer alike on every runtime.

    Args:
        model: The model.
        images: Images that it is calibrated on and is given.
        labels: Their labels.
        folder: Empty folder for the exported files.
    """
    inputs = signature_inputs(model, images, labels)
    saved_model.write(model, folder / "1")
    served = SavedModel(folder / "1")
    assert set(tflite.signatures(folder / "1")) == set(inputs)
    expected = answers(model, inputs)
    for name in {"sample", "decode", "encode", "reconstruct"} & set(inputs):
        for output, value in served(name, inputs[name]).items():
            np.testing.assert_allclose(value, expected[name][output], rtol=0, atol=1e-5)
    source = MemorySource(images, *condition_column(model, images, labels))
    samples = calibration.samples(model, source) if model.has_int8 else None
    for precision in tflite.PRECISIONS if model.has_int8 else ("float32", "float16"):
        path = folder / "model.tflite"
        path.write_bytes(tflite.convert(folder / "1", precision, samples))
        names = {name.removeprefix("prior ") for _, name, _, _ in operations(path)}
        assert names <= OPERATIONS, names - OPERATIONS
        assert all(constant for constant, _ in reshapes(path))
        check_interfaces(path, inputs)
        check_precision(model, LiteRT(path), inputs, expected, precision)
    if model.has_int8:
        check_full_integer(path)


def check_precision(model, lite, inputs, expected, precision):
    """Asserts that the outputs of a TF Lite file are within the tolerance of its precision."""
    for name in lite.signatures:
        converted = lite(name, inputs[name])
        for output, value in expected[name].items():
            scale = max(1, np.abs(value).max()) if output in ("score", "log_prob", "z") else 1
            if output == "log_prob":  # A sum over all values, each of which is rounded.
                scale = max(scale, model.latent_dim)
            if precision != "int8":
                tolerance = {"float32": 1e-5, "float16": 2e-3}[precision] * scale
                np.testing.assert_allclose(converted[output], value, rtol=0, atol=tolerance)
            elif output == "images":
                assert np.abs(converted[output] - value).mean() <= 0.02
            elif output == "score":
                assert np.abs(converted[output] - value).mean() <= 0.02 * scale

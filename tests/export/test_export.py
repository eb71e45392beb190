"""Tests of exports: complete files or none, and TF Lite files that agree with the Keras model."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import harness
from tests.conftest import ROOT, nightly_except
from zoo import export
from zoo.data import MemorySource
from zoo.export import calibration, saved_model, tflite
from zoo.inference.litert import LiteRT
from zoo.models import VAE, Glow
from zoo.publishing.weights import round_weights
from zoo.utils.atomic import atomic_write


@pytest.mark.parametrize(
    "kind",
    nightly_except(
        ("cvae_attributes", "cvae_patch", "dcgan_label", "realnvp_label"), harness.MODELS
    ),
)
def test_every_kind_of_model_answers_alike_on_every_runtime(kind, digits, tmp_path):
    model = harness.MODELS[kind]()
    harness.check_runtimes(model, digits[0][:50], digits[1][:50], tmp_path)
    if not model.has_int8:
        with pytest.raises(ValueError, match="which flows and baselines do not have; received: "):
            calibration.samples(model, MemorySource(*digits))


def test_a_file_of_float16_has_the_matrices_of_a_flow_prior_in_full(tmp_path, rng):
    """A matrix is a product of weights, which float16 would round, unlike the weights."""
    flow = {"class_name": "flow", "config": {"couplings": 2, "hidden": (8,)}}
    model = VAE(latent_dim=40, hidden=(4,), prior=flow)
    round_weights(model)
    saved_model.write(model, tmp_path / "1")
    (tmp_path / "model.tflite").write_bytes(tflite.convert(tmp_path / "1", "float16"))
    noise = {"noise": rng.standard_normal((20, 40), dtype=np.float32)}
    expected = model.compute("prior", noise)
    lite = LiteRT(tmp_path / "model.tflite")
    np.testing.assert_allclose(lite("prior", noise)["z"], expected["z"], rtol=0, atol=1e-5)
    # Its constant terms are rounded.
    densities = [compute("log_prior", expected) for compute in (lite, model.compute)]
    np.testing.assert_allclose(*(one["log_prob"] for one in densities), rtol=2e-5)


def test_a_file_of_float16_has_the_factors_and_constants_of_a_flow_in_full(tmp_path, rng):
    model = Glow((8, 8, 1), steps=(2, 2), filters=4, couplings=2, hidden=(8,))
    for weights in model.trainable_variables:
        weights.assign(weights + 0.1 * rng.standard_normal(weights.shape))
    round_weights(model)
    saved_model.write(model, tmp_path / "1")
    (tmp_path / "model.tflite").write_bytes(tflite.convert(tmp_path / "1", "float16"))
    lite = LiteRT(tmp_path / "model.tflite")
    z = {"z": rng.standard_normal((20, 64), dtype=np.float32)}
    images = model.compute("decode", z)
    np.testing.assert_allclose(lite("decode", z)["images"], images["images"], rtol=0, atol=1e-5)
    for signature, output in (("log_likelihood", "log_prob"), ("score", "score")):
        given = {"images": images["images"]}
        values = [compute(signature, given)[output] for compute in (lite, model.compute)]
        np.testing.assert_allclose(*values, rtol=1e-5)


def test_scores_of_images_that_are_very_unlikely_are_finite_in_a_tflite_file(tmp_path, rng):
    """The scale of the logistic distribution is small, so that exp(x) would overflow."""
    model = VAE((8, 8, 1), latent_dim=2, hidden=(4,), likelihood="discretized_logistic")
    model.decoder.trainable_weights[-1].assign(np.tile(np.float32([0.0, -6.0]), 64))
    round_weights(model)
    saved_model.write(model, tmp_path / "1")
    (tmp_path / "model.tflite").write_bytes(tflite.convert(tmp_path / "1", "float16"))
    images = {"images": np.round(255 * rng.random((20, 8, 8, 1), dtype=np.float32)) / 255}
    expected = model.compute("score", images)["score"]
    assert expected.min() > 64 * 88
    lite = LiteRT(tmp_path / "model.tflite")
    np.testing.assert_allclose(lite("score", images)["score"], expected, rtol=1e-3)


@pytest.mark.parametrize("kind", ["cvae_flow", "glow"])
def test_signatures_share_the_operations_of_the_maps(kind):
    """An artifact would otherwise have a copy of them for each signature."""
    model = harness.MODELS[kind]()
    types = {
        name: {operation.type for operation in model.concrete_function(name).graph.get_operations()}
        for name in model.functions()
    }
    assert "Sigmoid" in types["decode"]
    for name in ("sample", "sample_png"):
        assert not types[name] & {"Sigmoid", "Tanh", "Conv2D", "MatMul"}
    if kind == "glow":
        assert "Tanh" in types["forward"]
        for name in ("encode", "log_likelihood", "score"):
            assert "Tanh" not in types[name]


def test_a_saved_model_stores_no_gradients(tmp_path):
    """TensorFlow saves those of "silu" unless it is told not to."""
    saved_model.write(VAE((4, 4, 1), latent_dim=2, hidden=(4,), activation="silu"), tmp_path / "1")
    loaded = saved_model_pb2.SavedModel.FromString((tmp_path / "1/saved_model.pb").read_bytes())
    functions = loaded.meta_graphs[0].graph_def.library.function
    assert functions
    assert not [f.signature.name for f in functions if "grad" in f.signature.name]


def test_the_score_shares_the_operations_of_a_flow_prior():
    model = VAE((4, 4, 1), latent_dim=4, hidden=(4,), activation="relu", prior="flow")
    tanh = {
        name: [operation.type for operation in graph.get_operations()].count("Tanh")
        for name in model.signatures()
        for graph in [model.concrete_function(name).graph]
    }
    assert tanh["log_prior"] > 0
    assert tanh["score"] == 0


def test_no_signature_has_a_copy_of_a_large_constant():
    """Masks of a flow prior in float64 took a third of a megabyte in an artifact."""
    model = VAE((4, 4, 1), latent_dim=24, hidden=(4,), prior="flow")
    for name in model.signatures():
        operations = model.concrete_function(name).graph.get_operations()
        constants = [operation for operation in operations if operation.type == "Const"]
        assert max(operation.outputs[0].shape.num_elements() for operation in constants) < 100


@pytest.mark.parametrize("shape", [[None, None, 4], [None, 3, None, 4]])
def test_a_shape_that_only_the_run_knows_is_refused(shape, tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, "x")])
    def decode(x):
        return {"y": tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2], 4]) + 1}

    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"decode": decode})
    with pytest.raises(ValueError, match="shapes that are known except for the batch; received: "):
        tflite.convert(tmp_path / "1")


def test_an_adversarial_artifact_carries_the_generator_alone(tmp_path):
    model = harness.MODELS["dcgan"]()
    saved_model.write(model, tmp_path / "1")
    variables = tf.train.list_variables(str(tmp_path / "1" / "variables" / "variables"))
    numbers = [np.prod(shape) for name, shape in variables if name.endswith("VARIABLE_VALUE")]
    assert sum(numbers) == model.sampler.count_params()


def test_versions_count_upwards_and_leave_nothing_else(tmp_path):
    model = harness.MODELS["vae_dense"]()
    assert export.export_saved_model(model, tmp_path / "base") == tmp_path / "base" / "1"
    (tmp_path / "base" / "7").mkdir()
    assert export.export_saved_model(model, tmp_path / "base") == tmp_path / "base" / "8"
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["1", "7", "8"]
    assert tf.saved_model.contains_saved_model(str(tmp_path / "base" / "8"))


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "file.txt").write_text("old")

    def fail():
        with atomic_write(tmp_path / "file.txt") as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "file.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_exports_at_once_take_a_number_each(tmp_path):
    """Renames 400 folders from eight threads; each must arrive complete with its own number."""
    base = tmp_path / "base"
    base.mkdir()
    finished = [tmp_path / str(i) for i in range(400)]
    for folder in finished:
        (folder / "variables").mkdir(parents=True)
        (folder / "variables" / "index").write_text(folder.name)
    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(lambda folder: export.next_version(folder, base), finished))
    assert sorted(int(version.name) for version in versions) == list(range(1, 401))
    for folder, version in zip(finished, versions):
        assert (version / "variables" / "index").read_text() == folder.name


@pytest.mark.parametrize("base_path", ["/dev/null", "/dev/null/base", "/proc/base"])
def test_a_base_path_that_cannot_be_written_is_refused_before_the_work(base_path):
    with pytest.raises(
        OSError, match=f"^{base_path} must be a folder that can be written to, or a new one"
    ):
        export.export_saved_model(None, base_path)


# Importing TensorFlow takes seconds, so that each writer is a fork of one process that imported it.
# The fork comes before TensorFlow starts a thread.
WRITERS = """
    import os, sys
    from tests import harness
    from zoo import export

    for line in sys.stdin:
        writer = os.fork()
        if not writer:
            model = harness.MODELS["gan"]()
            for _ in range(20):
                export.export_saved_model(model, "base")
            os._exit(0)
        print(writer, flush=True)
        os.waitpid(writer, 0)
        print("killed", flush=True)
"""


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_it_leaves_no_partial_version(tmp_path, rng, kills):
    writers = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    base = tmp_path / "base"

    def writing():
        return set(base.glob(".*.partial/version/variables"))

    with writers:
        while len(seen := writing()) < kills:  # each kill comes during a write
            print("write", file=writers.stdin, flush=True)
            writer = int(writers.stdout.readline())
            for _ in range(rng.integers(1, 4)):  # the kill comes in version 1, 2 or 3
                until = time.monotonic() + 60
                while not (new := writing() - seen):
                    assert time.monotonic() < until, "the writer writes nothing"
                    time.sleep(0.001)
                seen |= new
            time.sleep(rng.uniform(0, 0.03))
            os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "killed\n"
        writers.stdin.close()
    versions = [path for path in base.iterdir() if not path.name.startswith(".")]
    assert sorted(int(path.name) for path in versions) == list(range(1, len(versions) + 1))
    for version in versions:
        assert set(tflite.signatures(version)) >= {"sample", "sample_png", "decode"}
    assert export.export_saved_model(harness.MODELS["gan"](), base).name == str(len(versions) + 1)

"""Exports: whole or not there, and TF Lite files that answer as the model does."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import harness
from tests.conftest import FIXTURE
from zoo import export
from zoo.export import calibration, saved_model, tflite
from zoo.files import whole
from zoo.runtimes.litert import LiteRT
from zoo.runtimes.saved_model import SavedModel

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("kind", harness.MODELS)
def test_every_kind_of_model_answers_alike_on_every_runtime(kind, digits, tmp_path):
    model = harness.MODELS[kind]()
    images, labels = digits[0][:50], digits[1][:50]
    inputs = harness.signature_inputs(model, images, labels)
    saved_model.write(model, tmp_path / "1")
    served = SavedModel(tmp_path / "1")
    assert set(tflite.signatures(tmp_path / "1")) == set(inputs)
    expected = harness.answers(model, inputs)
    for name in {"sample", "decode", "encode", "reconstruct"} & set(inputs):
        for output, value in served(name, inputs[name]).items():
            np.testing.assert_allclose(value, expected[name][output], rtol=0, atol=1e-5)
    samples = calibration.samples(model, harness.recipe(model), FIXTURE)
    for precision in tflite.PRECISIONS:
        path = tmp_path / "model.tflite"
        path.write_bytes(tflite.convert(tmp_path / "1", precision, samples))
        assert {name for _, name, _, _ in harness.operations(path)} <= harness.OPERATIONS
        lite = LiteRT(path)
        for name in lite.signatures:
            converted = lite(name, inputs[name])
            for output, value in expected[name].items():
                scale = np.abs(value).max() if output == "score" else 1
                if precision != "int8":
                    tolerance = {"float32": 1e-5, "float16": 2e-3}[precision]
                    np.testing.assert_allclose(converted[output], value, rtol=0, atol=tolerance * scale)
                elif output == "images":
                    assert np.abs(converted[output] - value).mean() <= 0.02
                elif output == "score":
                    assert np.abs(converted[output] - value).mean() <= 0.02 * scale
    harness.check_full_integer(path)


def test_an_adversarial_artifact_carries_the_generator_alone(tmp_path):
    model = harness.MODELS["dcgan"]()
    saved_model.write(model, tmp_path / "1")
    variables = tf.train.list_variables(str(tmp_path / "1" / "variables" / "variables"))
    numbers = [np.prod(shape) for name, shape in variables if name.endswith("VARIABLE_VALUE")]
    assert sum(numbers) == model.sampler.count_params()


def test_versions_count_upwards_and_leave_nothing_else(tmp_path):
    model = harness.MODELS["vae_dense"]()
    assert export.publish_version(model, tmp_path / "base") == tmp_path / "base" / "1"
    (tmp_path / "base" / "7").mkdir()
    assert export.publish_version(model, tmp_path / "base") == tmp_path / "base" / "8"
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["1", "7", "8"]
    assert tf.saved_model.contains_saved_model(str(tmp_path / "base" / "8"))


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "file.txt").write_text("old")

    def fail():
        with whole(tmp_path / "file.txt") as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "file.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


KILLED = """
    from tests import harness
    from zoo import export

    model = harness.MODELS["vae_dense"]()
    model.sample(1)
    print("ready", flush=True)
    while True:
        export.publish_version(model, "base")
"""


def test_killed_at_any_moment_it_leaves_no_partial_version(tmp_path):
    code = textwrap.dedent(KILLED)
    for delay in np.random.default_rng(0).uniform(0.2, 1.5, 4):
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert process.stdout.readline() == b"ready\n"
        while not (tmp_path / "base" / "1").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    versions = [path for path in (tmp_path / "base").iterdir() if path.name.isdigit()]
    assert versions
    for version in versions:
        assert set(tflite.signatures(version)) >= {"sample", "decode", "encode"}

"""The command line in processes of their own: output, exit status, one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo
from tests import harness
from tests.conftest import FIXTURE
from zoo import cli

ENVIRONMENT = os.environ | {"TFDS_DATA_DIR": FIXTURE, "PYTHONPATH": str(Path(zoo.__file__).parent.parent)}


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "zoo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT)


def test_list_and_info():
    assert json.loads(run("list", "--json").stdout) == zoo.list_models()
    assert run("list", "*quadrant*").stdout.split() == zoo.list_models("*quadrant*")
    assert json.loads(run("info", "cvae_mnist", "--json").stdout)["files"] == zoo.info("cvae_mnist").files
    assert "published: 82.32" in run("info", "cvae_mnist").stdout


@pytest.mark.parametrize("runtime", ["litert", "litert-int8", "saved_model", "keras"])
def test_sample_writes_a_sheet(tmp_path, runtime):
    done = run("sample", "cvae_mnist", "--labels", "0-9", "--runtime", runtime, "-o", "digits.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits.png" in done.stdout
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (10 * 30 + 2, 32)
        assert picture.getextrema()[1] == 255
    assert [path.name for path in tmp_path.iterdir()] == ["digits.png"]


def test_sample_takes_a_condition(tmp_path):
    Image.new("L", (14, 14)).save(tmp_path / "given.png")
    done = run("sample", "cvae_quadrant_mnist", "--condition", "given.png", "-n", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "cvae_quadrant_mnist.png") as picture:
        assert picture.size == (62, 62)


def test_verify():
    done = run("verify", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"ok": True, "problems": []}


def test_train_evaluate_and_export(tmp_path):
    settings = ["--set", "batch_size=100", "--set", "model.hidden=[8]", "--set", "model.latent_dim=3"]
    done = run("train", "vae_dense_mnist", "--epochs", "1", *settings, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("evaluate", "run", "--metric", "nll", "--json", cwd=tmp_path)
    (metric,) = json.loads(done.stdout)["metrics"]
    assert metric["name"] == "nll"
    assert metric["n"] == 100
    assert run("export", "run", "--format", "saved_model", "-o", "base", cwd=tmp_path).returncode == 0
    assert run("export", "run", "--format", "saved_model", "-o", "base", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["1", "2"]
    done = run("export", "run", "--format", "tflite-int8", "-o", "model.tflite", "--data-dir", FIXTURE, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    harness.check_full_integer(tmp_path / "model.tflite")
    done = run("evaluate", "run", "--runtime", "litert-int8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "zoo: run is a run, which the keras runtime computes, not litert-int8.\n")


def test_int8_without_data_says_where_they_were_sought(tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", "vae_mnist", "--format", "tflite-int8", "-o", str(tmp_path / "x"), "--data-dir", str(tmp_path)])
    assert stop.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert f"mnist is not in {tmp_path}" in line
    assert not any(tmp_path.iterdir())


def test_int8_of_a_gan_needs_no_data(tmp_path):
    done = run("export", "cdcgan_mnist", "--format", "tflite-int8", "-o", "x.tflite", "--data-dir", "none", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tflite"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["sample", "cvae_mnits"], 2, "no model 'cvae_mnits'; the nearest is 'cvae_mnist'"),
        (["sample", "cvae_mnist", "--labels", "0-x"], 2, "'0-x' is not a list of labels: write 7, 0-9 or 1,4"),
        (["sample", "cvae_mnist", "--labels", "9-0"], 2, "empty range"),
        (["sample", "cvae_mnist", "--labels", "10"], 2, "labels must be from 0 to 9, but 10 is among them"),
        (["sample", "vae_mnist", "--labels", "1"], 2, "not conditional on a label"),
        (["sample", "cvae_quadrant_mnist"], 2, "give one of 14x14 pixels with --condition"),
        (["sample", "no/such/model"], 2, "There is no model 'no/such/model'"),
        (["train", "vae_mnist", "--set", "optimizer=Adm"], 2, "no optimizer 'Adm' in Keras; the nearest is 'Adam'"),
        (["train", "vae_mnist", "--set", "binarize=static"], 2, "binarize must be one of dynamic, None"),
        (["train", "vae_mnist", "--set", "model=3"], 2, "model has parts: write model.KEY=VALUE"),
        (["sample", "cvae_mnist", "-n", "0"], 2, "0 is not in the range x>=1"),
        (["sample", "cvae_mnist", "--seed", "-1"], 2, "-1 is not in the range"),
        (["sample", "cvae_mnist", "-o", "no/such/folder.png"], 1, "There is no folder no/such"),
        (["sample", "cvae_mnist", "--runtime", "torch"], 2, "'torch' is not one of"),
        (["info", "nothing"], 2, "There is no model 'nothing'"),
        (["train", "vae_mnits"], 2, "no recipe 'vae_mnits'; the nearest is 'vae_mnist'"),
        (["train", "vae_mnist", "--set", "batchsize=1"], 2, "no setting 'batchsize'; the nearest is 'batch_size'"),
        (["train", "vae_mnist", "--set", "cycles"], 2, "--set takes KEY=VALUE"),
        (
            ["train", "vae_mnist", "--set", "cycles=many"],
            2,
            "cycles must be a list of [epochs, learning rate, {attribute: value}], not 'many'",
        ),
        (["train", "vae_mnist", "--set", "model.layers=3"], 2, "does not take these arguments"),
        (["train", "vae_mnist", "--set", "batch_size=1000"], 2, "A batch of 1000 images does not fit"),
        (["train", "vae_mnist", "--resume", "--run-dir", "none"], 1, "to resume from: start without --resume"),
        (["evaluate", "vae_mnist", "--metric", "fid"], 2, "not measured by 'fid'"),
        (
            ["evaluate", "vae_mnist", "--metric", "nll", "--runtime", "litert-int8"],
            2,
            "not measured by 'nll' on the runtime litert-int8; there are nll_decoded",
        ),
        (["export", "vae_mnist", "--format", "onnx", "-o", "x"], 2, "'onnx' is not one of"),
        (["export", "vae_mnist", "--format", "saved_model", "-o", "/dev/null"], 1, "/dev/null must be a folder"),
        (["verify", "nothing"], 2, "There is no model 'nothing'"),
        (["lst"], 2, "No such command 'lst'"),
    ],
)
def test_a_users_error_is_one_line(tmp_path, arguments, status, sentence):
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not any(tmp_path.iterdir())

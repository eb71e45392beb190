"""Tests of the command line: output, exit status, and errors of one line."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import zoo
from tests import harness
from tests.conftest import FIXTURE, ROOT, nightly_except
from tests.training.test_training import SMALL
from zoo import catalog, cli, data, evaluation, recipes, training
from zoo.data.views import binarize
from zoo.inference import noise
from zoo.utils import image_files

ENVIRONMENT = os.environ | {
    "TFDS_DATA_DIR": FIXTURE,
    "PYTHONPATH": str(ROOT),
}


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "zoo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Returns a folder with a run, a Keras file of another model, and a copy of an artifact."""
    folder = tmp_path_factory.mktemp("models")
    training.train(SMALL, folder / "run", data_dir=FIXTURE, verbose=0)
    zoo.models.DCGAN(latent_dim=4, filters=(8, 4)).save(folder / "gan.keras")
    shutil.copytree(catalog.directory("cvae_mnist"), folder / "mine")
    return folder


def called(capfd, *arguments, status=0):
    """Returns the standard output of a command, or its standard error if it fails."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(map(str, arguments)))
    written = capfd.readouterr()
    assert (stop.value.code or 0, written.err if not status else "") == (status, ""), written.err
    return written.err if status else written.out


def test_list_and_info():
    assert json.loads(run("list", "--json").stdout) == zoo.list_models()
    assert run("list", "*quadrant*").stdout.split() == zoo.list_models("*quadrant*")
    assert (
        json.loads(run("info", "cvae_mnist", "--json").stdout)["files"]
        == zoo.info("cvae_mnist").files
    )
    assert "published: 82.32" in run("info", "cvae_mnist").stdout


@pytest.mark.parametrize(
    "runtime",
    nightly_except(("litert", "litert-int8"), ("litert", "litert-int8", "saved_model", "keras")),
)
def test_sample_writes_a_sheet(tmp_path, runtime):
    done = run(
        "sample",
        "cvae_mnist",
        "--labels",
        "0-9",
        "--runtime",
        runtime,
        "-o",
        "digits.png",
        cwd=tmp_path,
    )
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


def test_the_version_is_the_packages():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"zoo {zoo.__version__}\n", "")


@pytest.mark.parametrize("name", cli.cli.commands)
def test_help_has_examples_that_the_command_takes(name, capfd):
    text = called(capfd, name, "--help")
    examples = [line.split() for line in text.splitlines() if line.startswith("    zoo ")]
    assert examples
    for program, command, *arguments in examples:
        assert (program, command) == ("zoo", name)
        cli.cli.commands[name].make_context(name, arguments)


def test_help_of_train_lists_every_key_of_set(capfd):
    text = called(capfd, "train", "--help")
    keys = re.sub(r"\s+", " ", text).partition("Keys of --set: ")[2].partition(".  ")[0]
    for field in dataclasses.fields(recipes.Recipe):
        assert re.search(rf"\b{field.name}\b", keys), field.name
    assert {"model.KEY", "optimizer_arguments.KEY", "batch_size"} <= set(re.split(", | ", keys))


def test_evaluate_measures_the_first_images_alone(models, monkeypatch, capfd):
    monkeypatch.chdir(models)
    command = "evaluate run --metric nll --images 60 --json"
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--data-dir", FIXTURE])
    written = capfd.readouterr()
    (metric,) = json.loads(written.out)["metrics"]
    assert (metric["n"], metric["split"], metric["anchor"]) == (60, "test[:60]", None)
    assert f"zoo {command}" == f"{metric['command']} --json"
    assert written.err.splitlines() == ["nll: 50 of 60", "nll: 60 of 60"]
    images, labels = data.tfds("mnist", "test[:60]", FIXTURE).first()
    nats = zoo.load("run").log_likelihood(binarize(images), labels, samples=500)
    assert metric["value"] == pytest.approx(-nats.mean(), rel=1e-6)


def test_a_value_that_is_no_number_is_null_in_json(models, monkeypatch, capfd):
    class NaN(evaluation.Metric):
        """Metric that is not a number."""

        def measure(self, model, data, *, samples=0, progress=None):
            return {"value": float("nan"), "stderr": float("inf"), "n": 1}

    monkeypatch.setitem(evaluation.METRICS, "nll", NaN())
    document = json.loads(
        called(capfd, "evaluate", models / "run", "--metric", "nll", "--json"),
        parse_constant=pytest.fail,
    )
    assert (document["metrics"][0]["value"], document["metrics"][0]["stderr"]) == (None, None)


def test_progress_says_how_long_it_will_take(capfd):
    report = cli.Progress()
    report("nll", 50, 10_000)
    time.sleep(0.1)
    report("nll", 100, 10_000)
    first, second = capfd.readouterr().err.splitlines()
    assert first == "nll: 50 of 10000"
    left = re.fullmatch(r"nll: 100 of 10000, about (\d+) s left", second)
    assert (
        int(left[1]) >= 20
    )  # the time between the reports is at least 0.1 s, and 198 intervals are left
    for done in range(150, 1001, 50):
        report("nll", done, 10_000)
    (tenth,) = capfd.readouterr().err.splitlines()
    assert tenth.startswith("nll: 1000 of 10000, about ")
    assert [cli.duration(seconds) for seconds in (0.2, 89, 150, 9000)] == [
        "1 s",
        "89 s",
        "3 min",
        "2.5 h",
    ]


def test_verify():
    done = run("verify", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"ok": True, "problems": []}


@pytest.mark.nightly
def test_train_evaluate_and_export(tmp_path):
    settings = [
        "--set",
        "batch_size=100",
        "--set",
        "model.hidden=[8]",
        "--set",
        "model.latent_dim=3",
    ]
    done = run(
        "train", "vae_dense_mnist", "--epochs", "1", *settings, "--run-dir", "run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = run("evaluate", "run", "--metric", "nll", "--json", cwd=tmp_path)
    (metric,) = json.loads(done.stdout)["metrics"]
    assert metric["name"] == "nll"
    assert metric["n"] == 100
    assert (
        run("export", "run", "--format", "saved_model", "-o", "base", cwd=tmp_path).returncode == 0
    )
    assert (
        run("export", "run", "--format", "saved_model", "-o", "base", cwd=tmp_path).returncode == 0
    )
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["1", "2"]
    done = run(
        "export",
        "run",
        "--format",
        "tflite-int8",
        "-o",
        "model.tflite",
        "--data-dir",
        FIXTURE,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    harness.check_full_integer(tmp_path / "model.tflite")
    done = run("evaluate", "run", "--runtime", "litert-int8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "zoo: runtime must be one of keras, for which run has files; received: 'litert-int8'.\n",
    )


def test_resume_reads_the_runs_own_recipe_and_extends_it(models, tmp_path, monkeypatch, capfd):
    shutil.copytree(models / "run", tmp_path / "runs" / "cvae_mnist")
    monkeypatch.chdir(tmp_path)
    resume = ("train", "cvae_mnist", "--resume", "--data-dir", FIXTURE)
    written = called(capfd, *resume)
    assert (
        "Nothing is left to train in runs/cvae_mnist: its 3 epochs are done. "
        "More --epochs extend it." in written
    )
    (line,) = called(
        capfd, *resume, "--set", "batch_size=50", "--set", "split=train", status=2
    ).splitlines()
    assert "batch_size of the run in runs/cvae_mnist is 100; received: 50." in line
    (line,) = called(capfd, *resume, "--epochs", 2, status=2).splitlines()
    assert "epochs must be at least 3, those of the recipe; received: 2." in line
    (line,) = called(
        capfd, "train", "gan_mnist", "--resume", "--run-dir", "runs/cvae_mnist", status=2
    ).splitlines()
    assert "family must be CVAE, that of the run in runs/cvae_mnist; received: GAN" in line
    written = called(capfd, *resume, "--epochs", 4, "--set", "batch_size=100")
    assert "runs/cvae_mnist: CVAE on mnist, 3 of 4 epochs are done." in written
    assert [line["epoch"] for line in training.Run("runs/cvae_mnist").history()] == [1, 2, 3, 4]
    assert training.Run("runs/cvae_mnist").read_recipe().cycles == [
        *SMALL.cycles,
        [1, *SMALL.cycles[-1][1:]],
    ]


def test_cycles_are_scaled_to_the_number_of_epochs(capfd):
    printed = called(capfd, "train", "cvae_quadrant_mnist", "--epochs", 10, "--dry-run")
    cycles = recipes.named("cvae_quadrant_mnist").cycles
    assert [length for length, _, _ in cycles] == [16, 12, 5]
    scaled = json.loads(printed)["cycles"]
    assert scaled == [[length, *cycle[1:]] for length, cycle in zip([5, 4, 1], cycles)]


def test_a_recipe_is_printed_and_trained_from_its_file(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    settings = ["model.hidden=[8]", "model.filters=[4]", "batch_size=100"]
    options = [word for setting in settings for word in ("--set", setting)]
    Path("mine.json").write_text(
        called(capfd, "train", "cvae_mnist", "--epochs", 1, *options, "--dry-run")
    )
    written = recipes.read("mine.json")
    model = recipes.named("cvae_mnist").model | {"hidden": [8], "filters": [4]}
    assert (written.model, written.batch_size, written.epochs) == (model, 100, 1)
    assert not Path("runs").exists()
    assert "runs/mine/model.keras" in called(capfd, "train", "mine.json", "--data-dir", FIXTURE)
    assert training.Run("runs/mine").read_recipe() == written
    called(capfd, "train", "mine.json", "--resume", "--data-dir", FIXTURE)
    Path("mine.json").write_text(Path("mine.json").read_text().replace("100", "0"))
    (line,) = called(capfd, "train", "mine.json", status=2).splitlines()
    assert line == "zoo: mine.json: batch_size must be an integer of at least 1; received: 0."
    (line,) = called(capfd, "train", "none.json", status=1).splitlines()
    assert line == "zoo: There is no recipe file none.json."


PATHS = ["run", "gan.keras", "mine"]


@pytest.mark.parametrize("name", nightly_except(("run", "mine"), PATHS))
def test_sample_info_and_export_take_a_path(models, name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(models)
    called(capfd, "sample", name, "-n", 4, "-o", tmp_path / "sheet.png")
    images = zoo.load(name, "litert" if name == "mine" else "keras").sample(4)
    with Image.open(tmp_path / "sheet.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(image_files.sheet(images)))
    card = json.loads(called(capfd, "info", name, "--json"))
    assert set(card) == set(json.loads(zoo.info("cvae_mnist").to_json()))
    assert f"{card['family']} on" in called(capfd, "info", name)
    called(capfd, "export", name, "--format", "tflite", "-o", tmp_path / "x.tflite")
    interpreter = Interpreter(str(tmp_path / "x.tflite"))
    z = noise.normal(np.arange(4), card["latent_dim"])
    label = {"label": np.arange(4, dtype=np.int32)} if card["num_classes"] else {}
    if "prior" in interpreter.get_signature_list():
        z = interpreter.get_signature_runner("prior")(noise=z, **label)["z"]
    decode = interpreter.get_signature_runner("decode")
    np.testing.assert_allclose(decode(z=z, **label)["images"], images, atol=2e-3)


def test_the_picture_of_a_path_has_the_name_of_its_last_part(models, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    called(capfd, "sample", models / "gan.keras", "-n", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["gan.png"]


def test_evaluate_takes_a_run_and_an_artifact_and_prints_one_document(models, monkeypatch, capfd):
    monkeypatch.chdir(models)
    for name in ("run", "mine"):
        with pytest.raises(SystemExit):
            cli.main(["evaluate", name, "--metric", "nll", "--data-dir", FIXTURE, "--json"])
        document = json.loads(capfd.readouterr().out)
        assert document["name"] == name
        assert document["metrics"][0]["command"] == f"zoo evaluate {name} --metric nll"


def test_verify_takes_the_folder_of_an_artifact(models, tmp_path, capfd):
    shutil.copytree(models / "mine", tmp_path / "copy")
    assert json.loads(called(capfd, "verify", tmp_path / "copy", "cvae_mnist", "--json")) == {
        "ok": True,
        "problems": [],
    }
    (tmp_path / "copy" / "samples.png").write_bytes(b"")
    with pytest.raises(SystemExit, match="1"):
        cli.main(["verify", str(tmp_path / "copy"), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert not document["ok"]
    assert "samples.png is damaged" in document["problems"][0]


def test_verify_takes_and_counts_the_evaluation_models(capfd):
    assert called(capfd, "verify", "evaluation/classifier_mnist").startswith("Verified 1:")
    assert called(capfd, "verify").startswith(f"Verified {len(catalog.all_names())}:")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["verify", "run"], 2, "their card; received: run, a run."),
        (
            ["evaluate", "gan.keras"],
            2,
            "gan.keras has no recipe, which names the data and the metrics. To measure it, name",
        ),
        (["sample", "rnu"], 2, "There is no model 'rnu'; the nearest is 'run'."),
        (
            ["sample", "gan.keras", "--runtime", "litert"],
            2,
            "runtime must be one of keras, for which gan.keras has files; received: 'litert'.",
        ),
        (
            ["info", "./gna.keras"],
            2,
            "There is no model './gna.keras'; the nearest is 'gan.keras'.",
        ),
        (["serve", "run", "./run"], 2, "run and ./run would both be served as 'run': rename one."),
    ],
)
def test_a_wrong_path_is_one_line(models, arguments, status, sentence, monkeypatch, capfd):
    monkeypatch.chdir(models)
    (line,) = called(capfd, *arguments, status=status).splitlines()
    assert sentence in line


def test_serve_takes_paths_and_leaves_nothing_behind(models, tmp_path):
    command = [
        sys.executable,
        "-m",
        "zoo",
        "serve",
        "run",
        "gan.keras",
        "mine",
        "vae_mnist",
        "--port",
        "0",
    ]
    environment = ENVIRONMENT | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=models, env=environment
    ) as server:
        try:
            names, _, port = server.stdout.readline().strip().rpartition(" on http://127.0.0.1:")
            assert names == "Serving run, gan, mine, vae_mnist"
            for name, path in (("run", "run"), ("gan", "gan.keras"), ("mine", "mine")):
                label = {"label": 0} if name != "gan" else {}
                body = json.dumps({"instances": [{"seed": 5} | label]}).encode()
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/v1/models/{name}:predict", body
                ) as answer:
                    (image,) = json.load(answer)["predictions"]
                expected = zoo.load(models / path).sample(
                    1, seed=5, **({"labels": 0} if label else {})
                )[0]
                np.testing.assert_allclose(image, expected, atol=1e-5)
            assert list(tmp_path.glob("zoo-serve-*"))
        finally:
            server.terminate()
    assert not list(tmp_path.glob("zoo-serve-*"))


def test_int8_without_data_says_where_they_were_sought(tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(SystemExit) as stop:
        cli.main(
            [
                "export",
                "vae_mnist",
                "--format",
                "tflite-int8",
                "-o",
                str(tmp_path / "x"),
                "--data-dir",
                str(tmp_path),
            ]
        )
    assert stop.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert f"mnist is not in {tmp_path}" in line
    assert not any(tmp_path.iterdir())


@pytest.mark.nightly
def test_int8_of_a_gan_needs_no_data(tmp_path):
    done = run(
        "export",
        "cdcgan_mnist",
        "--format",
        "tflite-int8",
        "-o",
        "x.tflite",
        "--data-dir",
        "none",
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tflite"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["sample", "cvae_mnits"], 2, "no model 'cvae_mnits'; the nearest is 'cvae_mnist'"),
        (
            ["sample", "cvae_mnist", "--labels", "0-x"],
            2,
            "--labels must be numbers (7, 0-9 or 1,4); received: '0-x'",
        ),
        (
            ["sample", "cvae_mnist", "--labels", "9-0"],
            2,
            "must have the lower label first; received: '9-0'",
        ),
        (
            ["sample", "cvae_mnist", "--labels", "10"],
            2,
            "labels must be integers from 0 to 9; received: 10",
        ),
        (["sample", "vae_mnist", "--labels", "1"], 2, "--labels must be left out"),
        (["sample", "cvae_quadrant_mnist"], 2, "--condition must be a picture of 14x14 pixels"),
        (["sample", "evaluation/classifier_mnist"], 2, "NAME must be a model that draws images"),
        (["sample", "no/such/model"], 2, "There is no model 'no/such/model'"),
        pytest.param(
            ["train", "vae_mnist", "--set", "optimizer=Adm"],
            2,
            "no optimizer 'Adm' in Keras; the nearest is 'Adam'",
            marks=pytest.mark.nightly,
        ),
        (
            ["train", "vae_mnist", "--set", "binarize=static"],
            2,
            "binarize must be 'dynamic' or null",
        ),
        (["train", "vae_mnist", "--set", "model=3"], 2, "model has parts: write model.KEY=VALUE"),
        (["sample", "cvae_mnist", "-n", "0"], 2, "0 is not in the range x>=1"),
        (["sample", "cvae_mnist", "--seed", "-1"], 2, "-1 is not in the range"),
        (["sample", "cvae_mnist", "-o", "no/such/folder.png"], 1, "There is no folder no/such"),
        (["sample", "cvae_mnist", "--runtime", "torch"], 2, "'torch' is not one of"),
        (["info", "nothing"], 2, "There is no model 'nothing'"),
        (["train", "vae_mnits"], 2, "no recipe 'vae_mnits'; the nearest is 'vae_mnist'"),
        (
            ["train", "vae_mnist", "--set", "batchsize=1"],
            2,
            "no setting 'batchsize'; the nearest is 'batch_size'",
        ),
        (["train", "vae_mnist", "--set", "cycles"], 2, "--set must be KEY=VALUE"),
        (
            ["train", "vae_mnist", "--set", "cycles=many"],
            2,
            "learning rate, {attribute: number}]; received: 'many'",
        ),
        (
            ["train", "vae_mnist", "--set", "model.layers=3"],
            2,
            "model must be arguments of VAE (VAE has no argument 'layers').",
        ),
        pytest.param(
            ["train", "vae_mnist", "--set", "batch_size=1000"],
            2,
            "A batch of 1000 images does not fit",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            ["train", "vae_mnist", "--resume", "--run-dir", "none"],
            1,
            "to resume from: start without --resume",
            marks=pytest.mark.nightly,
        ),
        (["evaluate", "vae_mnist", "--metric", "fid"], 2, "cannot be measured by 'fid'"),
        pytest.param(
            ["evaluate", "vae_mnist", "--metric", "nll", "--runtime", "litert-int8"],
            2,
            "not measured by 'nll' on the runtime litert-int8; there are nll_decoded",
            marks=pytest.mark.nightly,
        ),
        (["export", "vae_mnist", "--format", "onnx", "-o", "x"], 2, "'onnx' is not one of"),
        pytest.param(
            ["export", "vae_mnist", "--format", "saved_model", "-o", "/dev/null"],
            1,
            "/dev/null must be a folder",
            marks=pytest.mark.nightly,
        ),
        (["verify", "nothing"], 2, "There is no model 'nothing'"),
        (["lst"], 2, "No such command 'lst'"),
    ],
)
def test_a_users_error_is_one_line(tmp_path, arguments, status, sentence, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", FIXTURE)
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    written = capfd.readouterr()
    assert (stopped.value.code, written.out) == (status, "")
    assert sentence in written.err
    assert len(written.err.splitlines()) == 1, written.err
    assert not any(tmp_path.iterdir())

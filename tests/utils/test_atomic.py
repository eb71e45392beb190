"""Tests of the files that commands write: complete or absent, and errors of one sentence."""

import os
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests import harness
from tests.conftest import FIXTURE, ROOT
from zoo import export, recipes, training
from zoo.utils import image_files
from zoo.utils.atomic import atomic_write

ENVIRONMENT = os.environ | {"TFDS_DATA_DIR": FIXTURE, "PYTHONPATH": str(ROOT)}
ADVICE = "Free some space there, or write to another place."


def run(*arguments, **settings):
    command = [sys.executable, "-m", "zoo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, **settings)


def check_refusal(done, path, reason="No space left on device"):
    sentence = f"zoo: {path} cannot be written: {reason}. {ADVICE}\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.fixture
def disk(tmp_path):
    """Mounts a file system of 1 MiB."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path / "disk"]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("A file system cannot be mounted here.")
    yield tmp_path / "disk"
    subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


@pytest.fixture
def full(disk):
    """Fills the file system of 1 MiB except for 4 KiB."""
    (disk / "old").write_bytes(bytes(1020 * 1024))
    return disk


def test_a_picture_on_a_full_disk_is_one_sentence(full):
    check_refusal(run("sample", "vae_dense_mnist", "-n", 100, "-o", full / "x.png"), full / "x.png")
    assert os.listdir(full) == ["old"]


@pytest.mark.nightly
def test_a_tflite_file_on_a_full_disk_is_one_sentence(full):
    done = run("export", "vae_dense_mnist", "--format", "tflite", "-o", full / "x.tflite")
    check_refusal(done, full / "x.tflite")
    assert os.listdir(full) == ["old"]


def test_a_tflite_file_with_a_full_temporary_folder_is_one_sentence(full, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(full))
    refused = rf"^{full}/\w+ cannot be written: No space left on device. {ADVICE}$"
    with pytest.raises(OSError, match=refused):
        export.export_tflite(harness.MODELS["gan"](), tmp_path / "x.tflite", "float32")
    # TensorFlow stores the source of traced functions there until the process ends.
    assert [path.name for path in full.iterdir() if "autograph" not in path.name] == ["old"]
    assert os.listdir(tmp_path) == ["disk"]


@pytest.mark.parametrize("base", ["base", "new/base", "."])
def test_a_saved_model_on_a_full_disk_leaves_nothing(full, base):
    refused = f"^{full / base} cannot be written: No space left on device. {ADVICE}$"
    with pytest.raises(OSError, match=refused):
        export.export_saved_model(harness.MODELS["gan"](), full / base)
    assert os.listdir(full) == ["old"]


def test_a_training_on_a_full_disk_goes_on_when_there_is_space(disk):
    """Fails at the second checkpoint, which does not fit on the disk together with the first."""
    model = {"hidden": [50], "latent_dim": 3}
    recipe = replace(recipes.named("vae_dense_mnist"), model=model, batch_size=100)
    recipe = replace(recipe, cycles=[[2, 0.001, {}]])
    refused = f"^{disk / 'run'}.* cannot be written: No space left on device. {ADVICE}$"
    with pytest.raises(OSError, match=refused):
        training.train(recipe, disk / "run", data_dir=FIXTURE, verbose=0)
    left = {path.name for path in (disk / "run").iterdir()}
    assert left == {"recipe.json", "history.jsonl", "checkpoint.keras", "logs", "samples"}
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    training.train(recipe, disk / "run", data_dir=FIXTURE, resume=True, verbose=0)
    assert [line["epoch"] for line in training.Run(disk / "run").history()] == [1, 2]


def test_a_file_that_grows_beyond_a_limit_is_one_sentence(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = run("sample", "vae_dense_mnist", "-o", tmp_path / "x.png", preexec_fn=limit)
    check_refusal(done, tmp_path / "x.png", "File too large")
    assert os.listdir(tmp_path) == []


def test_other_errors_of_a_writer_stay_as_they_are(tmp_path):
    with pytest.raises(KeyError, match="mine"), atomic_write(tmp_path / "x"):
        raise KeyError("mine")
    with pytest.raises(FileNotFoundError, match=r"^no data$"), atomic_write(tmp_path / "x"):
        raise FileNotFoundError("no data")


def test_a_folder_in_place_of_a_file_is_one_sentence(tmp_path):
    refused = f"^{tmp_path} is a folder: name a file, for example {tmp_path}/model.tflite.$"
    with pytest.raises(IsADirectoryError, match=refused):
        export.export_tflite(None, tmp_path, "float32")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("x.png", "PNG"),
        ("x.jpg", "JPEG"),
        ("x.JPEG", "JPEG"),
        ("x.webp", "WEBP"),
        ("x.bmp", "BMP"),
        ("x.tiff", "TIFF"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_the_format_of_its_suffix(name, format_, channels, tmp_path, rng):
    image = rng.random((1, 2, 2, channels)).repeat(8, axis=1).repeat(8, axis=2)
    image_files.write(image_files.sheet(image), tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    with Image.open(tmp_path / name) as picture:
        assert picture.format == format_
        seen = np.asarray(picture.convert("L" if channels == 1 else "RGB"), float).reshape(
            20, 20, channels
        )
    assert np.abs(seen[2:18, 2:18] - image[0] * 255).mean() < 10


def test_sample_writes_a_jpeg(tmp_path):
    done = run("sample", "vae_dense_mnist", "-n", 4, "-o", tmp_path / "x.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("name", ["x.xyz", "x.pdf", "x"])
def test_a_suffix_that_is_no_pictures_is_one_sentence(name, tmp_path):
    done = run("sample", "vae_dense_mnist", "-o", tmp_path / name)
    assert done.returncode == 2
    sentence = "must end in .png, .jpg, .jpeg, .webp, .bmp, .tif or .tiff"
    assert done.stderr == f"zoo: The name of a picture {sentence}; received: {name}.\n"
    assert os.listdir(tmp_path) == []

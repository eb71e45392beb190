"""Tests of ``zoo generate``: its data sets, interrupted runs, and errors of one line."""

import dataclasses
import errno
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import zoo
from tests import harness
from tests.conftest import ROOT, nightly_except
from zoo import artifact, catalog, cli, generate
from zoo.inference import litert

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
RUNNER = ("--", "--runner=FnApiRunner")
TWO_PROCESSES = (*RUNNER, "--direct_running_mode=multi_processing", "--direct_num_workers=2")


def called(capfd, *arguments, status=0):
    """Runs ``zoo generate`` and returns its standard error."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["generate", *map(str, arguments)])
    written = capfd.readouterr()
    assert (stopped.value.code or 0) == status, written.err
    return written.err


def read(folder):
    """Returns the images, uint8, and the labels of a data set, or None."""
    dataset = tfds.builder_from_directory(folder).as_dataset(split="train")
    rows = list(dataset.as_numpy_iterator())
    labels = [row["label"] for row in rows] if "label" in rows[0] else None
    return np.stack([row["image"] for row in rows]), labels


def in_bytes(images):
    return np.uint8(np.round(images * 255))


def checksums(folder):
    """Returns the checksums of all files of a data set."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != generate.FILE
    }


def times(folder):
    """Returns the times at which the shards were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*tfrecord*")}


def test_the_rows_are_the_samples_of_the_seeds_in_order(tmp_path, capfd):
    command = ["cvae_mnist", "-n", 600, "--seed", 5, "--shards", 7, "-o", tmp_path, *RUNNER]
    progress = called(capfd, *command)
    assert progress.splitlines()[-1] == "images: 600 of 600"
    images, labels = read(tmp_path)
    seeds = range(5, 605)
    np.testing.assert_array_equal(labels, [seed % 10 for seed in seeds])
    expected = in_bytes(zoo.load("cvae_mnist", "litert").sample(600, seed=5))
    # Another division into batches may round a pixel to the next level.
    assert np.abs(images.astype(int) - expected).max() <= 1
    assert (images == expected).mean() > 0.9999
    info = tfds.builder_from_directory(tmp_path).info
    assert (info.name, info.features["label"].num_classes) == ("cvae_mnist", 10)
    assert info.features["image"].shape == (28, 28, 1)
    assert info.splits["train"].num_examples == 600


@pytest.mark.parametrize(
    "runtime", nightly_except(("litert-int8",), ("litert-int8", "saved_model", "keras"))
)
def test_every_runtime_draws_its_own_samples_with_the_labels_in_turn(runtime, tmp_path, capfd):
    command = ["cvae_mnist", "-n", 9, "--labels", "7,0-2", "--runtime", runtime]
    called(capfd, *command, "-o", tmp_path / "new" / "folder", *RUNNER)
    images, labels = read(tmp_path / "new" / "folder")
    assert list(labels) == [7, 0, 1, 2, 7, 0, 1, 2, 7]
    expected = in_bytes(zoo.load("cvae_mnist", runtime).sample(9, labels))
    np.testing.assert_allclose(images.astype(int), expected, atol=1)


# The smallest models for colour images of 8x8 pixels.
SMALL = {
    "GAN": {"latent_dim": 4, "hidden": (8,), "maxout": ((4, 2), (4, 2))},
    "RealNVP": {"scales": 2, "checkerboards": 2, "filters": 4, "blocks": 1},
    "Glow": {"steps": (1, 1), "filters": 4, "couplings": 0},
}


@pytest.mark.parametrize("family", nightly_except(("GAN",), SMALL))
def test_a_keras_file_of_colour_images_needs_no_tflite_file(family, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    model = getattr(zoo.models, family)((8, 8, 3), **SMALL[family])
    model.save("1-my model.keras")
    called(capfd, "1-my model.keras", "-n", 5, "-o", "pictures", *RUNNER)
    images, labels = read("pictures")
    assert labels is None
    np.testing.assert_allclose(images.astype(int), in_bytes(model.sample(5)), atol=1)
    assert tfds.builder_from_directory("pictures").info.name == "model_1_my_model"


@pytest.mark.nightly
@pytest.mark.parametrize("family", ["RealNVP", "Glow"])
@pytest.mark.parametrize("runtime", ["litert", "saved_model"])
def test_the_artifact_of_a_conditional_flow_needs_no_keras(runtime, family, tmp_path, capfd):
    model = getattr(zoo.models, family)((8, 8, 3), num_classes=3, **SMALL[family])
    zoo.publish(model, tmp_path / "flow")
    command = [tmp_path / "flow", "-n", 300, "--runtime", runtime, "-o", tmp_path / "out"]
    called(capfd, *command, *TWO_PROCESSES)
    images, labels = read(tmp_path / "out")
    assert labels == [seed % 3 for seed in range(300)]
    expected = in_bytes(zoo.load(tmp_path / "flow", runtime).sample(300))
    np.testing.assert_allclose(images.astype(int), expected, atol=1)


def test_the_data_set_has_the_names_of_the_classes(tmp_path, capfd):
    shutil.copytree(catalog.directory("cvae_mnist"), tmp_path / "mine")
    path = tmp_path / "mine" / artifact.CARD
    card = catalog.Card.read(path)
    pictures = {"class_names": [*"abcdefghij"]}
    card = dataclasses.replace(card, recipe=card.recipe | {"pictures": pictures})
    path.write_text(card.to_json())
    called(capfd, tmp_path / "mine", "-n", 2, "--labels", "c", "-o", tmp_path / "out", *RUNNER)
    label = tfds.builder_from_directory(tmp_path / "out").info.features["label"]
    assert [label.int2str(one) for one in read(tmp_path / "out")[1]] == ["c", "c"]


def test_the_metadata_are_those_that_tensorflow_datasets_counts(tmp_path, capfd):
    called(capfd, "vae_dense_mnist", "-n", 100, "--shards", 3, "-o", tmp_path, *RUNNER)
    (counted,) = tfds.folder_dataset.compute_split_info_from_directory(data_dir=tmp_path)
    written = tfds.builder_from_directory(tmp_path).info.splits["train"]
    assert written.shard_lengths == counted.shard_lengths == [33, 33, 34]
    assert written.num_bytes == counted.num_bytes


@pytest.mark.nightly
def test_the_direct_runner_of_beam_writes_the_same_files(tmp_path, capfd):
    command = ["cvae_mnist", "-n", 40, "--shards", 2, "-o"]
    called(capfd, *command, tmp_path / "default")
    # Without the option, this runner would look for the program Prism in the network.
    named = ("--", "--runner=DirectRunner", "--prism_location=none")
    called(capfd, *command, tmp_path / "direct", *named)
    assert checksums(tmp_path / "default") == checksums(tmp_path / "direct")


KILLED = """
import os, signal, sys
import tensorflow as tf
from zoo import cli

write, written = tf.io.TFRecordWriter.write, []
def counted(writer, record):
    if len(written) == 125:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(record)
    write(writer, record)

tf.io.TFRecordWriter.write = counted
cli.main(sys.argv[1:])
"""


def test_a_killed_run_is_continued_to_the_same_bytes(tmp_path, capfd):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = ["cvae_mnist", "-n", 300, "--shards", 6, "-o"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "generate", *map(str, command), killed, *RUNNER],
        env=ENVIRONMENT,
    )
    assert done.returncode == -signal.SIGKILL
    kept = times(killed)
    assert len(kept) == 2  # It was killed in the third shard, of which a part is there.
    assert len(list(killed.glob(".*.partial*"))) == 1
    with pytest.raises(tfds.core.dataset_info.DatasetInfoFileError):
        tfds.builder_from_directory(killed)
    called(capfd, *command, killed, *RUNNER)
    called(capfd, *command, whole, *RUNNER)
    assert checksums(killed) == checksums(whole)
    assert kept.items() <= times(killed).items()


def test_a_finished_run_is_left_as_it_is(tmp_path, capfd):
    command = ["vae_dense_mnist", "-n", 20, "--shards", 2, "-o", tmp_path, *RUNNER]
    called(capfd, *command)
    first = times(tmp_path), checksums(tmp_path)
    called(capfd, *command)
    assert (times(tmp_path), checksums(tmp_path)) == first


def test_other_arguments_are_refused_in_the_folder_of_a_run(tmp_path, capfd):
    command = ["cvae_mnist", "-n", 20, "--labels", 3, "-o", tmp_path, *RUNNER]
    called(capfd, *command)
    first = times(tmp_path), checksums(tmp_path)
    changed = ["vae_mnist", "-n", 30, "--seed", 1, "-o", tmp_path, *RUNNER]
    (line,) = called(capfd, *changed, status=2).splitlines()
    sums = [zoo.loading.find(name).digest()[:10] for name in ("cvae_mnist", "vae_mnist")]
    assert f"first run into {tmp_path}, model 'cvae_mnist', sha256 '{sums[0]}" in line
    assert f"n 20, seed 0, labels [3]; received: model 'vae_mnist', sha256 '{sums[1]}" in line
    assert line.endswith("n 30, seed 1, labels None. Write other images to another folder.")
    assert (times(tmp_path), checksums(tmp_path)) == first


def test_a_worker_that_fails_is_one_sentence_and_the_run_goes_on_later(
    tmp_path, monkeypatch, capfd
):
    command = ["vae_dense_mnist", "-n", 40, "--shards", 4, "-o", tmp_path / "out", *RUNNER]
    write, records = tf.io.TFRecordWriter.write, itertools.count()

    def full(writer, record):
        if next(records) >= 15:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, record)

    with monkeypatch.context() as context:
        context.setattr(tf.io.TFRecordWriter, "write", full)
        *_, line = called(capfd, *command, status=1).splitlines()
    path = tmp_path / "out" / "vae_dense_mnist-train.tfrecord-00001-of-00004"
    assert line == (
        f"zoo: {path} cannot be written: No space left on device. Free some space there, or write "
        "to another place. Finished shards are kept: run the same command again."
    )
    assert len(list((tmp_path / "out").glob("[!.]*tfrecord*"))) == 1
    called(capfd, *command)
    assert len(read(tmp_path / "out")[0]) == 40


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cvae_quadrant_mnist"], "model must not be conditional on a tensor; received: cv"),
        (["cvae_mnits"], "There is no model 'cvae_mnits'; the nearest is 'cvae_mnist'"),
        (["cvae_mnist", "--labels", "10"], "labels must be integers from 0 to 9; received: 10"),
        (["cvae_mnist", "--labels", "9-0"], "--labels must have the lower label first"),
        (["vae_mnist", "--labels", "1"], "--labels must be left out"),
        (["cvae_mnist", "--seed", 2**63 - 3], "seed must be at least 0 and less than 2**63"),
        (["cvae_mnist", "--shards", 6], "shards must be at most 5, the number of images"),
        (["cvae_mnist", "--runtime", "torch"], "'torch' is not one of"),
        (["cvae_mnist", "-o", "gs://bucket/out"], "folder must be in a file system that all"),
        (["cvae_mnist", "--", "--runer=FlinkRunner"], "an option of Beam, such as --direct_num"),
        (["cvae_mnist", "again"], "after --; received: again."),
        (["cvae_mnist", "--", "--direct_num_workers=x"], "received: argument --direct_num_workers"),
        (["cvae_mnist", "--", "--runner=NoRunner"], "Unexpected pipeline runner: NoRunner."),
    ],
)
def test_a_users_error_is_one_line_and_writes_nothing(
    arguments, sentence, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (line,) = called(capfd, "-n", 5, "-o", "out", *arguments, status=2).splitlines()
    assert sentence in line
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shards": 0}, "shards must be an integer of at least 1; received: 0"),
        ({"seed": "1"}, "seed must be an integer of at least 0; received: '1'"),
    ],
)
def test_wrong_arguments_in_python_are_errors_too(arguments, sentence, tmp_path):
    stored = zoo.loading.find("vae_mnist")
    with pytest.raises(ValueError, match=sentence):
        generate.generate(stored, 5, tmp_path / "out", **arguments)
    assert not any(tmp_path.iterdir())


def test_a_folder_with_other_files_is_refused(tmp_path, capfd):
    (tmp_path / "thesis.txt").write_text("mine")
    (line,) = called(capfd, "vae_mnist", "-n", 5, "-o", tmp_path, status=2).splitlines()
    assert (
        "folder must be new or empty, or the folder of an interrupted run; "
        f"received: {tmp_path}" in line
    )
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(("n", "shards"), [(1, 1), (10, 3), (1000, 999), (10**7, 163)])
def test_the_shards_have_each_row_once(n, shards):
    plan = generate.Plan("x", "", "keras", n, 0, None, shards)
    parts = [plan.rows(shard) for shard in range(shards)]
    assert [parts[0].start, parts[-1].stop] == [0, n]
    assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
    assert {len(part) for part in parts} <= {n // shards, -(-n // shards)}


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        ([], None),
        (["--direct_running_mode=multi_threading", "--direct_num_workers=2"], None),
        (["--direct_running_mode=multi_processing", "--direct_num_workers=2"], 4),
        (["--direct_running_mode=multi_processing", "--direct_num_workers=3"], 2),
        (["--direct_running_mode=multi_processing", "--direct_num_workers=9"], 1),
        (["--direct_running_mode=multi_processing", "--direct_num_workers=0"], 1),
    ],
)
def test_processes_on_one_machine_share_its_cores(options, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert generate.litert_threads(generate.pipeline_of(options).options) == threads


@pytest.mark.parametrize("threads", [None, 1])
def test_a_worker_loads_litert_with_its_share_of_the_cores(
    threads, monkeypatch, tmp_path, litert_threads
):
    monkeypatch.setenv(litert.THREADS_VARIABLE, "5")
    del os.environ[litert.THREADS_VARIABLE]  # The fixture restores the value before the test.
    digest = zoo.loading.find("vae_mnist").digest()
    plan = generate.Plan("vae_mnist", digest, "litert", 1, 0, None, 1)
    generate.WriteShard(plan, tmp_path, "vae_mnist", threads).setup()
    assert litert_threads == [threads or os.cpu_count()]


def test_a_worker_with_other_files_of_the_model_is_an_error(tmp_path):
    plan = generate.Plan("vae_mnist", "0" * 64, "litert", 1, 0, None, 1)
    with pytest.raises(ValueError, match="must have the same files of vae_mnist; received: other"):
        generate.WriteShard(plan, tmp_path, "vae_mnist").setup()


@pytest.mark.parametrize("shape", [(1, 1, 1), (28, 28, 1), (64, 64, 3), (256, 256, 3)])
def test_a_shard_has_at_most_64_mebibytes_even_of_noise(shape, rng, tmp_path):
    n = 10**7
    png = tf.io.encode_png(rng.integers(256, size=shape, dtype=np.uint8)).numpy()
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        writer.write(generate.serialized(png, {"label": 9}))
    record = (tmp_path / "x").stat().st_size
    shards = generate.default_shards(n, shape)
    assert record * -(-n // shards) <= 64 * 2**20
    assert generate.default_shards(10, shape) == 1


@pytest.mark.nightly
def test_two_processes_that_are_killed_again_and_again_write_the_same_bytes(tmp_path, capfd, rng):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = ["cvae_mnist", "-n", "60000", "--shards", "60", "-o"]
    line = [sys.executable, "-m", "zoo", "generate", *command, killed, *TWO_PROCESSES]
    kills = 0
    while kills < 4:
        before = len(times(killed)) if killed.is_dir() else 0
        process = subprocess.Popen(line, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(times(killed)) <= before:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        kept = times(killed)
        assert before < len(kept) < 60
        assert not (killed / "dataset_info.json").exists()
    subprocess.run(line, env=ENVIRONMENT, check=True)
    called(capfd, *command, whole, *RUNNER)
    assert checksums(killed) == checksums(whole)
    assert kept.items() <= times(killed).items()
    expected = in_bytes(zoo.load("cvae_mnist", "litert").sample(60_000))
    assert (read(killed)[0] == expected).mean() > 0.9999


@pytest.mark.nightly
@pytest.mark.parametrize("options", [RUNNER, TWO_PROCESSES])
def test_an_interrupt_from_the_keyboard_stops_it_in_one_line(options, tmp_path):
    command = ["cvae_mnist", "-n", "200000", "--shards", "200", "-o"]
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "generate", *command, tmp_path, *options],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not times(tmp_path):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "zoo: Stopped."
    assert "Traceback" not in errors
    assert times(tmp_path)
    assert json.loads((tmp_path / generate.FILE).read_text())["n"] == 200_000


@pytest.mark.nightly
def test_the_benchmark_prints_a_table():
    command = [sys.executable, "benchmarks/generate.py", "--models", "vae_dense_mnist"]
    done = subprocess.run(
        [*command, "--repeat", "1"], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    _, _, row = done.stdout.splitlines()
    name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
    assert name == "vae_dense_mnist"
    assert all(float(cell.replace(",", "")) > 0 for cell in cells)


@pytest.mark.nightly
def test_the_rows_of_a_model_of_attributes_have_a_feature_for_each(tmp_path, capfd):
    folder = zoo.publish(harness.MODELS["cvae_attributes"](), tmp_path / "faces")
    command = [folder, "-n", 12, "--seed", 4, "--shards", 2, "--condition", "parity=odd"]
    called(capfd, *command, "-o", tmp_path / "set", *RUNNER)
    builder = tfds.builder_from_directory(tmp_path / "set")
    assert {name: builder.info.features[name].names for name in harness.ATTRIBUTES} == (
        harness.ATTRIBUTES
    )
    rows = list(builder.as_dataset(split="train").as_numpy_iterator())
    assert [row["parity"] for row in rows] == [1] * 12
    assert [row["size"] for row in rows] == [seed % 3 for seed in range(4, 16)]
    model = zoo.load(folder, "litert")
    expected = in_bytes(model.sample(12, condition={"parity": "odd"}, seed=4)).astype(int)
    assert np.abs(np.stack([row["image"] for row in rows]) - expected).max() <= 1
    error = called(capfd, *command[:-1], "parity=od", "-o", tmp_path / "other", status=2)
    assert "'od'; the nearest is 'odd'" in error
    error = called(
        capfd, "vae_mnist", "-n", 2, "--condition", "a=1", "-o", tmp_path / "none", status=2
    )
    assert "--condition must not be given for vae_mnist" in error

"""Tests of strategies by name, and of trainings by several worker processes on one machine."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import FIXTURE, ROOT
from zoo import cli, training
from zoo.models import keras_file
from zoo.recipes import Recipe
from zoo.training import strategies

ADDRESSES = ["host-0:2222", "host-1:2222", "host-2:2222"]
JOB = {
    "JOB_COMPLETION_INDEX": "2",
    "ZOO_WORKERS": "3",
    "ZOO_WORKER_ADDRESS": "host-{index}:2222",
}


SMALL = Recipe(
    family="VAE",
    model={"latent_dim": 2, "hidden": [4]},
    dataset="mnist",
    batch_size=100,
    cycles=[[2, 1e-2, {}]],
    optimizer="SGD",
)


def config(index=0, kind="worker", **cluster):
    cluster = cluster or {"worker": ADDRESSES}
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def test_the_configuration_is_made_from_the_index_of_a_job():
    assert strategies.cluster(JOB) == config(2)


def test_a_given_configuration_comes_before_the_index_of_a_job():
    given = config(0, "chief", chief=["a:1"], worker=["b:1", "[::1]:1"])
    assert strategies.cluster(JOB | {"TF_CONFIG": json.dumps(given)}) == given


ERRORS = {
    "nothing": ({}, "TF_CONFIG must describe the workers, or .*received: none of them"),
    "no number": (JOB | {"ZOO_WORKERS": ""}, "ZOO_WORKERS must be an integer of at least 1"),
    "no workers": (JOB | {"ZOO_WORKERS": "0"}, "ZOO_WORKERS must be .*received: '0'"),
    "index": (JOB | {"JOB_COMPLETION_INDEX": "-1"}, "JOB_COMPLETION_INDEX must be an integer"),
    "index too large": (JOB | {"ZOO_WORKERS": "2"}, "JOB_COMPLETION_INDEX must be less than 2"),
    "no address": (JOB | {"ZOO_WORKER_ADDRESS": ""}, "ZOO_WORKER_ADDRESS must be the host name"),
    "one address": (JOB | {"ZOO_WORKER_ADDRESS": "a:1"}, "in place of its index.*received: 'a:1'"),
    "no port": (JOB | {"ZOO_WORKER_ADDRESS": "a-{index}"}, "received: 'a-{index}'"),
    "no JSON": ({"TF_CONFIG": "{'a'"}, "TF_CONFIG must be JSON such as"),
    "a list": ({"TF_CONFIG": "[1]"}, r"TF_CONFIG must be such as .*received: \[1\]"),
    "no task": ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG must be such as"),
    "task": ({"TF_CONFIG": json.dumps(config(0, "ps", ps=["a:1"]))}, "must have workers and at"),
    "another job": (
        {"TF_CONFIG": json.dumps(config(worker=["a:1"], ps=["b:1"]))},
        "must have workers and at most one chief, .*received: .*'ps'",
    ),
    "two chiefs": (
        {"TF_CONFIG": json.dumps(config(0, "chief", chief=["a:1", "b:1"]))},
        "at most one chief",
    ),
    "a text": ({"TF_CONFIG": json.dumps(config(worker="a:1"))}, "TF_CONFIG must be such as"),
    "cluster is a text": ({"TF_CONFIG": json.dumps(config() | {"cluster": "ab"})}, "must be such"),
    "numbers": ({"TF_CONFIG": json.dumps(config(worker=[1]))}, "TF_CONFIG must be such as"),
    "host alone": (
        {"TF_CONFIG": json.dumps(config(worker=["a:1", "b"]))},
        "each a host name and a port such as host0:2222; received: a:1, b",
    ),
    "twice": (
        {"TF_CONFIG": json.dumps(config(worker=["a:1", "a:1"]))},
        "must be different, .*received: a:1, a:1",
    ),
    "out of range": ({"TF_CONFIG": json.dumps(config(3))}, "less than 3, the number of addresses"),
    "text": ({"TF_CONFIG": json.dumps(config("a"))}, "must be an integer .*received: 'a'"),
}


@pytest.mark.parametrize(("environment", "message"), ERRORS.values(), ids=ERRORS)
def test_an_environment_without_a_cluster_is_an_error(environment, message):
    with pytest.raises(ValueError, match=message):
        strategies.cluster(environment)


def test_an_unknown_strategy_is_an_error():
    with pytest.raises(ValueError, match="strategy must be one of mirrored, multi-worker; rec"):
        strategies.get("mirror")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strategy", "mirror"], "'mirror' is not one of 'mirrored', 'multi-worker'"),
        (["--strategy", "multi-worker"], "TF_CONFIG must describe the workers"),
        (["--strategy", "multi-worker", "--minutes", "1"], "--minutes cannot be combined with"),
    ],
)
def test_the_command_prints_an_error_in_one_line(options, message, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "vae_mnist", "--run-dir", str(tmp_path / "run"), *options])
    assert stopped.value.code == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


class TwoReplicas(tf.distribute.OneDeviceStrategy):
    """Strategy of two replicas in name only."""

    num_replicas_in_sync = 2


def test_a_batch_that_cannot_be_divided_is_an_error_before_anything_is_written(tmp_path):
    strategy = TwoReplicas("CPU:0")
    with pytest.raises(ValueError, match="batch_size must be a multiple of 2"):
        training.train(replace(SMALL, batch_size=15), tmp_path / "run", strategy=strategy)
    assert not (tmp_path / "run").exists()


class Workers:
    """Two processes of ``zoo train`` that train together, with a folder and a run for each.

    Args:
        folder: Folder of the recipe and of the runs.
        recipe: The recipe.
        in_job: Whether the processes get the variables of an indexed Job, or ``TF_CONFIG``.
    """

    def __init__(self, folder, recipe, in_job=False):
        self.folder, self.in_job, self.processes = folder, in_job, []
        (folder / "mine.json").write_text(recipe.to_json())

    def start(self, *options, runs=("run", "run"), data=(FIXTURE, FIXTURE)):
        ports = free_ports()
        command = [sys.executable, "-m", "zoo", "train", "mine.json", "--strategy", "multi-worker"]
        self.processes = [
            subprocess.Popen(
                [*command, "--run-dir", run, "--data-dir", data[i], *options],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | self._environment(i, ports),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for i, run in enumerate(runs)
        ]

    def _environment(self, index, ports):
        if self.in_job:
            address = f"127.0.0.1:{str(ports[0])[:-1]}{{index}}"
            return {
                "JOB_COMPLETION_INDEX": str(index),
                "ZOO_WORKERS": "2",
                "ZOO_WORKER_ADDRESS": address,
            }
        addresses = [f"127.0.0.1:{port}" for port in ports]
        return {"TF_CONFIG": json.dumps(config(index, worker=addresses))}

    def ended(self):
        """Waits for both and returns the exit status, the output and the errors of each."""
        outputs = [process.communicate(timeout=600) for process in self.processes]
        return [(process.returncode, *texts) for process, texts in zip(self.processes, outputs)]

    def stop(self):
        for process in self.processes:
            process.kill()


def free_ports():
    """Returns two free ports that differ in the last digit, 0 and 1."""
    for port in range(23450, 60000, 10):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
            return port, port + 1
    raise AssertionError("no free ports")


@pytest.fixture
def workers(tmp_path):
    """Returns ``Workers``, which are stopped at the end."""
    made = []

    def make(name, *arguments, **settings):
        (tmp_path / name).mkdir()
        made.append(Workers(tmp_path / name, *arguments, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def weights_of(run):
    return keras_file.read(run / "model.keras").get_weights()


def test_two_workers_train_as_one_process_and_only_the_chief_writes(workers, tmp_path):
    pair = workers("pair", SMALL)
    pair.start(runs=("run", "other"))
    (status, output, errors), (other_status, other_output, other_errors) = pair.ended()
    assert (status, other_status) == (0, 0), errors + other_errors
    assert output.splitlines()[-1] == "Trained: run/model.keras"
    assert other_output == ""
    assert not (pair.folder / "other").exists()
    assert errors.startswith("worker 0 waits for the workers 127.0.0.1:")
    alone = training.train(SMALL, tmp_path / "alone", data_dir=FIXTURE, verbose=0)
    start = training.build(SMALL, 3).get_weights()
    for of_two, of_one, before in zip(weights_of(pair.folder / "run"), alone.get_weights(), start):
        np.testing.assert_allclose(of_two, of_one, rtol=1e-4, atol=1e-6)
        assert np.abs(of_one - before).max() > 1e-4
    runs = [training.Run(folder).history() for folder in (pair.folder / "run", tmp_path / "alone")]
    assert [line["epoch"] for line in runs[0]] == [1, 2]
    for of_two, of_one in zip(*runs):
        assert of_two["loss"] == pytest.approx(of_one["loss"], rel=1e-5)


@pytest.mark.nightly
def test_a_run_whose_worker_was_killed_is_resumed_to_the_same_weights(workers):
    recipe = replace(
        SMALL,
        cycles=[[6, 1e-3, {}]],
        metrics={"nll": {"samples": 5}},
        split="train[:200]",
        validation="train[200:]",
        best={"metric": "nll", "every": 2},
    )
    whole, killed = (workers(name, recipe, in_job=True) for name in ("whole", "killed"))
    whole.start()
    ended = whole.ended()
    assert [status for status, *_ in ended] == [0, 0], ended
    killed.start()
    checkpoint = killed.folder / "run" / "checkpoint.keras"
    while not checkpoint.exists() and killed.processes[0].poll() is None:
        time.sleep(0.05)
    killed.processes[1].kill()
    (status, _, errors), (killed_status, *_) = killed.ended()
    assert (status, killed_status) == (1, -signal.SIGKILL)
    assert errors.splitlines()[-1].startswith("zoo: Another worker stopped or cannot be reached")
    assert "Traceback" not in errors
    assert len(training.Run(killed.folder / "run").history()) < 6
    killed.start("--resume")
    (status, _, errors), (other_status, *_) = killed.ended()
    assert (status, other_status) == (0, 0), errors
    for one, two in zip(weights_of(whole.folder / "run"), weights_of(killed.folder / "run")):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    kept = [training.Run(pair.folder / "run").kept() for pair in (whole, killed)]
    assert kept[0]["epoch"] == kept[1]["epoch"]


@pytest.mark.nightly
def test_the_error_of_one_worker_is_understandable_on_all(workers):
    pair = workers("pair", SMALL)
    pair.start(data=(FIXTURE, "nothing"))
    (status, _, errors), (other_status, _, other_errors) = pair.ended()
    assert (status, other_status) == (1, 1)
    assert "The data set mnist is not in nothing" in other_errors.splitlines()[-1]
    assert errors.splitlines()[-1].startswith("zoo: Another worker stopped or cannot be reached")
    for text in (errors, other_errors):
        assert len(text.splitlines()) == 2  # The other line says which workers it waited for.


@pytest.mark.nightly
def test_a_worker_can_be_stopped_while_it_waits_and_while_it_trains(workers):
    pair = workers("pair", replace(SMALL, cycles=[[10_000, 1e-3, {}]]))
    pair.start(runs=("run",))
    (first,) = pair.processes
    assert "waits for the workers" in first.stderr.readline()
    time.sleep(5)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=20) == -signal.SIGINT
    pair.start()
    checkpoint = pair.folder / "run" / "checkpoint.keras"
    while not checkpoint.exists() and pair.processes[0].poll() is None:
        time.sleep(0.05)
    pair.processes[1].terminate()
    (status, *_), (stopped, *_) = pair.ended()
    assert (status, stopped) == (1, -signal.SIGTERM)


@pytest.mark.nightly
def test_zoo_train_uses_all_devices_of_one_machine(tmp_path):
    recipe = replace(SMALL, batch_size=50)  # Keras runs two of its six steps at once.
    (tmp_path / "mine.json").write_text(recipe.to_json())
    command = ["train", "mine.json", "--data-dir", FIXTURE, "--strategy", "mirrored"]
    script = f"""if True:
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [half, half])
        assert tf.distribute.MirroredStrategy().num_replicas_in_sync == 2
        from zoo import cli
        cli.main({[*command, "--run-dir", "run"]})
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    alone = training.train(recipe, tmp_path / "alone", data_dir=FIXTURE, verbose=0)
    for of_two, of_one in zip(weights_of(tmp_path / "run"), alone.get_weights()):
        np.testing.assert_allclose(of_two, of_one, rtol=1e-4, atol=1e-6)

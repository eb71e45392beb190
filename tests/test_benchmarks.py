"""Tests of the benchmarks with few repetitions, and of their tables in benchmarks/RESULTS.md."""

import os
import re
import runpy
import subprocess
import sys

import pytest

import zoo
from tests.conftest import ROOT, nightly_except
from zoo import artifact

RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
TABLES = dict(
    re.findall(r"^python (benchmarks/\w+\.py)\n```\n\n((?:\|.*\n)+)", RESULTS, re.MULTILINE)
)
SMALLEST = ["--models", "cvae_mnist", "--repeat", "1"]
# A flow has no decoder network and no int8 file.
WITH_FLOW = ["--models", "cvae_mnist", "glow_mnist", "--repeat", "1"]
BENCHMARKS = {
    "benchmarks/cold_start.py": (SMALLEST, 1),
    "benchmarks/sampling.py": (WITH_FLOW, 2),
    "benchmarks/runtimes.py": (["--models", "cvae_avatars", "glow_mnist", "--repeat", "1"], 7),
    "benchmarks/serving.py": (["cvae_mnist", "--seconds", "0.2"], 12),
}
WORDS = {*zoo.list_models(), *artifact.RUNTIMES, "JSON", "PNG"}


@pytest.mark.parametrize(
    "script",
    nightly_except(("benchmarks/runtimes.py",), BENCHMARKS),
)
def test_it_prints_the_table_of_the_results(script):
    arguments, lines = BENCHMARKS[script]
    command, environment = (
        [sys.executable, script, *arguments],
        os.environ | {"PYTHONPATH": str(ROOT)},
    )
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    header, rule, *rows = done.stdout.splitlines()
    printed = TABLES[script].splitlines()
    assert [header, rule] == printed[:2]
    assert len(rows) == lines
    for row in (*rows, *printed[2:]):
        cells = {cell.strip() for cell in row.strip("|").split("|")}
        assert cells & WORDS
        assert all(float(cell.replace(",", "")) > 0 for cell in cells - WORDS)


def test_the_estimated_step_is_that_of_a_ring_of_workers(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    estimate = runpy.run_path(str(ROOT / "benchmarks" / "training.py"))["estimate"]
    one, latency, bandwidth = {"seconds": 0.2, "updates": 2, "bytes": 6e6}, 1e-4, 5e7
    for workers in (1, 2, 8, 64):
        seconds = one["seconds"]
        for _ in range(one["updates"]):
            # Parts of the gradients are summed on their way around, and then distributed.
            for _ in range(2 * (workers - 1)):
                seconds += latency + one["bytes"] / 2 / workers / bandwidth
        assert estimate(one, workers, latency, bandwidth) == pytest.approx(seconds)


@pytest.mark.nightly
def test_the_benchmark_of_training_prints_a_table():
    command = [sys.executable, "benchmarks/training.py", "--models", "vae_dense_mnist"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
    assert name == "vae_dense_mnist"
    assert len(cells) == header.count("|") - 2
    assert all(float(cell) > 0 for cell in cells)

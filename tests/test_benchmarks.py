"""Tests of the benchmarks with few repetitions, and of their tables in benchmarks/RESULTS.md."""

import os
import re
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
BENCHMARKS = {
    "benchmarks/cold_start.py": (SMALLEST, 1),
    "benchmarks/sampling.py": (SMALLEST, 1),
    "benchmarks/runtimes.py": (SMALLEST, 4),
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

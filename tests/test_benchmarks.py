"""The benchmarks at their smallest, by the README's command lines, and the tables that the README has of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLES = dict(re.findall(r"^python (benchmarks/\w+\.py)\n```\n\n((?:\|.*\n)+)", README, re.MULTILINE))
ROWS = {"benchmarks/cold_start.py": 1, "benchmarks/sampling.py": 1, "benchmarks/runtimes.py": 4}


@pytest.mark.parametrize("script", ROWS)
def test_it_prints_the_readmes_table(script):
    command = [sys.executable, script, "--models", "cvae_mnist", "--repeat", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    header, rule, *rows = done.stdout.splitlines()
    printed = TABLES[script].splitlines()
    assert [header, rule] == printed[:2]
    assert len(rows) == ROWS[script]
    assert {row.split("|")[1].strip() for row in printed[2:]} <= set(zoo.list_models())
    for row in rows:
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        assert name == "cvae_mnist"
        assert all(float(cell.replace(",", "")) > 0 for cell in cells if not cell.startswith(("keras", "saved", "litert")))

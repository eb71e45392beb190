"""The examples and the README's snippets, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FIXTURE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = os.environ | {"TFDS_DATA_DIR": FIXTURE, "PYTHONPATH": str(ROOT)}


def run(command, cwd):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_finetuning_lowers_the_bound(tmp_path):
    out = run([sys.executable, ROOT / "examples" / "finetune_cvae.py", "--epochs", "2", "--images", "300"], tmp_path)
    before, after = (float(re.search(rf"{when}: .*'loss': ([\d.]+)", out)[1]) for when in ("before", "after"))
    assert after < before
    assert (tmp_path / "clothes.png").stat().st_size > 1000


@pytest.mark.parametrize("block", range(len(blocks("python"))))
def test_python_of_the_readme_runs(block, tmp_path):
    run([sys.executable, "-c", blocks("python")[block]], tmp_path)


def test_command_lines_of_the_readme_run(tmp_path):
    """All but the two that set up an environment, which .ci/run runs, and the full evaluation, which takes minutes."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("zoo ") and line != "zoo evaluate cvae_mnist --json"]
    assert len(commands) >= 5
    for command in commands:
        run([sys.executable, "-m", *command.split()], tmp_path)


def test_the_readme_sets_up_and_tests_in_one_line_each():
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/zoo sample cvae_mnist --labels 0-9 -o digits.png")
    assert lines[1].endswith(".venv/bin/pytest")


def test_the_table_is_that_of_the_cards():
    import zoo
    from zoo import publishing

    table = README.partition(f"{publishing.TABLE_START}\n")[2].partition(publishing.TABLE_END)[0]
    assert table == publishing.table(map(zoo.info, zoo.list_models()))

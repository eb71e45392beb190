"""Tests that run the examples and the snippets of the README unchanged."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import FIXTURE, ROOT
from zoo import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = os.environ | {"TFDS_DATA_DIR": FIXTURE, "PYTHONPATH": str(ROOT)}


def run(command, cwd):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def blocks(language, text=README):
    """Returns the code blocks of a language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def command_lines(text):
    """Returns the lines of a Markdown text's shell blocks that run zoo."""
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("zoo ")]


def parse(line):
    """Parses a command line of zoo, and raises an error of click if it is wrong."""
    _, command, *arguments = shlex.split(line, comments=True)
    cli.cli.commands[command].make_context(command, arguments)


@pytest.mark.nightly
def test_finetuning_lowers_the_bound(tmp_path):
    out = run(
        [
            sys.executable,
            ROOT / "examples" / "finetune_cvae.py",
            "--epochs",
            "2",
            "--images",
            "300",
        ],
        tmp_path,
    )
    before, after = (
        float(re.search(rf"{when}: .*'loss': ([\d.]+)", out)[1]) for when in ("before", "after")
    )
    assert after < before
    assert "That is few" in out
    assert (tmp_path / "clothes.png").stat().st_size > 1000


@pytest.mark.nightly
def test_finetuning_a_dcgan_brings_it_nearer_to_clothes(tmp_path):
    script = [
        sys.executable,
        ROOT / "examples" / "finetune_dcgan.py",
        "--epochs",
        "3",
        "--images",
        "300",
    ]
    out = run(script, tmp_path)
    before, after = (float(re.search(rf"{when}: ([\d.]+)", out)[1]) for when in ("before", "after"))
    assert after > before
    assert "That is few" in out
    assert (tmp_path / "clothes.png").stat().st_size > 1000


OFFLINE = """
import socket

def refuse(*_, **__):
    raise socket.gaierror("no network")

socket.getaddrinfo = refuse
"""


@pytest.mark.parametrize(
    "script",
    ["finetune_cvae", pytest.param("finetune_dcgan", marks=pytest.mark.nightly), "README"],
)
def test_without_data_it_says_so_at_once(script, tmp_path):
    path = tmp_path / f"{script}.py"
    fitting = next(block for block in blocks("python") if ".fit(" in block)
    text = fitting if script == "README" else (ROOT / "examples" / path.name).read_text()
    path.write_text(OFFLINE + text)
    env = ENVIRONMENT | {"TFDS_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=100, env=env
    )
    assert done.returncode
    last = done.stderr.splitlines()[-1]
    assert f"The data set fashion_mnist is not in {tmp_path}" in last
    assert "name the folder that holds it with TFDS_DATA_DIR" in last
    assert ("Traceback" in done.stderr) == (
        script == "README"
    )  # a snippet does not catch the error


@pytest.mark.parametrize("block", range(len(blocks("python"))))
def test_python_of_the_readme_runs(block, tmp_path):
    run([sys.executable, "-c", blocks("python")[block]], tmp_path)


def test_command_lines_of_the_readme_are_parsed():
    lines = command_lines(README)
    assert len(lines) >= 5
    for line in lines:
        parse(line)


@pytest.mark.nightly
def test_command_lines_of_the_readme_run(tmp_path):
    """Runs all except the set-up of an environment, the full evaluations, and the server."""
    slow = ("zoo evaluate cvae", "zoo serve")
    # tests/test_pictures.py runs those on pictures.
    quick = [line for line in command_lines(README) if not line.startswith(slow)]
    quick = [line for line in quick if "pictures" not in line]
    assert len(quick) >= 5
    for command in quick:
        run([sys.executable, "-m", *command.split()], tmp_path)


def test_the_readme_has_less_than_150_lines():
    assert len(README.splitlines()) < 150


def test_the_readme_sets_up_and_tests_in_one_line_each():
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/zoo sample cvae_mnist --labels 0-9 -o digits.png")
    assert lines[1].endswith(".venv/bin/pytest")


@pytest.mark.parametrize("page", ["README.md", "docs/guides/choose.md"])
def test_the_table_is_that_of_the_cards(page):
    from zoo.publishing import table

    text = (ROOT / page).read_text(encoding="utf-8")
    written = text.partition(f"{table.START}\n")[2].partition(table.END)[0]
    assert written == table.PAGES[page]()

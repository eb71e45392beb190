"""The package as a user first meets it: light to import, and light to sample with."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_neither_tensorflow_nor_numpy():
    run("import sys, zoo; assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules), sorted(sys.modules)")


def test_import_is_fast():
    times = [float(run("import time; t = time.perf_counter(); import zoo; print(time.perf_counter() - t)")) for _ in range(5)]
    assert sorted(times)[2] < 0.1


def test_sampling_on_litert_imports_no_tensorflow(tmp_path):
    run(
        "import sys; from zoo.cli import main\n"
        f"try: main(['sample', 'cvae_mnist', '-o', {str(tmp_path / 'digits.png')!r}])\n"
        "except SystemExit as done: assert not done.code\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    assert (tmp_path / "digits.png").exists()


@pytest.mark.parametrize("verb", ["models", "datasets"])
def test_submodules_come_when_they_are_asked_for(verb):
    run(f"import zoo; zoo.{verb}")


def test_a_picture_comes_sooner_than_tensorflow(tmp_path):
    def seconds(*arguments):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - start

    picture = min(seconds("-m", "zoo", "sample", "cvae_mnist", "-o", str(tmp_path / "digits.png")) for _ in range(3))
    assert picture < min(seconds("-c", "import tensorflow") for _ in range(2)) / 2

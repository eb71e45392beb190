"""Settings and fixtures for all tests: TensorFlow's environment, small real data, seeds."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import pytest

from zoo import data
from zoo.inference import litert

ROOT = Path(__file__).parents[1]
FIXTURE = str(ROOT / "tests" / "tensorflow_datasets")
WHOLE = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def pytest_collection_modifyitems(config, items):
    nightly = "nightly" in config.getoption("markexpr")
    for item in items:
        if item.get_closest_marker("nightly") and not nightly:
            item.add_marker(pytest.mark.skip(reason="nightly"))
        if item.get_closest_marker("data") and not (WHOLE / "mnist").is_dir():
            item.add_marker(pytest.mark.skip(reason=f"the whole data sets are not in {WHOLE}"))


def nightly_except(default, names):
    """Returns parameters for all names and marks as nightly those that are not in ``default``."""
    return [
        name if name in default else pytest.param(name, marks=pytest.mark.nightly) for name in names
    ]


@pytest.fixture(autouse=True)
def same_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digits():
    """Returns 300 MNIST digits, float32 (300, 28, 28, 1) in [0, 1], and labels, int32 (300,)."""
    return data.tfds("mnist", "train", FIXTURE).first()


@pytest.fixture
def litert_threads(monkeypatch):
    """Returns the numbers of threads of the LiteRT interpreters that the test creates."""
    used, interpreter = [], litert.Interpreter
    monkeypatch.setattr(
        litert,
        "Interpreter",
        lambda path, num_threads: used.append(num_threads) or interpreter(path),
    )
    return used


@pytest.fixture
def rng():
    return np.random.default_rng(0)

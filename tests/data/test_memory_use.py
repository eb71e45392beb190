"""Tests that the memory does not grow over an epoch of pictures on the disk."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

# Reads one epoch and prints the resident set after each tenth of it and the largest one, in bytes.
EPOCH = """
import json, sys
from zoo import data

def memory(name):
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

folder, data_dir = sys.argv[1:]
if data_dir:
    source = data.tfds(folder, "train", data_dir, in_memory=False)
else:
    source = data.folder(folder, in_memory=False)
steps, found = source.steps_per_epoch(100), []
for step, batch in enumerate(source.batches(100, seed=0).take(steps), 1):
    if step % (steps // 10) == 0:
        found.append(memory("VmRSS"))
print(json.dumps({"found": found, "peak": memory("VmHWM"), "images": len(source)}))
"""
SIDE = 64


def pictures(number):
    """Yields images that no codec makes smaller."""
    rng = np.random.default_rng(0)
    for _ in range(number):
        yield rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def in_a_folder(number, path):
    for i, image in enumerate(pictures(number)):
        folder = path / f"class_{i % 2}" / f"{i // 1000:03}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.bmp")
    return [str(path), ""]


def in_tensorflow_datasets(number, path):
    import tensorflow_datasets

    features = {
        "image": tensorflow_datasets.features.Image(shape=(SIDE, SIDE, 3)),
        "label": tensorflow_datasets.features.ClassLabel(names=["a", "b"]),
    }
    tensorflow_datasets.dataset_builders.store_as_tfds_dataset(
        name="noise",
        version="1.0.0",
        features=tensorflow_datasets.features.FeaturesDict(features),
        split_datasets={
            "train": [
                (i, {"image": image, "label": i % 2}) for i, image in enumerate(pictures(number))
            ]
        },
        data_dir=str(path),
    )
    return ["noise", str(path)]


def epoch_of(arguments):
    command = [sys.executable, "-c", EPOCH, *arguments]
    # Without a limit, each thread of the pipeline keeps freed memory in an arena of its own.
    environment = os.environ | {"MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (in_a_folder, 10_000),
        pytest.param(in_a_folder, 200_000, marks=pytest.mark.nightly),
        pytest.param(in_tensorflow_datasets, 200_000, marks=pytest.mark.nightly),
    ],
)
def test_the_memory_stays_flat_over_an_epoch(written, number, tmp_path):
    memory = epoch_of(written(number, tmp_path))
    assert memory["images"] == number
    size = number * SIDE * SIDE * 3
    # The first batches fill the buffers of the pipeline. A pipeline that kept its pictures would
    # grow by more than half of their size after that.
    start, *later = memory["found"][3:]
    growth = max(later) - start
    assert growth < size / 4
    if number == 200_000:
        assert memory["peak"] < size
        assert growth < start / 10

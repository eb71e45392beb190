"""Speed of ``zoo generate`` with one and with two processes, compared with the runtime alone.

The runtime alone computes images and discards them. ``zoo generate`` also encodes them as PNG and
writes them. Its rate is measured from the first to the last shard, without the start of the
processes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import arguments, print_header, print_row, ratio, rounds

import zoo
from zoo.inference.methods import BATCH

N, SHARDS = 40_000, 40
TWO = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def generate(name: str, *options: str) -> float:
    """Runs ``zoo generate`` and returns the seconds for one image."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "zoo", "generate", name, "-n", str(N), "-o", folder]
        options = ("--shards", str(SHARDS), "--", "--runner=FnApiRunner", *options)
        subprocess.run([*command, *options], capture_output=True, check=True)
        ends = sorted(path.stat().st_mtime for path in Path(folder).glob("*.tfrecord-*"))
    return (ends[-1] - ends[0]) / (N * (SHARDS - 1) / SHARDS)


def draw(model) -> float:
    """Computes images by the runtime alone and returns the seconds for one image."""

    def batches():
        for first in range(0, N, BATCH):
            model.sample(BATCH, seed=first)

    ((seconds,),) = rounds(1, batches)
    return seconds / (BATCH * -(-N // BATCH))


def median(seconds) -> str:
    """Returns the median rate, in images a second."""
    return f"{1 / np.median(seconds):,.0f}"


if __name__ == "__main__":
    given = arguments(__doc__, repeat=3)
    print_header(
        "model",
        "LiteRT, images/s",
        "one process, images/s",
        "ratio to LiteRT",
        "two processes, images/s",
        "ratio to LiteRT",
        "ratio to one process",
    )
    for name in given.models:
        model = zoo.load(name, "litert")
        if model.condition_shape:
            continue
        model.sample(BATCH)
        alone, one, two = zip(
            *((draw(model), generate(name), generate(name, *TWO)) for _ in range(given.repeat))
        )
        print_row(
            name,
            median(alone),
            median(one),
            f"{ratio(alone, one):.2f}",
            median(two),
            f"{ratio(alone, two):.2f}",
            f"{ratio(one, two):.2f}",
        )

"""From process start to a PNG of 16 images on LiteRT, beside the time that ``import tensorflow`` alone takes."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from timing import arguments, print_header, print_row, ratio, rounds

import zoo


def process(*command):
    return lambda: subprocess.run([sys.executable, *command], capture_output=True, check=True)


if __name__ == "__main__":
    given = arguments(__doc__, repeat=5)
    print_header("model", "16 images, s", "`import tensorflow`, s", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models:
            command = [
                "-m",
                "zoo",
                "sample",
                name,
                "-n",
                "16",
                "-o",
                str(Path(folder) / "images.png"),
            ]
            if condition := zoo.info(name).condition:
                Image.new("L", tuple(condition["shape"][1::-1])).save(
                    Path(folder) / "condition.png"
                )
                command += ["--condition", str(Path(folder) / "condition.png")]
            ours, tensorflow = rounds(
                given.repeat, process(*command), process("-c", "import tensorflow")
            )
            print_row(
                name,
                *(f"{statistics.median(s):.2f}" for s in (ours, tensorflow)),
                f"{ratio(ours, tensorflow):.3f}",
            )

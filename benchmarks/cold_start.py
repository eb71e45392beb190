"""Time from process start to a PNG of 16 images on LiteRT, compared with ``import tensorflow``."""

import statistics
import subprocess
import sys
import tempfile

from PIL import Image
from timing import arguments, print_header, print_row, ratio, rounds

import zoo


def process(*command):
    """Returns a function that runs Python with the given arguments."""
    return lambda: subprocess.run([sys.executable, *command], capture_output=True, check=True)


if __name__ == "__main__":
    given = arguments(__doc__, repeat=5)
    print_header("model", "16 images, s", "`import tensorflow`, s", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models:
            images, given_part = f"{folder}/images.png", f"{folder}/condition.png"
            command = ["-m", "zoo", "sample", name, "-n", "16", "-o", images]
            if condition := zoo.info(name).condition:
                Image.new("L", tuple(condition["shape"][1::-1])).save(given_part)
                command += ["--condition", given_part]
            ours, tensorflow = rounds(
                given.repeat, process(*command), process("-c", "import tensorflow")
            )
            print_row(
                name,
                *(f"{statistics.median(s):.2f}" for s in (ours, tensorflow)),
                f"{ratio(ours, tensorflow):.3f}",
            )

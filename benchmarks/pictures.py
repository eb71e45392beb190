"""Training of the families on small and large folders of pictures, by their default recipes.

The pictures are those of `examples/shapes.py`, at 32x32 pixels. `pixel_diversity` is near 0 if all
samples are one image, and near 1 if they differ as much as the pictures do. `pixel_memorization` is
well below 1 if samples repeat pictures of the training. Twelve samples of each run are written to a
picture beside it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

SHAPES = Path(__file__).parent.parent / "examples" / "shapes.py"
METRICS = ("pixel_diversity", "pixel_memorization")


def parse():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Train families on folders of pictures.")
    parser.add_argument("families", nargs="*", default=["dcgan", "vae", "glow"])
    parser.add_argument("--numbers", nargs="+", type=int, default=[300, 3_000, 30_000])
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="for pictures and runs")
    parser.add_argument("--set", nargs="*", default=[], help="settings, as of zoo train")
    return parser.parse_args()


def trained(family, pictures, run, settings):
    """Trains a family and returns its metrics, and the minutes that the training took."""
    zoo = [sys.executable, "-m", "zoo"]
    options = [option for setting in settings for option in ("--set", setting)]
    train = ["train", family, "--data", str(pictures), "--size", "32", "--run-dir", str(run)]
    started = time.monotonic()
    subprocess.run([*zoo, *train, *options], check=True, stdout=sys.stderr)
    minutes = (time.monotonic() - started) / 60
    sheet = ["sample", str(run), "-n", "12", "-o", f"{run}.png"]
    subprocess.run([*zoo, *sheet], check=True, stdout=sys.stderr)
    measure = ["evaluate", str(run), "--json", *(f"--metric={metric}" for metric in METRICS)]
    done = subprocess.run([*zoo, *measure], check=True, stdout=subprocess.PIPE)
    return {metric["name"]: metric for metric in json.loads(done.stdout)["metrics"]}, minutes


def main():
    """Prints a table with a row for each family and each number of pictures."""
    arguments = parse()
    print("| family | pictures | minutes | " + " | ".join(f"`{name}`" for name in METRICS) + " |")
    print("|---|---|---|---|---|", flush=True)
    for number in arguments.numbers:
        pictures = arguments.folder / f"shapes_{number}"
        draw = [sys.executable, SHAPES, pictures, "--number", str(number)]
        subprocess.run(draw, check=True, stdout=sys.stderr)
        for family in arguments.families:
            run = arguments.folder / f"{family}_{number}"
            metrics, minutes = trained(family, pictures, run, arguments.set)
            values = [
                f"{metrics[name]['value']:.2f} ± {metrics[name]['stderr']:.2f}" for name in METRICS
            ]
            print(f"| {family} | {number:,} | {minutes:.0f} | {' | '.join(values)} |", flush=True)


if __name__ == "__main__":
    main()

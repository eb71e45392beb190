"""Draws a folder of pictures for trying out `zoo train --data`.

The pictures show a coloured circle, square or triangle on a bright background, in three sub-folders
of these names. Their place, size and colours are random. Some are PNG files and some JPEG files,
and some are wider than high.

    python examples/shapes.py pictures --number 300
    zoo train dcgan --data pictures --minutes 10
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circles", "squares", "triangles")


def draw(number):
    """Draws one picture, which depends on its number alone."""
    rng = np.random.default_rng(number)
    size = (96, 96) if number % 4 else (120, 90)
    picture = Image.new("RGB", size, tuple(rng.integers(180, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    color = tuple(rng.integers(0, 160, 3).tolist())
    radius = int(rng.integers(16, 34))
    x, y = (int(rng.integers(36, side - 36)) for side in size)
    box = (x - radius, y - radius, x + radius, y + radius)
    shape = SHAPES[number % len(SHAPES)]
    if shape == "circles":
        pen.ellipse(box, fill=color)
    elif shape == "squares":
        pen.rectangle(box, fill=color)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], color)
    return shape, picture


def main():
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description="Draw pictures of three shapes.")
    parser.add_argument("folder", type=Path, help="folder for the pictures")
    parser.add_argument("--number", type=int, default=300, help="number of pictures  [300]")
    parser.add_argument("--first", type=int, default=0, help="number of the first picture  [0]")
    arguments = parser.parse_args()
    for number in range(arguments.first, arguments.first + arguments.number):
        shape, picture = draw(number)
        folder = arguments.folder / shape
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number:06}.{'png' if number % 2 else 'jpg'}")
    print(f"{arguments.number} pictures in {arguments.folder}")


if __name__ == "__main__":
    main()

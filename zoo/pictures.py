"""Images as PNG files, by Pillow."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.files import whole

MARGIN = 2


def sheet(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """Lays images ``(n, height, width, channels)`` in [0, 1] out on a grid, row by row; as square as it goes by default."""
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    pixels = np.full((rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, channels), 255, np.uint8)
    for i, image in enumerate(np.round(images * 255).astype(np.uint8)):
        top, left = MARGIN + i // columns * (height + MARGIN), MARGIN + i % columns * (width + MARGIN)
        pixels[top : top + height, left : left + width] = image
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def write(picture: Image.Image, path) -> None:
    """Writes a PNG file, whole or not at all."""
    with whole(Path(path)) as partial:
        picture.save(partial, format="PNG")


def read(path, shape: tuple) -> np.ndarray:
    """Reads a picture as one image of a given (height, width, channels), float32 in [0, 1].

    Raises:
        ValueError: where the file is no picture, or one of another size.
    """
    try:
        with Image.open(path) as picture:
            picture = picture.convert("L" if shape[2] == 1 else "RGB")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} is not a picture that can be read ({error}).") from error
    if picture.size != (shape[1], shape[0]):
        raise ValueError(f"{path} is {picture.size[0]}x{picture.size[1]}, but the model takes {shape[1]}x{shape[0]} pixels.")
    return (np.asarray(picture, np.float32) / 255).reshape(shape)

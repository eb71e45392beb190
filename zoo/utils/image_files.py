"""Images as files, by Pillow."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.utils.atomic import atomic_write

MARGIN = 2
# The format of each suffix, and its settings: without them a picture would lose sharpness.
FORMATS = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
    ".bmp": {"format": "BMP"},
    ".tif": {"format": "TIFF"},
    ".tiff": {"format": "TIFF"},
}


def sheet(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """Lays images ``(n, height, width, channels)`` in [0, 1] out on a grid, row by row; as square as it goes by default."""
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    pixels = np.full(
        (rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, channels),
        255,
        np.uint8,
    )
    for i, image in enumerate(np.round(images * 255).astype(np.uint8)):
        top, left = (
            MARGIN + i // columns * (height + MARGIN),
            MARGIN + i % columns * (width + MARGIN),
        )
        pixels[top : top + height, left : left + width] = image
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def file_format(path) -> dict:
    """The format that the suffix of a file's name stands for, as Pillow's ``save`` takes it.

    Raises:
        ValueError: where the suffix stands for none.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        *others, last = FORMATS
        suffixes = f"{', '.join(others)} or {last}"
        raise ValueError(f"The name of a picture must end in {suffixes}; received: {path.name}.")
    return FORMATS[path.suffix.lower()]


def write(picture: Image.Image, path) -> None:
    """Writes a picture in the format of its suffix (see ``file_format``), whole or not at all."""
    settings = file_format(path)
    with atomic_write(Path(path)) as partial:
        picture.save(partial, **settings)


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
        raise ValueError(
            f"{path} is {picture.size[0]}x{picture.size[1]}, but the model takes {shape[1]}x{shape[0]} pixels."
        )
    return (np.asarray(picture, np.float32) / 255).reshape(shape)

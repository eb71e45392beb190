"""Image files, read and written by Pillow."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.utils.atomic import atomic_write

MARGIN = 2
# Format and settings of each suffix. With Pillow's defaults JPEG and WebP images lose sharpness.
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
    """Arranges images on a grid, row by row, with a margin.

    Args:
        images: float ``(n, height, width, channels)`` in [0, 1].
        columns: Number of columns. Defaults to the square root of n, rounded up.
    """
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    pixels = np.full(
        (rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, channels),
        255,
        np.uint8,
    )
    for i, image in enumerate(np.round(images * 255).astype(np.uint8)):
        top = MARGIN + i // columns * (height + MARGIN)
        left = MARGIN + i % columns * (width + MARGIN)
        pixels[top : top + height, left : left + width] = image
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def file_format(path) -> dict:
    """Returns the arguments of Pillow's ``save`` for the suffix of a file name.

    Raises:
        ValueError: If the suffix is not one of ``FORMATS``.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        *others, last = FORMATS
        suffixes = f"{', '.join(others)} or {last}"
        raise ValueError(f"The name of a picture must end in {suffixes}; received: {path.name}.")
    return FORMATS[path.suffix.lower()]


def write(picture: Image.Image, path) -> None:
    """Writes a picture atomically, in the format of the file name's suffix.

    Raises:
        ValueError: If the suffix is not one of ``FORMATS``.
        OSError: If the file cannot be written.
    """
    settings = file_format(path)
    with atomic_write(Path(path)) as partial:
        picture.save(partial, **settings)


def read(path, shape: tuple) -> np.ndarray:
    """Reads a picture as a float32 image in [0, 1].

    Args:
        path: Image file.
        shape: (height, width, channels) of the result. With one channel a colour picture is
            converted to grey.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a picture, or has another size.
    """
    try:
        with Image.open(path) as picture:
            picture = picture.convert("L" if shape[2] == 1 else "RGB")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} must be a picture that Pillow can read ({error}).") from error
    if picture.size != (shape[1], shape[0]):
        raise ValueError(
            f"{path} must have {shape[1]}x{shape[0]} pixels for this model; "
            f"received: {picture.size[0]}x{picture.size[1]}."
        )
    return (np.asarray(picture, np.float32) / 255).reshape(shape)

"""Image files, read and written by Pillow."""

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

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
# {argument of ``zoo.data.folder``: attribute of ``Fit``}
SETTINGS = {"pad_to_aspect_ratio": "pad", "interpolation": "interpolation"}
# Formats of Pillow that are not pictures of pixels, or need another program or a part that Pillow
# does not have.
NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Formats of pixels without colours: bits, grey levels of 8, 16 or 32 bits, and with transparency.
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


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


@dataclass(frozen=True)
class Header:
    """Facts about a picture file that are known before it is decoded.

    Attributes:
        size: (height, width) in pixels, after the rotation that its EXIF data ask for.
        is_grey: Whether the format of its pixels has no colours.
    """

    size: tuple
    is_grey: bool


def suffixes() -> frozenset:
    """Returns the suffixes of the formats of pixels that Pillow reads, such as ``.png``."""
    return frozenset(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in NO_PIXELS
    )


def header(path) -> Header:
    """Reads the header of a picture file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a picture.
    """
    with opened(path) as picture:
        height, width = picture.height, picture.width
        # The method of PNG files would decode the picture.
        orientation = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
        size = (width, height) if orientation > 4 else (height, width)
        return Header(size, picture.mode in GREY)


@dataclass(frozen=True)
class Fit:
    """Conversion of pictures of any size and format to images of one shape.

    A rotation in the EXIF data is applied, transparent pixels are shown over white, grey levels of
    16 bits and floating-point ones in [0, 1] are scaled to 8 bits, and a picture of another aspect
    ratio is cropped in its middle.

    Args:
        shape: (height, width, channels), with 1 or 3 channels.
        pad: Whether a picture of another aspect ratio is padded with black instead of cropped.
        interpolation: Filter of Pillow for pictures of another size, a name of
            ``PIL.Image.Resampling`` in lower case.

    Raises:
        ValueError: If an argument is not as above.
    """

    shape: tuple
    pad: bool = False
    interpolation: str = "lanczos"

    def __post_init__(self):
        known = [name.lower() for name in Image.Resampling.__members__]
        if self.interpolation not in known:
            raise ValueError(
                f"interpolation must be one of {', '.join(known)}; received: "
                f"{self.interpolation!r}."
            )

    @classmethod
    def of_settings(cls, shape: tuple, settings: dict) -> "Fit":
        """Makes a conversion from arguments of ``zoo.data.folder``.

        Args:
            shape: As above.
            settings: Table of arguments, of which those of ``SETTINGS`` are used.
        """
        return cls(
            shape, **{SETTINGS[name]: settings[name] for name in SETTINGS if name in settings}
        )

    def read(self, path) -> np.ndarray:
        """Decodes a picture file.

        Args:
            path: The file, or a binary file object.

        Returns:
            uint8 ``(height, width, channels)``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a picture or is damaged.
        """
        with opened(path) as picture:
            self.reduce(picture)
            return self.fitted(picture)

    def reduce(self, picture: Image.Image) -> None:
        """Sets an opened JPEG file to be decoded at a fraction of its size if it is large."""
        height, width, _ = self.shape
        picture.draft(None, (4 * width, 4 * height))

    def fitted(self, picture: Image.Image) -> np.ndarray:
        """Converts an opened picture to uint8 ``(height, width, channels)``."""
        height, width, channels = self.shape
        rotated = ImageOps.exif_transpose(picture)
        picture = _in_bytes(rotated, "L" if channels == 1 else "RGB")
        resize = _padded if self.pad else ImageOps.fit
        method = Image.Resampling[self.interpolation.upper()]
        return np.asarray(resize(picture, (width, height), method)).reshape(self.shape)


def _padded(picture, size, method):
    """Scales a picture to a size (width, height) and pads it with black.

    ``ImageOps.pad`` fails for a picture of which a side would be less than half a pixel.
    """
    scale = min(new / old for new, old in zip(size, picture.size))
    inner = tuple(max(1, round(side * scale)) for side in picture.size)
    padded = Image.new(picture.mode, size)
    place = tuple(round((outer - side) / 2) for outer, side in zip(size, inner))
    padded.paste(picture.resize(inner, method), place)
    return padded


def _in_bytes(picture, mode):
    """Converts a picture to grey levels or colours of 8 bits, without transparency."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_levels(np.asarray(picture)))
    if picture.mode == "LAB":  # Pillow converts it to RGB only.
        picture = picture.convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode)


def _levels(values):
    """Scales grey levels of 16 bits, or floats in [0, 1] or [0, 255], to uint8."""
    if not np.isfinite(values).all():
        raise ValueError("Grey levels must be finite; received: NaN or infinity.")
    if values.dtype.kind == "f":
        values = values * 255 if values.max() <= 1 else values
    elif values.max() > 65535:
        raise ValueError(f"Grey levels must be at most 65535; received: {values.max()}.")
    else:
        values = values // 257
    return np.uint8(np.clip(values, 0, 255))


@contextmanager
def opened(path, formats: tuple | None = None):
    """Opens a picture file. An error of Pillow within is a ``ValueError``.

    Args:
        path: The file, or a binary file object.
        formats: Names of the formats of Pillow that are allowed. Defaults to all.

    Yields:
        A ``PIL.Image.Image``, which is decoded at first use.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a picture or is damaged.
    """
    is_name = isinstance(path, (str, os.PathLike))
    try:
        if is_name and Path(path).is_fifo():  # Opening it would wait for a writer.
            raise ValueError("it is a named pipe")
        with Image.open(path, formats=formats) as picture:
            yield picture
    except FileNotFoundError:
        raise
    except Exception as error:  # Decoders of damaged files raise errors of many classes.
        name = path if is_name else "The file"
        raise ValueError(f"{name} must be a picture that Pillow can read ({error}).") from error


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
    with opened(path) as picture:
        picture = picture.convert("L" if shape[2] == 1 else "RGB")
    if picture.size != (shape[1], shape[0]):
        raise ValueError(
            f"{path} must have {shape[1]}x{shape[0]} pixels for this model; "
            f"received: {picture.size[0]}x{picture.size[1]}."
        )
    return (np.asarray(picture, np.float32) / 255).reshape(shape)

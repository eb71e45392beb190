"""Picture files in place of arrays of images."""

import os

import numpy as np


def decoded(given, image_shape: tuple, fit=None):
    """Decodes picture files, and returns anything else as it is.

    Args:
        given: Path of a picture, or n paths; or images.
        image_shape: (height, width, channels).
        fit: ``zoo.utils.image_files.Fit`` that makes images of this shape. With None the pictures
            are scaled, and cropped in their middle.

    Returns:
        float32 ``(n, height, width, channels)`` in [0, 1], or ``given``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is not a picture.
    """
    paths = given if isinstance(given, (list, tuple)) else [given]
    if not paths or not all(isinstance(path, (str, os.PathLike)) for path in paths):
        return given
    # Pillow is imported only where there are pictures.
    from zoo.utils import image_files

    fit = fit or image_files.Fit(image_shape)
    return np.stack([fit.read(path) for path in paths]) / np.float32(255)

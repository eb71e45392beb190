"""Data source of picture files in a folder."""

import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.data.memory import MemorySource
from zoo.data.source import Source, index_batches
from zoo.inference import validation
from zoo.utils import image_files

# A source of at most so many bytes of pixels is kept in memory.
MEMORY = 2**30
# Pictures of one size up to the first keep it. Others get one of the sizes of square images.
LARGEST = 128
SIZES = (32, 64)
CHANNELS = {"grayscale": 1, "rgb": 3}
SUBSETS = ("training", "validation", "both")
# Pictures that are decoded at once when all are read.
ROWS = 256
# Number of skipped pictures that a warning names.
NAMED = 10


class FolderSource(Source):
    """Data source that decodes picture files when their batch is read.

    Args:
        paths: The files.
        labels: Sequence of a label for each file, or None.
        classes: Names of the labels, or None.
        fit: ``zoo.utils.image_files.Fit``, which makes images of one shape.
    """

    def __init__(self, paths, labels, classes, fit):
        self._paths, self._fit = list(paths), fit
        self._labels = None if labels is None else np.asarray(labels, np.int32)
        self.image_shape, self.classes = fit.shape, classes
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def __len__(self):
        return len(self._paths)

    def pixels(self, rows) -> np.ndarray:
        """Decodes pictures in parallel.

        Args:
            rows: Their numbers.

        Returns:
            uint8 ``(n, height, width, channels)``.

        Raises:
            ValueError: If a file cannot be read.
        """
        paths = [self._paths[row] for row in rows]
        shape = (len(paths), *self.image_shape)
        return np.asarray(list(self._pool.map(self._fit.read, paths)), np.uint8).reshape(shape)

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        """Returns batches, see ``Source.batches``. The next one is decoded meanwhile."""

        def read(rows):
            pixels = tf.numpy_function(self.pixels, [rows], tf.uint8)
            images = tf.cast(tf.ensure_shape(pixels, (None, *self.image_shape)), tf.float32) / 255
            return images if self._labels is None else (images, tf.gather(self._labels, rows))

        return index_batches(self, batch_size, seed, start_step, shard).map(read).prefetch(2)

    def first(self, n=None):
        """Returns the first n images and their labels, see ``Source.first``."""
        n = len(self) if n is None else min(validation.positive_int(n), len(self))
        parts = [
            self.pixels(range(start, min(start + ROWS, n))) / np.float32(255)
            for start in range(0, n, ROWS)
        ]
        return np.concatenate(parts), None if self._labels is None else self._labels[:n]


def folder(
    directory,
    *,
    size: int | None = None,
    image_size: tuple | None = None,
    color_mode: str | None = None,
    labels: str | None = "inferred",
    class_names=None,
    pad_to_aspect_ratio: bool = False,
    interpolation: str = "lanczos",
    validation_split: float | None = None,
    subset: str | None = None,
    seed: int = 0,
    follow_links: bool = False,
    strict: bool = False,
    in_memory: bool | None = None,
):
    """Makes a source of the pictures in a folder.

    Arguments with the names of ``keras.utils.image_dataset_from_directory`` have their meaning. All
    formats that Pillow reads are read. A rotation in the EXIF data is applied, transparent pixels
    are shown over white, and grey levels of 16 bits are scaled.

    Args:
        directory: The folder. Pictures in its sub-folders have the name of the sub-folder as their
            label.
        size: Height and width of the images.
        image_size: (height, width) of the images, in place of ``size``. By default they have the
            size of the pictures if it is the same for all and at most 128, and otherwise 64x64, or
            32x32 if most pictures are smaller.
        color_mode: "rgb" or "grayscale". Defaults to "grayscale" if no picture has colours.
        labels: "inferred" from the sub-folders, or None for images without labels. Defaults to
            "inferred", which gives no labels if there are no sub-folders.
        class_names: Names of the sub-folders to read, in the order of the labels. Defaults to all
            in alphabetical order.
        pad_to_aspect_ratio: Whether a picture of another aspect ratio is padded with black instead
            of cropped. Defaults to False.
        interpolation: Filter of Pillow for pictures of another size: "nearest", "bilinear",
            "bicubic", "box", "hamming" or "lanczos". Defaults to "lanczos".
        validation_split: Share of the pictures that is held out, between 0 and 1.
        subset: "training", "validation" or "both", which returns a pair, with a
            ``validation_split``.
        seed: Seed of the choice of the pictures that are held out.
        follow_links: Whether links to folders are followed.
        strict: Whether a picture that cannot be read is an error. By default a warning names it,
            and it is left out.
        in_memory: Whether the decoded images are kept in memory. Defaults to True up to 1 GiB.

    Returns:
        ``Source``, or (training, validation) with ``subset="both"``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there is no picture in it, a picture cannot be read and ``strict`` is set, or
            an argument is not as above.
    """
    share = _checked_share(validation_split, subset)
    files = _listed(Path(directory), labels, class_names, follow_links)
    label_of = {path: label for label, paths in enumerate(files.values()) for path in paths}
    headers = _applied(image_files.header, list(label_of), strict)
    if not headers:
        raise ValueError(f"{directory} must have pictures in it; received: none that can be read.")
    shape = _shape(list(headers.values()), size, image_size, color_mode)
    fit = image_files.Fit(shape, pad_to_aspect_ratio, interpolation)
    if in_memory is None:
        in_memory = len(headers) * math.prod(shape) <= MEMORY
    # Each picture is decoded once here, so that a damaged one is known before the training.
    decoded = _applied(fit.read if in_memory else fit.check, list(headers), strict)
    classes = None if None in files else tuple(files)
    subsets = [
        _source(
            [paths[row] for row in rows], label_of, classes, fit, decoded if in_memory else None
        )
        for paths in [list(decoded)]
        for rows in _subsets(len(decoded), share, subset, seed)
    ]
    return subsets[0] if len(subsets) == 1 else tuple(subsets)


def _source(paths, label_of, classes, fit, decoded):
    """Returns the source of some of the files, in memory if their pixels are given."""
    labels = [label_of[path] for path in paths] if classes else None
    if decoded is None:
        return FolderSource(paths, labels, classes, fit)
    return MemorySource(np.stack([decoded[path] for path in paths]), labels, classes)


def _subsets(n, share, subset, seed):
    """Returns the row numbers of each subset that is asked for."""
    if share is None:
        return [np.arange(n)]
    if n < 2:
        raise ValueError(f"There must be at least 2 pictures for two subsets; received: {n}.")
    order = np.random.default_rng(validation.seed(seed)).permutation(n)
    held_out = min(max(1, round(share * n)), n - 1)
    found = {"training": np.sort(order[held_out:]), "validation": np.sort(order[:held_out])}
    return list(found.values()) if subset == "both" else [found[subset]]


def _checked_share(validation_split, subset):
    """Returns the share of the validation images, or None."""
    if validation_split is None and subset is None:
        return None
    if subset not in SUBSETS or not isinstance(validation_split, float):
        raise ValueError(
            f"subset must be one of {', '.join(SUBSETS)} and validation_split a number between 0 "
            f"and 1, or both None; received: {subset!r} and {validation_split!r}."
        )
    if not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be between 0 and 1; received: {validation_split}.")
    return validation_split


def _listed(directory, labels, class_names, follow_links):
    """Returns {name of a label: paths}, in the order of the labels, or {None: paths}."""
    if not directory.is_dir():
        raise FileNotFoundError(f"There is no folder {directory}.")
    if labels not in ("inferred", None):
        raise ValueError(f"labels must be 'inferred' or None; received: {labels!r}.")
    paths = _paths(directory, follow_links)
    by_folder = {}
    for path in paths:
        first, *rest = path.relative_to(directory).parts
        by_folder.setdefault(first if rest else None, []).append(path)
    folders = [name for name in by_folder if name is not None]
    if class_names is not None:
        names = [str(name) for name in class_names]
        if labels is None or len(set(names)) < len(names) or set(names) - set(folders):
            raise ValueError(
                f"class_names must be different sub-folders of {directory} with pictures, and "
                f"labels 'inferred'; received: {class_names!r}."
            )
        return {name: by_folder[name] for name in names}
    if labels is None or not folders:
        return {None: paths}
    if None in by_folder:
        raise ValueError(
            f"All pictures in {directory} must be in sub-folders, whose names are their labels, or "
            f"none; received: {len(by_folder[None])} beside the sub-folders, such as "
            f"{by_folder[None][0].name}. Move them, or set labels to None."
        )
    return {name: by_folder[name] for name in sorted(folders)}


def _paths(directory, follow_links):
    """Returns all files with the suffix of a picture, sorted, except hidden ones."""
    suffixes = image_files.suffixes()
    found = []
    for parent, folders, names in os.walk(directory, followlinks=follow_links):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    return sorted(found)


def _shape(headers, size, image_size, color_mode):
    """Returns the shape of the images, from the arguments or from the headers of the pictures."""
    if size is not None and image_size is not None:
        raise ValueError("Only one of size and image_size must be given; received: both.")
    if size is not None:
        image_size = (validation.positive_int(size, "size"),) * 2
    if image_size is None:
        image_size = _usual_size([header.size for header in headers])
    if color_mode is None:
        color_mode = "grayscale" if all(header.is_grey for header in headers) else "rgb"
    size = validation.positive_ints(image_size, "image_size", 2)
    return (*size, channels_of(color_mode))


def channels_of(color_mode: str) -> int:
    """Returns the number of channels of a ``color_mode``.

    Raises:
        ValueError: If it is not "rgb" or "grayscale".
    """
    if color_mode not in CHANNELS:
        raise ValueError(f"color_mode must be 'rgb' or 'grayscale'; received: {color_mode!r}.")
    return CHANNELS[color_mode]


def _usual_size(sizes):
    if len(set(sizes)) == 1 and max(sizes[0]) <= LARGEST:
        return sizes[0]
    shorter = np.median([min(size) for size in sizes])
    side = max((side for side in SIZES if side <= shorter), default=SIZES[0])
    return side, side


def _applied(function, paths, strict):
    """Applies a function to files, in parallel, and leaves out those that cannot be read.

    Returns:
        {path: result}.

    Raises:
        ValueError: If a file cannot be read and ``strict`` is set.
    """
    results, errors = {}, []

    def attempt(path):
        try:
            return function(path), None
        except ValueError as error:
            return None, error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (result, error) in zip(paths, pool.map(attempt, paths)):
            if error is None:
                results[path] = result
            elif strict:
                raise error
            else:
                errors.append(error)
    for error in errors[:NAMED]:
        warnings.warn(f"A picture is left out: {error}", stacklevel=3)
    if len(errors) > NAMED:
        warnings.warn(f"{len(errors) - NAMED} more pictures are left out.", stacklevel=3)
    return results

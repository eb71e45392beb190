"""Data source of picture files in a folder."""

import hashlib
import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.artifact import CARD, RECIPE
from zoo.data.memory import MemorySource
from zoo.data.source import MEMORY, Source, channels_of, index_batches, scaled
from zoo.inference import validation
from zoo.utils import image_files

# Largest common height and width of pictures that images keep by default, and the least one. Each
# is a multiple of STEP, which networks with two convolutions of stride 2 need.
LARGEST, LEAST, STEP = 128, 8, 4
# Heights and widths of square images, for pictures of other sizes.
SIZES = (32, 64)
SUBSETS = ("training", "validation", "both")
# Number of pictures that ``first`` decodes at a time.
ROWS = 256
# Number of skipped pictures that a warning names.
NAMED = 10
# Files that mark the folder of a run or of an artifact.
OUTPUTS = frozenset({RECIPE, CARD})
# Up to this number, the settings of a training depend on the exact number of pictures.
FEW = 1000


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
        """Returns batches, see ``Source.batches``. The next one is decoded in the background."""

        def read(rows):
            images = scaled(tf.numpy_function(self.pixels, [rows], tf.uint8), self.image_shape)
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
    directory: str | os.PathLike,
    *,
    size: int | None = None,
    image_size: tuple | None = None,
    color_mode: str | None = None,
    labels: str | None = "inferred",
    class_names: Sequence[str] | None = None,
    pad_to_aspect_ratio: bool = False,
    interpolation: str = "lanczos",
    validation_split: float | None = None,
    subset: str | None = None,
    seed: int = 0,
    follow_links: bool = False,
    strict: bool = False,
    in_memory: bool | None = None,
) -> Source | tuple[Source, Source]:
    """Makes a source of the pictures in a folder.

    Arguments with the names of ``keras.utils.image_dataset_from_directory`` have their meaning. All
    formats that Pillow reads are read. A rotation in the EXIF data is applied, transparent pixels
    are shown over white, and grey levels of 16 bits are scaled.

    Args:
        directory: The folder. The name of the sub-folder in it that a picture is in is the label of
            the picture; folders below that one make no difference.
        size: Height and width of the images.
        image_size: (height, width) of the images, in place of ``size``. By default they have the
            size of the pictures if it is the same for all, at most 128 and a multiple of 4.
            Otherwise they have 64x64 pixels, or 32x32 if most pictures are smaller.
        color_mode: "rgb" or "grayscale". Defaults to "grayscale" if all files are stored in grey
            levels.
        labels: "inferred" from the sub-folders, or None for images without labels. Defaults to
            "inferred", which gives no labels if there are no sub-folders.
        class_names: Names of the sub-folders to read, in the order of the labels. Defaults to all
            in alphabetical order.
        pad_to_aspect_ratio: Whether a picture of another aspect ratio is padded with black instead
            of cropped. Defaults to False.
        interpolation: Filter of Pillow for pictures of another size: "nearest", "bilinear",
            "bicubic", "box", "hamming" or "lanczos". Defaults to "lanczos".
        validation_split: Share of the pictures of each class that is held out, between 0 and 1.
            The choice depends on ``seed`` and on the names of the pictures of the class alone.
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
    files = _Files(Path(directory), labels, class_names, follow_links, strict)
    fit = image_files.Fit(
        _shape(files.headers.values(), size, image_size, color_mode),
        pad_to_aspect_ratio,
        interpolation,
    )
    if in_memory is None:
        in_memory = len(files.headers) * math.prod(fit.shape) <= MEMORY
    read = _in_memory if in_memory else _on_disk
    sources = [
        read(files, paths, fit, strict)
        for paths in files.subsets(share, subset, validation.seed(seed))
    ]
    return sources[0] if len(sources) == 1 else tuple(sources)


def described(
    directory: str | os.PathLike,
    share: float,
    *,
    labels: str | None = "inferred",
    image_size: tuple | None = None,
    color_mode: str | None = None,
    follow_links: bool = False,
    strict: bool = False,
    **others,
) -> FolderSource:
    """Makes the source of the training pictures that ``folder`` gives, without keeping them.

    If there are more than ``FEW`` pictures, they are not decoded, and those that are damaged behind
    their header are still among them.

    Args:
        directory: As in ``folder``.
        share: Share of the pictures that is held out.
        labels: As in ``folder``.
        image_size: As in ``folder``.
        color_mode: As in ``folder``.
        follow_links: As in ``folder``.
        strict: As in ``folder``, for the headers of the files.
        **others: Further arguments of ``folder``, which make no difference.
    """
    files = _Files(Path(directory), labels, None, follow_links, strict)
    (paths,) = files.subsets(share, "training", 0)
    fit = image_files.Fit(_shape(files.headers.values(), None, image_size, color_mode))
    if len(paths) <= FEW:
        return _on_disk(files, paths, fit, strict)
    return FolderSource(paths, files.labels(paths), files.classes, fit)


class _Files:
    """Picture files of a folder, by their labels.

    Attributes:
        headers: {path: ``zoo.utils.image_files.Header``} of the files that have one.
        classes: Names of the labels, or None.
    """

    def __init__(self, directory, labels, class_names, follow_links, strict):
        listed = _listed(directory, labels, class_names, follow_links)
        paths = [path for of_class in listed.values() for path in of_class]
        self._directory = directory
        self.headers = _applied(image_files.header, paths, strict)
        if not self.headers:
            raise ValueError(
                f"{directory} must contain pictures that Pillow can read; received: a folder "
                "without any."
            )
        readable = {
            name: [path for path in of_class if path in self.headers]
            for name, of_class in listed.items()
        }
        # Classes that are named stay, so that the labels keep their numbers.
        self._by_class = {name: of for name, of in readable.items() if of or class_names}
        self.classes = None if None in listed else tuple(self._by_class)

    def labels(self, paths):
        """Returns the label of each path, or None if there are no classes."""
        if not self.classes:
            return None
        label_of = {
            path: label
            for label, of_class in enumerate(self._by_class.values())
            for path in of_class
        }
        return [label_of[path] for path in paths]

    def subsets(self, share, subset, seed) -> list:
        """Returns the paths of each subset that is asked for."""
        if share is None:
            return [list(self.headers)]
        if len(self.headers) < 2:
            raise ValueError(
                f"There must be at least 2 pictures for two subsets; received: {len(self.headers)}."
            )

        def rank(path):
            name = path.relative_to(self._directory).as_posix()
            return hashlib.sha256(os.fsencode(f"{seed} {name}")).digest()

        # Share of its class that ranks before a picture, so that each class gives its part.
        place = {
            path: ((number + 0.5) / len(of_class), rank(path))
            for of_class in self._by_class.values()
            for number, path in enumerate(sorted(of_class, key=rank))
        }
        count = min(max(1, round(share * len(place))), len(place) - 1)
        held_out = set(sorted(place, key=place.get)[:count])
        found = {
            "training": [path for path in self.headers if path not in held_out],
            "validation": [path for path in self.headers if path in held_out],
        }
        return list(found.values()) if subset == "both" else [found[subset]]


def _on_disk(files, paths, fit, strict):
    """Returns a source that decodes pictures when their batch is read."""
    # Each picture is decoded once here, so that a damaged one is known before the training.
    readable = list(_applied(lambda path: fit.read(path) is None, paths, strict))
    _check_any(readable)
    return FolderSource(readable, files.labels(readable), files.classes, fit)


def _in_memory(files, paths, fit, strict):
    """Returns a source of the decoded pictures."""
    pixels = np.empty((len(paths), *fit.shape), np.uint8)
    row_of = {path: row for row, path in enumerate(paths)}

    def read(path):
        pixels[row_of[path]] = fit.read(path)

    readable = list(_applied(read, paths, strict))
    _check_any(readable)
    if len(readable) < len(paths):
        pixels = pixels[[row_of[path] for path in readable]]
    return MemorySource(pixels, files.labels(readable), files.classes)


def _check_any(readable):
    if not readable:
        raise ValueError("At least one picture must be readable; received: only damaged files.")


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
    if directory.is_file():
        raise ValueError(f"{directory} must be a folder of pictures; received: a file.")
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
        if labels is None or len(set(names)) < len(names):
            raise ValueError(
                "class_names must be different names, with labels 'inferred'; received: "
                f"{class_names!r} with labels {labels!r}."
            )
        missing = sorted(set(names) - set(folders))
        if missing:
            raise ValueError(
                f"{directory} must have a sub-folder with pictures for each of the classes "
                f"{', '.join(names)}; received: none for {', '.join(missing)}."
            )
        return {name: by_folder[name] for name in names}
    if labels is None or not folders:
        return {None: paths}
    if None in by_folder:
        raise ValueError(
            f"All pictures in {directory} must be in sub-folders, whose names are their labels, or "
            f"none; received: {len(by_folder[None])} beside the sub-folders, such as "
            f"{by_folder[None][0].name}. Move them, or use no labels (labels=None, "
            "--unconditional)."
        )
    return {name: by_folder[name] for name in sorted(folders)}


def _paths(directory, follow_links):
    """Returns all files with the suffix of a picture, sorted.

    Hidden files are left out, and the sheets of samples of runs and artifacts.
    """
    suffixes = image_files.suffixes()
    found = []
    for parent, folders, names in os.walk(directory, followlinks=follow_links):
        marks = sorted(OUTPUTS.intersection(names))
        if marks and parent != str(directory):
            warnings.warn(
                f"The pictures in {parent} are left out, because its file {marks[0]} is that of a "
                "run or an artifact.",
                stacklevel=2,
            )
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not follow_links:
            _warn_of_links(parent, folders)
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    return sorted(found)


def _warn_of_links(parent, folders):
    for name in folders:
        path = Path(parent, name)
        if path.is_symlink():
            warnings.warn(
                f"The pictures in {path} are left out, because it is a link to a folder; "
                "follow_links=True reads them.",
                stacklevel=2,
            )


def _shape(headers, size, image_size, color_mode):
    """Returns the shape of the images, from the arguments or from the headers of the pictures."""
    if size is not None and image_size is not None:
        raise ValueError("Either size or image_size must be given; received: both.")
    if size is not None:
        image_size = (validation.positive_int(size, "size"),) * 2
    if image_size is None:
        image_size = _usual_size([header.size for header in headers])
    if color_mode is None:
        color_mode = "grayscale" if all(header.is_grey for header in headers) else "rgb"
    size = validation.positive_ints(image_size, "image_size", 2)
    return (*size, channels_of(color_mode))


def _usual_size(sizes):
    """Returns (height, width) of images of pictures of given sizes."""
    height, width = sizes[0]
    fits = all(LEAST <= side <= LARGEST and side % STEP == 0 for side in (height, width))
    if fits and len(set(sizes)) == 1:
        return height, width
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
        except FileNotFoundError:  # A link to nothing, or the file was removed meanwhile.
            return None, ValueError(f"{path} must be a picture; received: a link to no file.")
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

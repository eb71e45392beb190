"""Data sets by name: tensorflow-datasets and folders of pictures."""

import inspect
from pathlib import Path

from zoo.catalog import FOLDER
from zoo.data.folder import described, folder
from zoo.data.source import CHANNELS, Source
from zoo.data.tfds import split_names, tfds

# Share of the pictures of a folder that is held out.
HELD_OUT = 0.1
# {split of a folder: arguments of ``zoo.data.folder``}
SUBSETS = {
    "train": {"validation_split": HELD_OUT, "subset": "training"},
    "validation": {"validation_split": HELD_OUT, "subset": "validation"},
    "all": {},
}


def named(
    dataset: str, split: str = "train", data_dir: str | None = None, pictures: dict | None = None
) -> Source:
    """Returns the source of a split of a data set.

    Args:
        dataset: Name of tensorflow-datasets, or "folder:" and the path of a folder of pictures.
        split: A split of tensorflow-datasets, for example "train[:50000]". A folder has "train",
            "validation", the tenth of the pictures that is held out, and "all".
        data_dir: Folder in which tensorflow-datasets keeps its data.
        pictures: Arguments of ``zoo.data.folder`` or ``zoo.data.tfds`` by which pictures become
            images of one shape.

    Raises:
        FileNotFoundError: If there are no such data on this machine and they cannot be downloaded.
        ValueError: If there is no such data set or split, or it has no images.
    """
    pictures = pictures or {}
    if not dataset.startswith(FOLDER):
        _check_arguments(tfds, pictures)
        return tfds(dataset, split, data_dir, **pictures)
    if split not in SUBSETS:
        raise ValueError(
            f"split of a folder must be one of {', '.join(SUBSETS)}; received: {split!r}."
        )
    _check_arguments(folder, pictures)
    return folder(_directory(dataset), **pictures, **SUBSETS[split])


def _directory(dataset):
    """Returns the path of the folder of a data set.

    Raises:
        FileNotFoundError: If only its name is known, as on the card of an artifact.
    """
    directory = dataset.removeprefix(FOLDER)
    if not Path(directory).is_absolute():
        raise FileNotFoundError(
            f"The pictures in {directory} that the model was trained on are not part of it. Name "
            "them, or others, with --data FOLDER, or use the folder of the run."
        )
    return directory


def described_training(
    dataset: str, split: str, data_dir: str | None = None, pictures: dict | None = None
) -> Source:
    """Returns the source of the training images without keeping them in memory.

    Its number of images, its shape and its classes can be read at once.

    Args:
        dataset: As in ``named``.
        split: Name of the training split.
        data_dir: As in ``named``.
        pictures: As in ``named``.

    Raises:
        FileNotFoundError: As ``named``.
        ValueError: As ``named``.
    """
    pictures = pictures or {}
    if dataset.startswith(FOLDER):
        return described(_directory(dataset), HELD_OUT, **pictures)
    _check_arguments(tfds, pictures)
    return tfds(dataset, split, data_dir, **pictures, in_memory=False)


def splits(dataset: str, data_dir: str | None = None) -> dict:
    """Returns the splits of a data set of which only the name is known.

    Returns:
        {role: name} of the roles "train", "validation" and "test". If the data set has a split
        "test", the validation images are the last tenth of the split "train". Otherwise this tenth
        has the role of the test images, and there are no validation images. So it is with a folder.

    Raises:
        FileNotFoundError: As ``named``.
        ValueError: As ``named``.
    """
    if dataset.startswith(FOLDER):
        return {"train": "train", "validation": None, "test": "validation"}
    held_out = "train[90%:]"
    if "test" in split_names(dataset, data_dir):
        return {"train": "train[:90%]", "validation": held_out, "test": "test"}
    return {"train": "train[:90%]", "validation": None, "test": held_out}


def shape_settings(image_shape: tuple) -> dict:
    """Returns the arguments of ``zoo.data.folder`` that give images of a shape."""
    height, width, channels = image_shape
    modes = {channels: mode for mode, channels in CHANNELS.items()}
    return {"image_size": [height, width], "color_mode": modes[channels]}


def _check_arguments(function, pictures):
    unknown = sorted(set(pictures) - set(inspect.signature(function).parameters))
    if unknown:
        raise ValueError(
            f"pictures must be arguments of zoo.data.{function.__name__}; received: "
            f"{', '.join(unknown)}."
        )

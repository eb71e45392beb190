"""Data sets by name: tensorflow-datasets and folders of pictures."""

import json

from zoo.catalog import FOLDER
from zoo.data.folder import CHANNELS, folder
from zoo.data.source import Source
from zoo.data.tfds import split_names, tfds

# Share of the pictures of a folder that is held out.
HELD_OUT = 0.1


def named(
    dataset: str, split: str = "train", data_dir: str | None = None, pictures: dict | None = None
) -> Source:
    """Returns the source of a split of a data set.

    Args:
        dataset: Name of tensorflow-datasets, or "folder:" and the path of a folder of pictures.
        split: A split of tensorflow-datasets, for example "train[:50000]". A folder has "train",
            and "test" or "validation" for the pictures that are held out, a tenth of all.
        data_dir: Folder in which tensorflow-datasets keeps its data.
        pictures: Arguments of ``zoo.data.folder`` by which pictures become images of one shape.

    Raises:
        FileNotFoundError: If there are no such data on this machine and they cannot be downloaded.
        ValueError: If there is no such data set or split, or it has no images.
    """
    if not dataset.startswith(FOLDER):
        return tfds(dataset, split, data_dir, **pictures or {})
    if split not in ("train", "test", "validation"):
        raise ValueError(
            f"split of a folder must be 'train', 'validation' or 'test'; received: {split!r}."
        )
    training, held_out = _subsets(dataset.removeprefix(FOLDER), pictures or {})
    return training if split == "train" else held_out


def splits(dataset: str, data_dir: str | None = None) -> dict:
    """Returns the splits of a data set of which only the name is known.

    Returns:
        {role: name} of the roles "train", "validation" and "test". The validation images are the
        last tenth of the split "train". They are in the role of the test images if the data set has
        no split "test".

    Raises:
        FileNotFoundError: As ``named``.
        ValueError: As ``named``.
    """
    if dataset.startswith(FOLDER):
        return {"train": "train", "validation": "validation", "test": "test"}
    held_out = "train[90%:]"
    test = "test" if "test" in split_names(dataset, data_dir) else held_out
    return {"train": "train[:90%]", "validation": held_out, "test": test}


# The subsets of the folder that was read last, by the arguments that it was read with: both come
# from one pass over the files.
_last = {}


def _subsets(directory, pictures):
    key = directory, json.dumps(pictures, sort_keys=True)
    if key not in _last:
        subsets = folder(directory, **pictures, validation_split=HELD_OUT, subset="both")
        _last.clear()
        _last[key] = subsets
        # The same arguments with the shape that was found.
        found = pictures | shape_settings(subsets[0].image_shape)
        _last[directory, json.dumps(found, sort_keys=True)] = subsets
    return _last[key]


def shape_settings(image_shape: tuple) -> dict:
    """Returns the arguments of ``zoo.data.folder`` that give images of a shape."""
    height, width, channels = image_shape
    modes = {channels: mode for mode, channels in CHANNELS.items()}
    return {"image_size": [height, width], "color_mode": modes[channels]}

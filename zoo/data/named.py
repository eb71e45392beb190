"""Data sets by name: tensorflow-datasets and folders of pictures."""

import functools
import json

from zoo.data.folder import folder
from zoo.data.source import Source
from zoo.data.tfds import tfds

FOLDER = "folder:"
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
    training, held_out = _subsets(dataset.removeprefix(FOLDER), json.dumps(pictures or {}))
    return training if split == "train" else held_out


# Both subsets come from one pass over the files.
@functools.lru_cache(maxsize=1)
def _subsets(directory, pictures):
    settings = json.loads(pictures)
    return folder(directory, **settings, validation_split=HELD_OUT, subset="both")

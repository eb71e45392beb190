"""Data source of tensorflow-datasets."""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from zoo.data.memory import MemorySource, from_dataset

# The data sets that the named models are trained on.
NAMES = ("binarized_mnist", "fashion_mnist", "mnist")


def tfds(name: str, split: str = "train", data_dir: str | None = None) -> MemorySource:
    """Reads a data set of tensorflow-datasets into memory.

    Args:
        name: Name of a data set with an "image" feature, such as one of ``NAMES``.
        split: A split of tensorflow-datasets, for example "train[:50000]".
        data_dir: Folder in which tensorflow-datasets keeps its data. None is the environment
            variable ``TFDS_DATA_DIR``, or else ``~/tensorflow_datasets``.

    Raises:
        FileNotFoundError: If the data are not on this machine and cannot be downloaded.
        ValueError: If there is no such data set or split, or it has no images.
    """
    builder = _builder(name, data_dir)
    _prepare(builder)
    try:
        dataset = builder.as_dataset(split=split, shuffle_files=False)
    except ValueError as error:
        splits = ", ".join(
            f"{part} of {info.num_examples} images"
            for part, info in sorted(builder.info.splits.items())
        )
        raise ValueError(
            f"split must be a split of {name}, which has {splits}; received: {split!r}."
        ) from error
    features = dict(builder.info.features or {})
    return from_dataset(dataset, classes=getattr(features.get("label"), "names", None))


def _builder(name, data_dir):
    import tensorflow_datasets
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Our error repeats the reason of a failed download.
    try:
        return tensorflow_datasets.builder(name, data_dir=data_dir, try_gcs=False)
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f"dataset must be a name of tensorflow-datasets, such as {', '.join(NAMES)}; "
            f"received: {name!r}."
        ) from error


def _prepare(builder):
    try:
        if not builder.is_prepared():
            # tensorflow-datasets retries for minutes. A host name that cannot be resolved shows at
            # once that there is no network.
            for url in builder.url_infos if not getproxies() else ():
                socket.getaddrinfo(urlsplit(url).hostname, None)
        builder.download_and_prepare()
    except Exception as error:  # Every failure of the download has the same remedy.
        raise FileNotFoundError(
            f"The data set {builder.name} is not in {builder.data_path} and cannot be downloaded "
            f"({type(error).__name__}). Copy it there from a machine that has it, or name the "
            "folder that holds it with TFDS_DATA_DIR or --data-dir."
        ) from error

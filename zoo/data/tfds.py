"""Data source of tensorflow-datasets."""

import importlib
import math
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies

from zoo.catalog import nearest
from zoo.data.source import MEMORY, Source, channels_of
from zoo.data.stream import StreamSource
from zoo.inference import validation
from zoo.utils import image_files

# The data sets that the named models are trained on.
NAMES = (
    "avatars/lorelei",
    "avatars/pixel_art",
    "binarized_mnist",
    "cifar10",
    "fashion_mnist",
    "mnist",
)
# Height and width of the images of a data set that has several sizes.
SIZE = 64


def tfds(
    name: str,
    split: str = "train",
    data_dir: str | None = None,
    *,
    image_size: tuple | None = None,
    color_mode: str | None = None,
    labels: str | Sequence[str] | None = "inferred",
    class_names: Sequence[str] | None = None,
    pad_to_aspect_ratio: bool = False,
    interpolation: str = "lanczos",
    in_memory: bool | None = None,
) -> Source:
    """Makes a source of a data set of tensorflow-datasets.

    Args:
        name: Name of a data set with an "image" feature, such as one of ``NAMES``.
        split: A split of tensorflow-datasets, for example "train[:50000]".
        data_dir: Folder in which tensorflow-datasets keeps its data. None is the environment
            variable ``TFDS_DATA_DIR``, or else ``~/tensorflow_datasets``.
        image_size: (height, width) of the images. Defaults to that of the data set, or to 64x64 if
            its images have several sizes.
        color_mode: "rgb" or "grayscale". Defaults to that of the data set.
        labels: Name of the feature with the labels; several names, whose features are attributes;
            or None for images without labels. Defaults to "inferred", the feature "label" if the
            data set has it.
        class_names: The names of the labels in their order, which are checked.
        pad_to_aspect_ratio: As in ``zoo.data.folder``.
        interpolation: As in ``zoo.data.folder``.
        in_memory: Whether the images are read into memory. Defaults to True up to 1 GiB. Otherwise
            they are decoded when their batch is read.

    Raises:
        FileNotFoundError: If the data are not on this machine and cannot be downloaded.
        ValueError: If there is no such data set or split, or it has no images or other labels.
    """
    builder = _builder(name, data_dir)
    _prepare(builder)
    _check_split(builder, split)
    features = dict(builder.info.features or {})
    if len(getattr(features.get("image"), "shape", ())) != 3:
        raise ValueError(
            f"dataset must have a feature 'image'; received: {name}, which has "
            f"{', '.join(sorted(features)) or 'none'}."
        )
    shape = _shape(features["image"].shape, image_size, color_mode)
    fit = image_files.Fit(shape, pad_to_aspect_ratio, interpolation)
    stream = StreamSource(builder, split, fit, _label_features(name, features, labels))
    classes = list(stream.classes or ())
    if class_names is not None and list(class_names) != classes:
        raise ValueError(
            f"class_names must be the labels of {name}, {classes or 'none'}; received: "
            f"{list(class_names)}."
        )
    if in_memory is None:
        in_memory = len(stream) * math.prod(shape) <= MEMORY
    if not in_memory:
        return stream
    one_shape = tuple(features["image"].shape) == shape
    return stream.decoded_in_memory() if one_shape else stream.in_memory()


def attribute_names(name: str, data_dir: str | None = None) -> list[str]:
    """Returns the names of the features of a data set that are attributes.

    They are all labels of at least two values, except "label". Arguments and errors as in ``tfds``.
    """
    builder = _builder(name, data_dir)
    _prepare(builder)
    return [
        key
        for key, feature in dict(builder.info.features or {}).items()
        if key != "label" and _is_label(feature) and len(feature.names) > 1
    ]


def split_names(name: str, data_dir: str | None = None) -> list[str]:
    """Returns the names of the splits of a data set.

    Arguments and errors as in ``tfds``.
    """
    builder = _builder(name, data_dir)
    _prepare(builder)
    return sorted(builder.info.splits)


def _is_label(feature) -> bool:
    return bool(getattr(feature, "names", None)) and not feature.shape


def _label_features(name, features, labels):
    """Validates ``labels`` and returns a feature's name, a list of names, or None."""
    if labels == "inferred":
        return "label" if _is_label(features.get("label")) else None
    if labels is None:
        return None
    known = [feature for feature in features if _is_label(features[feature])]
    several = isinstance(labels, (list, tuple))
    for label in labels if several else [labels]:
        if label not in known:
            raise ValueError(
                f"labels must be 'inferred', None, or features of {name} that are labels; "
                f"received: {label!r}{nearest(label, known)}."
            )
    if several and not 0 < len(set(labels)) == len(labels):
        raise ValueError(f"labels must be different features of {name}; received: {labels!r}.")
    return list(labels) if several else labels


def _shape(stored, image_size, color_mode):
    """Returns the shape of the images, from the arguments or from that of the data set."""
    height, width, channels = stored
    if image_size is None:
        image_size = (height, width) if height and width else (SIZE, SIZE)
    if color_mode is None:
        channels = 1 if channels == 1 else 3
    else:
        channels = channels_of(color_mode)
    return (*validation.positive_ints(image_size, "image_size", 2), channels)


def _check_split(builder, split):
    try:
        builder.info.splits[split]
    except (KeyError, ValueError) as error:
        splits = ", ".join(
            f"{part} of {info.num_examples} images"
            for part, info in sorted(builder.info.splits.items())
        )
        raise ValueError(
            f"split must be a split of {builder.name}, which has {splits}; received: {split!r}."
        ) from error


def _builder(name, data_dir):
    import tensorflow_datasets
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Our error repeats the reason of a failed download.
    if name.partition("/")[0] == "avatars":
        importlib.import_module("zoo.data.avatars")  # Registers the builder.
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
            for url in builder.url_infos or () if not getproxies() else ():
                socket.getaddrinfo(urlsplit(url).hostname, None)
        builder.download_and_prepare()
    except ModuleNotFoundError:  # A package that draws or decodes the images.
        raise
    except Exception as error:  # Every failure of the download has the same remedy.
        raise FileNotFoundError(
            f"The data set {builder.name} is not in {builder.data_path} and cannot be downloaded "
            f"({type(error).__name__}). Copy it there from a machine that has it, or name the "
            "folder that holds it with TFDS_DATA_DIR or --data-dir."
        ) from error

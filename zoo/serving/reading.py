"""Validates JSON values and converts them to the input arrays of a signature.

Every function that validates raises ``Refused`` with one sentence.
"""

import base64
import binascii
import io
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import orjson
import tensorflow as tf

from zoo import catalog
from zoo.inference import validation
from zoo.serving.limits import Refused
from zoo.utils import image_files

DEFAULT = "serving_default"
# Formats of picture files, those whose headers give the size before anything is decoded.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@dataclass(frozen=True)
class Call:
    """Valid request.

    Attributes:
        signature: Name of the signature.
        inputs: {input: array}, all with the same number of rows.
        write: Function of {output: array} that returns the JSON document of the answer.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    write: object

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.inputs.values())))


def document(body: bytearray, members: set[str]) -> dict:
    """Parses a JSON object that may have only the given members."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"The body must be a JSON document; received: {error}.") from error
    if not isinstance(given, dict):
        raise Refused(f"The body must be a JSON object; received: {short(given)}.")
    if unknown := given.keys() - members:
        known = ", ".join(sorted(members))
        raise Refused(f"The body has the unknown member {short(min(unknown))}; there are {known}.")
    return given


def signature(model, name) -> str:
    """Validates the name of a signature."""
    if not isinstance(name, str) or name not in model.signatures:
        nearest = catalog.nearest(str(name)[:60], model.signatures)
        raise Refused(f"{model.name} has no signature {short(name)}{nearest}.")
    return name


def check_names(model, signature: str, given) -> None:
    """Validates that the given names are those of a signature's inputs."""
    wanted = model.signatures[signature].inputs
    if not isinstance(given, dict) or given.keys() != set(wanted):
        names = ", ".join(sorted(wanted))
        raise Refused(
            f"{signature} of {model.name} takes the inputs {names}; received: {short(given)}."
        )


def nested(name: str, value, info) -> np.ndarray:
    """Converts nested lists to an array, and validates that they have the shape of an input.

    The lengths are validated before NumPy sees the lists, so that it never guesses a shape.
    """
    kind, shape = specification(info)
    values = value if isinstance(value, list) else None
    for size in shape[1:]:
        if values is None or set(map(type, values)) - {list} or set(map(len, values)) - {size}:
            values = None
            break
        values = list(chain.from_iterable(values))
    return _array(name, values, kind, shape, value)


def is_picture(value) -> bool:
    """Returns whether a value is a file in base64, which TF Serving writes as {"b64": text}."""
    return isinstance(value, dict) and value.keys() == {"b64"}


def pictures(model, signature: str, values: list) -> np.ndarray:
    """Decodes picture files to the images that a signature takes.

    Args:
        model: ``Served``.
        signature: Name of the signature.
        values: A {"b64": text} for each row.
    """
    if len(values) > model.rows:
        raise Refused(
            f"There must be at most {model.rows} pictures in a request; received: {len(values)}."
        )
    inference = model.inference
    fit = inference.picture_fit or image_files.Fit(inference.image_shape)
    pixels, images = 0, []
    for value in values:
        try:
            file = io.BytesIO(base64.b64decode(value["b64"], validate=True))
        except (binascii.Error, TypeError, ValueError) as error:
            raise Refused(
                f"Each b64 must be a text in base64; received: {short(value['b64'])}."
            ) from error
        try:
            with image_files.opened(file, FORMATS) as picture:
                fit.reduce(picture)
                pixels += picture.width * picture.height
                if pixels <= model.picture_pixels:
                    images.append(fit.fitted(picture))
        except ValueError as error:
            raise Refused(
                f"Each b64 must be an undamaged picture, one of {', '.join(FORMATS)}; received: "
                f"{short(value['b64'])}. {error}"
            ) from error
        if pixels > model.picture_pixels:
            raise Refused(
                f"The pictures must have at most {model.picture_pixels} pixels together, as they "
                f"are decoded; received: {pixels} or more."
            )
    return inference.input_images(signature, np.stack(images) / np.float32(255))


def attributes(model, values: list, seeds) -> np.ndarray:
    """Converts objects {attribute: name of its value} to the numbers of the values.

    Args:
        model: ``Served``, conditional on attributes.
        values: The object of each row. Attributes that are missing vary with the seed.
        seeds: Seed of each row, or None if the signature has none; then none may be missing.
    """
    if seeds is None or len(seeds) != len(values):
        seeds = [None] * len(values)
    else:
        seeds = seeds.reshape(-1, 1)
    try:
        rows = [
            validation.attribute_values(value, model.card.attributes, 1, seed)
            for value, seed in zip(values, seeds)
        ]
    except ValueError as error:
        raise Refused(str(error)) from error
    return np.concatenate(rows)


def flat(name: str, values: list, info) -> np.ndarray:
    """Converts a list of all numbers of an input, row by row, flat or nested, to an array."""
    kind, shape = specification(info)
    given = values
    for _ in shape[1:]:
        if set(map(type, values)) == {list}:
            values = list(chain.from_iterable(values))
    return _array(name, values, kind, shape, given)


def _array(name, values, kind, shape, given) -> np.ndarray:
    whole = kind.kind == "i"
    array = None
    if values is not None and set(map(type, values)) <= ({int} if whole else {int, float}):
        array = np.asarray(values, None if whole else np.float64)
    if (
        array is None
        or (whole and array.dtype.kind not in "iu")
        or array.size % max(1, np.prod(shape[1:]))
    ):
        inner = ", ".join(["n", *map(str, shape[1:])])
        what = "whole numbers" if whole else "numbers"
        raise Refused(
            f"{name} must be {what} in an array of shape ({inner}); received: {short(given)}."
        )
    return array.reshape(-1, *shape[1:])


def admit(model, signature: str, arrays: dict, write) -> Call:
    """Validates the number of rows and the values of a signature's inputs."""
    rows = {name: len(array) for name, array in sorted(arrays.items())}
    n = max(rows.values())
    if min(rows.values()) != n or not 1 <= n <= model.rows:
        raise Refused(
            f"The inputs must have one number of rows, from 1 to {model.rows}; received: {rows}."
        )
    try:
        inputs = {name: _checked(model, name, array) for name, array in arrays.items()}
    except ValueError as error:
        raise Refused(str(error)) from error
    return Call(signature, inputs, write)


def _checked(model, name: str, array) -> np.ndarray:
    card = model.card
    if name == "seed":
        return validation.seeds(array, len(array))
    if name == "label":
        return validation.labels(array, len(array), card.num_classes)
    if name in ("z", "noise"):
        return validation.rows(array, (card.latent_dim,), name)
    if name == "condition":
        return validation.condition(array, model.inference, len(array))
    return validation.images(array, card.image_shape)


def specification(info) -> tuple[np.dtype, list[int]]:
    """Returns NumPy dtype and shape of a signature's input or output. The batch is -1."""
    kind = np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
    return kind, [dimension.size for dimension in info.tensor_shape.dim]


def short(value) -> str:
    """Describes a value in few characters, without first writing a large value in full."""
    if isinstance(value, list):
        if 0 < len(value) <= 3 and not any(isinstance(item, (list, dict)) for item in value):
            return f"[{', '.join(map(short, value))}]"
        return f"a list of length {len(value)}"
    if isinstance(value, dict):
        members = ", ".join(short(name) for name in islice(value, 3)) + ", …" * (len(value) > 3)
        return f"an object of {members or 'no members'}"
    return repr(value[:40] + "…" * (len(value) > 40) if isinstance(value, str) else value)


def dumps(value) -> bytes:
    """Writes a value as JSON, with NumPy arrays as nested lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)

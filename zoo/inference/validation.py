"""Validates public arguments and converts them to NumPy arrays."""

import numpy as np

from zoo.catalog import described_attributes, nearest


def short(value) -> str:
    """Shortens the text of a received value so that it fits in an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def count(given, name: str) -> int:
    """Validates a number of parts, which may be 0.

    Raises:
        ValueError: If the value is not an integer of at least 0.
    """
    return _integer(given, name, least=0)


def positive_int(given, name: str = "n") -> int:
    """Validates a positive integer.

    Raises:
        ValueError: If the value is not an integer of at least 1.
    """
    return _integer(given, name, least=1)


def _integer(given, name, least):
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}; received: {short(given)}."
        )
    return int(given)


def positive_number(given, name: str) -> float:
    """Validates and returns a positive number.

    Raises:
        ValueError: If it is not a finite number above 0.
    """
    is_number = isinstance(given, (int, float, np.number)) and not isinstance(given, bool)
    if not is_number or not 0 < given < np.inf:
        raise ValueError(f"{name} must be a number above 0; received: {short(given)}.")
    return float(given)


def positive_ints(
    given, name: str, length: int | None = None, *, least: int = 0
) -> tuple[int, ...]:
    """Validates a sequence of positive integers.

    Args:
        given: Value to validate.
        name: Name of the argument, for the error.
        length: Required length, or None for any length.
        least: Smallest length.

    Raises:
        ValueError: If the value is not such a sequence.
    """
    if (
        isinstance(given, str)
        or not hasattr(given, "__iter__")
        or (length and len(given) != length)
        or (least and len(given) < least)
    ):
        sizes = f"{length} integers" if length else "one or more integers" if least else "integers"
        raise ValueError(f"{name} must be a tuple of {sizes}; received: {short(given)}.")
    return tuple(positive_int(size, f"Each element of {name}") for size in given)


def image_shape(given) -> tuple[int, int, int]:
    """Validates the shape of an image, (height, width, channels).

    Raises:
        ValueError: If the value is not three positive integers.
    """
    try:
        return positive_ints(given, "image_shape", 3)
    except ValueError as error:
        raise ValueError(
            "image_shape must be (height, width, channels), three integers of at least 1; "
            f"received: {short(given)}."
        ) from error


def seed(given) -> int:
    """Validates the seed of a model's training.

    Raises:
        ValueError: If the value is not an integer of at least 0.
    """
    if type(given) is not int or given < 0:
        raise ValueError(f"seed must be an integer of at least 0; received: {short(given)}.")
    return given


def seeds(seed, n: int) -> np.ndarray:
    """Converts a first seed, or n seeds, to int64 ``(n,)``.

    Args:
        seed: The first seed, which the following rows count upwards, or n seeds.
        n: Number of rows.

    Raises:
        ValueError: If a seed is not an integer, or not in [0, 2**63).
    """
    given = np.asarray(seed)
    integers = given.dtype == object and all(isinstance(s, int) for s in given.ravel())
    if given.dtype.kind not in "iu" and not integers:
        raise ValueError(
            f"seed must be an integer or an array of {n} integers; received: {short(seed)}."
        )
    if given.shape not in ((), (n,)):
        raise ValueError(
            f"seed must be one integer, or {n} of them, one for each image; "
            f"received: an array of shape {given.shape}."
        )
    low, high = int(given.min()), int(given.max()) + (n - 1 if given.shape == () else 0)
    if low < 0 or high >= 2**63:
        raise ValueError(
            f"seed must be at least 0 and less than 2**63; received: seeds from {low} to {high}."
        )
    return given.astype(np.int64) + np.arange(n) if given.shape == () else given.astype(np.int64)


def labels(given, n: int, num_classes: int) -> np.ndarray:
    """Converts one label for all images, or n labels, to int32 ``(n,)`` in [0, num_classes).

    Raises:
        ValueError: If a label is not an integer or out of range, or their number is wrong.
    """
    values = np.asarray(given)
    if values.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers from 0 to {num_classes - 1}; received: {short(given)}."
        )
    if values.shape not in ((), (n,)):
        raise ValueError(
            f"labels must be one integer, or {n} of them, one for each image; "
            f"received: an array of shape {values.shape}."
        )
    wrong = values[(values < 0) | (values >= num_classes)]
    if wrong.size:
        raise ValueError(
            f"labels must be integers from 0 to {num_classes - 1}; received: {wrong.flat[0]}."
        )
    return np.broadcast_to(values, (n,)).astype(np.int32)


def images(given, image_shape: tuple, name: str = "images") -> np.ndarray:
    """Converts images to float32 ``(n, height, width, channels)``.

    Raises:
        ValueError: As ``rows``, or if a value is not in [0, 1].
    """
    values = rows(given, image_shape, name)
    low, high = values.min(), values.max()
    if low < 0 or high > 1:
        raise ValueError(f"{name} must be in [0, 1]; received: values from {low:g} to {high:g}.")
    return values


def rows(given, shape: tuple, name: str) -> np.ndarray:
    """Converts a batch to float32 ``(n, *shape)``.

    Args:
        given: Floating-point array of at least one row.
        shape: Shape of one row.
        name: Name of the argument, for the error.

    Raises:
        ValueError: If the numbers are not floating-point or not finite, or the shape is wrong.
    """
    values = np.asarray(given)
    expected = f"(n, {', '.join(map(str, shape))})"
    if values.dtype.kind != "f":
        hint = f" Convert with {name}.astype('float32') / 255." if values.dtype == np.uint8 else ""
        raise ValueError(
            f"{name} must be floating-point of shape {expected}; received: {values.dtype}.{hint}"
        )
    if values.shape[1:] != tuple(shape) or values.ndim != 1 + len(shape) or not len(values):
        raise ValueError(
            f"{name} must be of shape {expected} with n of at least 1; received: {values.shape}."
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite; received: NaN or infinity.")
    return values


def condition(given, model, n: int) -> np.ndarray:
    """Converts one condition for all images, or n conditions, to an array.

    Args:
        given: ``condition_shape`` or ``(n, *condition_shape)``, floating-point. A condition that is
            a part of the image must be in [0, 1]. A condition of attributes is as in
            ``attribute_values``.
        model: Model with ``condition_shape``, ``condition_at`` and ``attributes``.
        n: Number of images.

    Returns:
        float32 ``(n, *condition_shape)``, or int32 ``(n, k)`` of k attributes.

    Raises:
        ValueError: If the condition is not as above.
    """
    if model.attributes:
        return attribute_values(given, model.attributes, n)
    if np.shape(given) == model.condition_shape:
        given = np.broadcast_to(given, (n, *model.condition_shape))
    check = images if model.condition_at else rows
    values = check(given, model.condition_shape, "condition")
    if len(values) != n:
        raise ValueError(
            f"condition must be one array, or {n} of them, one for each image; "
            f"received: {len(values)}."
        )
    return values


def attributes(given) -> dict[str, tuple[str, ...]]:
    """Validates categorical attributes, {name: names of its values}.

    Raises:
        ValueError: If the value is not a dictionary of at least one attribute with at least two
            different values each.
    """
    if isinstance(given, dict) and given:
        sequences = all(isinstance(values, (list, tuple)) for values in given.values())
        if sequences and all(len({*map(str, values)}) >= 2 for values in given.values()):
            found = {str(name): tuple(map(str, values)) for name, values in given.items()}
            if all(len(set(values)) == len(values) for values in found.values()):
                return found
    raise ValueError(
        "attributes must be a dictionary with a list of at least 2 different names of values for "
        f"each attribute, such as {{'glasses': ['0', '1']}}; received: {short(given)}."
    )


def attribute_values(given, attributes: dict, n: int, numbers=None) -> np.ndarray:
    """Converts the values of attributes to their numbers, for all of n images or for each.

    Args:
        given: {attribute: name of a value, or n names}; or numbers of values, integers ``(k,)`` or
            ``(n, k)`` for k attributes; or None.
        attributes: {attribute: names of its values}.
        n: Number of images.
        numbers: int ``(n,)``, such as seeds. The attributes that are not given have the digits of
            these numbers as values, the first attribute the last digit, in the mixed radix of their
            numbers of values; consecutive numbers give all combinations in turn. With None, all
            attributes must be given.

    Returns:
        int32 ``(n, k)``.

    Raises:
        ValueError: If an argument is not as above.
    """
    if given is not None and not isinstance(given, dict):
        return _attribute_numbers(given, attributes, n)
    given = given or {}
    for name in given:
        if name not in attributes:
            raise ValueError(
                f"condition must name attributes of the model; received: {short(name)}"
                f"{nearest(name, attributes)}."
            )
    columns = {name: _numbers_of(value, name, attributes[name], n) for name, value in given.items()}
    missing = [name for name in attributes if name not in given]
    if missing and numbers is None:
        raise ValueError(
            "condition must have a value for each attribute of this model, "
            f"{described_attributes(attributes)}; received: none for {', '.join(missing)}."
        )
    for name in missing:
        columns[name] = numbers % len(attributes[name])
        numbers = numbers // len(attributes[name])
    return np.stack([np.broadcast_to(columns[name], (n,)) for name in attributes], 1).astype(
        np.int32
    )


def _numbers_of(given, name, values, n):
    """Returns the numbers of one value of an attribute, or of n values."""
    names = np.asarray(given, object)
    if names.shape not in ((), (n,)):
        raise ValueError(
            f"condition must have one value of {name}, or {n} of them, one for each image; "
            f"received: {short(given)}."
        )
    found = [str(value) for value in names.flat]
    for value in found:
        if value not in values:
            raise ValueError(
                f"{name} must be one of its values; received: {short(value)}"
                f"{nearest(value, values)}."
            )
    return np.array([values.index(value) for value in found]).reshape(names.shape)


def _attribute_numbers(given, attributes, n):
    values, sizes = np.asarray(given), np.array([len(names) for names in attributes.values()])
    if values.dtype.kind not in "iu" or values.shape not in ((len(sizes),), (n, len(sizes))):
        raise ValueError(
            "condition must be a dictionary of the attributes "
            f"{described_attributes(attributes)}, or the numbers of their values in an integer "
            f"array of shape ({len(sizes)},) or ({n}, {len(sizes)}); received: {short(given)}."
        )
    values = np.broadcast_to(values, (n, len(sizes)))
    wrong = np.argwhere((values < 0) | (values >= sizes))
    if len(wrong):
        row, column = wrong[0]
        name = list(attributes)[column]
        raise ValueError(
            f"condition must have numbers of {name} from 0 to {sizes[column] - 1}; received: "
            f"{values[row, column]}."
        )
    return values.astype(np.int32)

"""Validates public arguments and converts them to NumPy arrays."""

import numpy as np


def count(n, what: str = "n") -> int:
    """A positive whole number."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"{what} must be a whole number of at least 1, but it is {n!r}.")
    return int(n)


def counts(given, what: str, length: int | None = None) -> tuple[int, ...]:
    """A tuple of positive whole numbers, ``length`` of them where that is given."""
    if isinstance(given, str) or not hasattr(given, "__iter__") or (length and len(given) != length):
        sizes = f"{length} whole numbers" if length else "whole numbers"
        raise ValueError(f"{what} must be a tuple of {sizes}, but it is {given!r}.")
    return tuple(count(size, f"Each of {what}") for size in given)


def dimensions(image_shape, latent_dim, num_classes) -> tuple[int, ...]:
    """Validates the arguments of every family's constructor, and returns the image's shape as a tuple."""
    count(latent_dim, "latent_dim")
    if num_classes is not None:
        count(num_classes, "num_classes")
    return counts(image_shape, "image_shape", 3)


def seed(given) -> int:
    """The seed of a training, a whole number of at least 0."""
    if type(given) is not int or given < 0:
        raise ValueError(f"seed must be a whole number of at least 0, but it is {given!r}.")
    return given


def seeds(seed, n: int) -> np.ndarray:
    """int64 ``(n,)`` from a first seed (then counted upwards) or from n seeds, each in [0, 2**63)."""
    given = np.asarray(seed)
    if given.dtype.kind not in "iu" and not (given.dtype == object and all(isinstance(s, int) for s in given.ravel())):
        raise ValueError(f"seed must be a whole number or an array of {n} of them, but it is {short(seed)}.")
    if given.shape not in ((), (n,)):
        raise ValueError(f"seed must be one number or {n} of them, one an image, but its shape is {given.shape}.")
    low, high = int(given.min()), int(given.max()) + (n - 1 if given.shape == () else 0)
    if low < 0 or high >= 2**63:
        raise ValueError(f"Seeds must be at least 0 and below 2**63, but these reach from {low} to {high}.")
    return given.astype(np.int64) + np.arange(n) if given.shape == () else given.astype(np.int64)


def labels(given, n: int, num_classes: int) -> np.ndarray:
    """int32 ``(n,)`` from one label for all or from n labels, each in [0, num_classes)."""
    values = np.asarray(given)
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers from 0 to {num_classes - 1}, but they are {short(given)}.")
    if values.shape not in ((), (n,)):
        raise ValueError(f"labels must be one number or {n} of them, one an image, but their shape is {values.shape}.")
    wrong = values[(values < 0) | (values >= num_classes)]
    if wrong.size:
        raise ValueError(f"labels must be from 0 to {num_classes - 1}, but {wrong.flat[0]} is among them.")
    return np.broadcast_to(values, (n,)).astype(np.int32)


def images(given, image_shape: tuple, what: str = "images") -> np.ndarray:
    """float32 ``(n, height, width, channels)`` in [0, 1]."""
    values = rows(given, image_shape, what)
    low, high = values.min(), values.max()
    if low < 0 or high > 1:
        raise ValueError(f"{what} must lie in [0, 1], but they reach from {low:g} to {high:g}.")
    return values


def rows(given, shape: tuple, what: str) -> np.ndarray:
    """float32 ``(n, *shape)`` with n >= 1 and every number finite."""
    values = np.asarray(given)
    expected = f"(n, {', '.join(map(str, shape))})"
    if values.dtype.kind != "f":
        hint = f": convert with {what}.astype('float32') / 255" if values.dtype == np.uint8 else ""
        raise ValueError(f"{what} must be floating-point numbers of shape {expected}, but their type is {values.dtype}{hint}.")
    if values.shape[1:] != tuple(shape) or values.ndim != 1 + len(shape) or not len(values):
        raise ValueError(f"{what} must have the shape {expected} with n of at least 1, but theirs is {values.shape}.")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite, but there is a NaN or an infinity among them.")
    return values


def condition(given, model, n: int) -> np.ndarray:
    """float32 ``(n, *condition_shape)``, in [0, 1] where the condition is a part of the image."""
    check = images if model.condition_at else rows
    values = check(given, model.condition_shape, "condition")
    if len(values) != n:
        raise ValueError(f"condition must be one for all or one an image, but there are {len(values)} for {n} images.")
    return values


def short(value) -> str:
    """Shortens a received value to fit in a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Validates training data: the first batch before TensorFlow traces a step, and each batch inside of the graph."""

import keras
import numpy as np
import tensorflow as tf

from zoo import data
from zoo.inference import validation

IMAGES_IN_RANGE = (
    "Images must be in [0, 1]; received: a batch with other values. Divide 8-bit images by 255."
)
LABELS_IN_RANGE = (
    "Labels must be at least 0 and less than num_classes; received: a batch with other values."
)
TOO_SMALL = "A batch must have at least discriminator_steps images; received: a smaller one."
SENTENCES = [IMAGES_IN_RANGE, LABELS_IN_RANGE, TOO_SMALL]
BATCH_SIZE = 32  # The default of Keras.


def for_training(model, given: dict) -> dict:
    """Replaces a ``zoo.data.Source`` among the arguments of ``fit`` by its batches.

    Each epoch has a new order, and the batches depend on the model's seed and the step alone.

    Raises:
        ValueError: If the model cannot be trained on the source, see ``zoo.data.for_model``.
    """
    if not isinstance(given.get("x"), data.Source):
        return given
    source, size = _source(model, given)
    steps = given.get("steps_per_epoch") or source.steps_per_epoch(size)
    start = (given.get("initial_epoch") or 0) * steps
    images = source.batches(size, model.seed, start)
    return _without_arrays(given) | {"x": images, "steps_per_epoch": steps, "shuffle": False}


def for_evaluation(model, given: dict) -> dict:
    """Replaces a ``zoo.data.Source`` among the arguments of ``evaluate`` by one pass over it."""
    if not isinstance(given.get("x"), data.Source):
        return given
    source, size = _source(model, given)
    return _without_arrays(given) | {"x": source.batches(size)}


def _source(model, given):
    source = data.for_model(given["x"], model)
    for name in ("y", "sample_weight"):
        if given.get(name) is not None:
            raise ValueError(f"{name} must not be given with a zoo.data.Source as x.")
    return source, given.get("batch_size") or min(BATCH_SIZE, len(source))


def _without_arrays(given):
    return {name: value for name, value in given.items() if name != "batch_size"}


def first(x, y, sample_weight) -> tuple | None:
    """Reads the first batch of the arguments of ``fit``.

    Arrays count as one batch. Data that can be read only once, such as a generator, are left alone.

    Returns:
        (images, condition, weights), each a NumPy array or None; or None where there is no batch to
        look at.

    Raises:
        ValueError: If the data set is empty.
    """
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x.take(1)), None)
        if batch is None:
            raise ValueError("The data set must have at least one batch; received: an empty one.")
    elif isinstance(x, keras.utils.PyDataset):
        batch = x[0]
    elif isinstance(x, (np.ndarray, tf.Tensor, tf.Variable, list, tuple)) or hasattr(
        x, "__array__"
    ):
        batch = (x, y, sample_weight)
    else:
        return None
    return tuple(_array(part) for part in keras.utils.unpack_x_y_sample_weight(batch))


def _array(part):
    if part is None or (isinstance(part, (list, tuple)) and not np.isscalar(next(iter(part), 0))):
        return part if part is None else [_array(one) for one in part]
    if isinstance(part, tf.Tensor) and part.dtype == tf.bfloat16:
        part = tf.cast(part, tf.float32)
    return np.asarray(part)


def validate(model, images, condition, weights, class_weight=None) -> None:
    """Validates one batch of training data.

    Args:
        model: a ``zoo.models`` model.
        images: float ``(n, *image_shape)`` in [0, 1].
        condition: labels ``(n,)`` or ``(n, 1)``, condition tensors, or None.
        weights: sample weights ``(n,)``, or None.
        class_weight: {label: weight}, or None.

    Raises:
        ValueError: If one of them is not as above, or a conditional model has no condition.
    """
    images = np.asarray(images)
    validation.images(images, model.image_shape)
    needed = model.condition_spec()
    if needed and condition is None:
        raise ValueError(missing_condition(model))
    if class_weight is not None and (
        condition is None or np.asarray(condition).dtype.kind not in "iu"
    ):
        raise ValueError(
            f"class_weight must come with integer labels; received: {'no' if condition is None else 'other'} labels. "
            "Give the labels as y, or use sample_weight."
        )
    if needed:
        condition = np.asarray(condition)
        if model.num_classes:
            column = (
                condition[:, 0] if condition.ndim == 2 and condition.shape[1] == 1 else condition
            )
            validation.labels(column, len(images), model.num_classes)
        else:
            validation.condition(condition, model, len(images))
    if weights is not None and np.asarray(weights).shape not in ((len(images),), (len(images), 1)):
        raise ValueError(
            f"sample_weight must be of shape ({len(images)},), one weight for each image; received: "
            f"{np.asarray(weights).shape}."
        )


def validate_inputs(model, names, batch) -> None:
    """Validates the first batch of ``predict``.

    Args:
        model: a ``zoo.models`` model.
        names: of the inputs that calling the model takes, "images" or "z", and of its condition.
        batch: the batch as ``first`` gives it: the inputs in a list, or as the element of a data
            set.

    Raises:
        ValueError: If the batch does not hold these inputs.
    """
    x, condition, _ = batch
    inputs = (
        x
        if isinstance(x, list)
        else [x]
        if condition is None or len(names) == 1
        else [x, condition]
    )
    if len(inputs) != len(names):
        raise ValueError(
            f"predict must be given {' and '.join(names)}; received: {len(inputs)} input(s)."
        )
    if names[0] == "z":
        validation.rows(inputs[0], (model.latent_dim,), "z, the input of predict,")
    else:
        validation.images(inputs[0], model.image_shape)
    if "label" in names:
        validation.labels(inputs[1], len(inputs[0]), model.num_classes)


def missing_condition(model) -> str:
    """The sentence about a data set that lacks the condition of a model."""
    (spec,) = model.condition_spec()
    return f"A dataset element must be (images, {spec.name}) for this conditional model; received: images alone."


def assert_in_range(values, low, high, sentence) -> list:
    """Checks of the graph that values are within [low, high] and not NaN; a check that holds eagerly is None."""
    within = tf.reduce_all(
        (values >= tf.cast(low, values.dtype)) & (values <= tf.cast(high, values.dtype))
    )
    check = tf.debugging.Assert(within, [sentence])
    return [] if check is None else [check]

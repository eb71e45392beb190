"""Training data: batches of a data source, and validation.

The first batch is validated before TensorFlow traces a training step. Assertions in the graph
validate every batch.
"""

import contextlib
import math

import keras
import numpy as np
import tensorflow as tf

from zoo import data
from zoo.inference import validation
from zoo.models import replicas

IMAGES_IN_RANGE = (
    "Images must be in [0, 1]; received: a batch with other values. Divide 8-bit images by 255."
)
LABELS_IN_RANGE = (
    "Labels must be at least 0 and less than num_classes; received: a batch with other values."
)
ATTRIBUTES_IN_RANGE = (
    "Attributes must be at least 0 and less than their number of values; received: a batch with "
    "other values."
)
TOO_SMALL = "A batch must have at least discriminator_steps images; received: a smaller one."
SENTENCES = [IMAGES_IN_RANGE, LABELS_IN_RANGE, ATTRIBUTES_IN_RANGE, TOO_SMALL]
BATCH_SIZE = 32  # The default of Keras.


def for_training(model, given: dict) -> dict:
    """Replaces a ``zoo.data.Source`` among the arguments of ``fit`` by its batches.

    Each epoch has a new order. The batches depend on the model's seed and on the number of steps
    that the optimizer has done.

    Raises:
        ValueError: If the model cannot be trained on the source, see ``zoo.data.for_model``.
    """
    if not isinstance(given.get("x"), data.Source):
        return given
    source, size = _source(model, given)
    steps, start = _steps_and_start(model, given, source, size)
    images = source.batches(size, model.seed, start).prefetch(2)
    return _without_batch_size(given) | {"x": images, "steps_per_epoch": steps, "shuffle": False}


def _steps_and_start(model, given, source, size):
    steps = given.get("steps_per_epoch")
    steps = source.steps_per_epoch(size) if steps is None else steps
    # A second ``fit`` continues with new epochs.
    return steps, max(model.steps_done, (given.get("initial_epoch") or 0) * steps)


def on_replicas(model, given: dict) -> dict:
    """Divides the batches of a ``zoo.data.Source`` among the replicas of the model's strategy.

    A global batch has the images of the same batch on one replica, of which the first replica gets
    the first part, and so on. Each worker reads its own part alone. Keras divides arrays itself.

    Args:
        model: The model.
        given: Arguments of ``fit``.

    Returns:
        The argument ``x`` of Keras's ``fit``, or {} for one replica or other data.

    Raises:
        ValueError: If a batch cannot be divided equally.
    """
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return {}
    if not isinstance(given.get("x"), data.Source):
        _check_parts_of_arrays(given, strategy.num_replicas_in_sync)
        return {}
    source, size = _source(model, given)
    _, start = _steps_and_start(model, given, source, size)
    each = replicas.size_of_each(size, strategy.num_replicas_in_sync)

    def of_worker(context):
        shard = (context.input_pipeline_id, context.num_input_pipelines)
        images = source.batches(size, model.seed, start, shard)
        return images.rebatch(each, drop_remainder=True).prefetch(2)

    return {"x": strategy.distribute_datasets_from_function(of_worker)}


def _check_parts_of_arrays(given, count):
    """Validates that each batch of arrays can be divided equally, also the last one of an epoch.

    A replica that gets fewer images would weight them more, and one without images computes NaN.
    """
    if not hasattr(given.get("x"), "__array__"):
        return
    size = given.get("batch_size") or BATCH_SIZE
    replicas.size_of_each(size, count)
    images = math.floor(len(given["x"]) * (1 - (given.get("validation_split") or 0)))
    if images % size % count:
        raise ValueError(
            f"The number of images in the last batch must be a multiple of {count}, the number of "
            f"replicas; received: {images % size}, because there are {images} images in batches of "
            f"{size}. Give fit a zoo.data.MemorySource, which leaves them out."
        )


def for_evaluation(model, given: dict) -> dict:
    """Replaces a ``zoo.data.Source`` among the arguments of ``evaluate`` by one pass over it."""
    if not isinstance(given.get("x"), data.Source):
        return given
    source, size = _source(model, given)
    options = tf.data.Options()
    # Workers divide each batch. By default they would divide the files, perhaps unequally.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    images = source.batches(size).prefetch(2).with_options(options)
    return _without_batch_size(given) | {"x": images}


def _source(model, given):
    source = data.for_model(given["x"], model)
    for name in ("y", "sample_weight"):
        if given.get(name) is not None:
            raise ValueError(
                f"{name} must not be given with a zoo.data.Source, which has the conditions itself."
            )
    size = given.get("batch_size")
    return source, min(BATCH_SIZE, len(source)) if size is None else size


def _without_batch_size(given):
    return {name: value for name, value in given.items() if name != "batch_size"}


def first(x, y, sample_weight) -> tuple | None:
    """Reads the first batch of the arguments of ``fit``.

    Arrays count as one batch. Data that can be read only once, such as a generator, are not read.

    Args:
        x: Arrays, ``tf.data.Dataset``, ``keras.utils.PyDataset`` or other data of ``fit``.
        y: Condition as an array, or None.
        sample_weight: Weights as an array, or None.

    Returns:
        (images, condition, weights), each a NumPy array, a list of them or None; or None if the
        data are not read.

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
        model: A ``zoo.models`` model.
        images: float ``(n, *image_shape)`` in [0, 1].
        condition: Labels ``(n,)`` or ``(n, 1)``, condition tensors ``(n, *condition_shape)``,
            attributes ``(n, k)``, or None.
        weights: Sample weights ``(n,)`` or ``(n, 1)``, or None.
        class_weight: {label: weight}, or None.

    Raises:
        ValueError: If one of them is not as above, or a conditional model has no condition.
    """
    images = np.asarray(images)
    validation.images(images, model.image_shape)
    needed = model.condition_spec()
    if needed and condition is None:
        raise ValueError(missing_condition(model))
    if class_weight is not None:
        _validate_labels_of_class_weight(condition)
    if needed:
        _validate_condition(model, np.asarray(condition), len(images))
    if weights is not None and np.asarray(weights).shape not in ((len(images),), (len(images), 1)):
        raise ValueError(
            f"sample_weight must be of shape ({len(images)},), one weight for each image; "
            f"received: {np.asarray(weights).shape}."
        )


def _validate_labels_of_class_weight(labels):
    if labels is None or np.asarray(labels).dtype.kind not in "iu":
        received = "no labels" if labels is None else "other labels"
        raise ValueError(
            f"class_weight must come with integer labels; received: {received}. "
            "Give the labels as y, or use sample_weight."
        )


def _validate_condition(model, condition, n):
    if not model.num_classes:
        validation.condition(condition, model, n)
        return
    is_column = condition.ndim == 2 and condition.shape[1] == 1
    validation.labels(condition[:, 0] if is_column else condition, n, model.num_classes)


def validate_inputs(model, names, batch) -> None:
    """Validates the first batch of ``predict``.

    Args:
        model: A ``zoo.models`` model.
        names: Names of the inputs of a call of the model: "images" or "z", then "label" or
            "condition" if the model is conditional.
        batch: The result of ``first``, whose first element is one input or a list of all inputs.

    Raises:
        ValueError: If the batch does not hold these inputs.
    """
    x, condition, _ = batch
    if isinstance(x, list):
        inputs = x
    else:
        inputs = [x] if condition is None or len(names) == 1 else [x, condition]
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
    if "condition" in names:
        validation.condition(inputs[1], model, len(inputs[0]))


def missing_condition(model) -> str:
    """Returns the error message for a data set without the condition of a model."""
    (spec,) = model.condition_spec()
    return (
        f"A dataset element must be (images, {spec.name}) for this conditional model; "
        "received: images alone."
    )


def assert_in_range(values, low, high, sentence) -> list:
    """Asserts in the graph that values are in [low, high] and not NaN.

    Args:
        values: Tensor of any shape.
        low: Lower bound, included.
        high: Upper bound, included, or one for each column.
        sentence: Error message, one of ``SENTENCES``.

    Returns:
        The assertion in a list, or an empty list if it already holds in eager execution.
    """
    within = tf.reduce_all(
        (values >= tf.cast(low, values.dtype)) & (values <= tf.cast(high, values.dtype))
    )
    return _assertion(within, sentence)


def assert_batch_of(n: int, images) -> list:
    """Asserts in the graph that a batch has at least n images, as ``assert_in_range`` does."""
    return _assertion(tf.shape(images)[0] >= n, TOO_SMALL)


def _assertion(holds, sentence):
    check = tf.debugging.Assert(holds, [sentence])
    return [] if check is None else [check]


@contextlib.contextmanager
def plain_errors():
    """Raises a failed assertion of the graph as ValueError, without the graph's traceback."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = (sentence for sentence in SENTENCES if sentence in error.message)
        sentence = next(found, None)
        if sentence is None:
            raise
        raise ValueError(sentence) from None

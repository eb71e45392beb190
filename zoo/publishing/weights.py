"""Prepares weights for shipping: values that float16 represents exactly, compressed files."""

import io

import h5py
import keras
import numpy as np

from zoo.models.freezing import sublayers


def shippable(model, keep_weights: bool = False) -> keras.Model:
    """Returns a copy of a model as it is shipped.

    It computes in float32 with weights that float16 represents exactly, so that the TF Lite file
    with float16 weights gives the answers of Keras. It is not compiled, so that a loaded model
    starts fine-tuning with the default optimizers.

    Args:
        model: On the Keras runtime.
        keep_weights: Whether to leave the weights as they are, for a model that was published and
            measured before.
    """
    copy = model.in_float32()
    if not keep_weights:
        round_weights(copy)
    copy.compiled = False
    return copy


def round_weights(model) -> None:
    """Rounds the weights of a model to values that float16 represents exactly.

    TF Lite replaces batch normalization by a factor, gamma / sqrt(variance + epsilon), and a term,
    beta − mean · factor. These two are rounded instead of gamma and beta.
    """
    normalizations = [
        layer
        for _, layer, _ in sublayers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    kept = {id(weights) for layer in normalizations for weights in (layer.gamma, layer.beta)}
    for variable in model.weights:  # Without the states of seed generators.
        if id(variable) not in kept:
            variable.assign(_half(variable.numpy()))
    for layer in normalizations:
        _round_normalization(layer)


def _round_normalization(layer):
    mean = np.float64(layer.moving_mean)
    deviation = np.sqrt(np.float64(layer.moving_variance) + layer.epsilon)
    if layer.gamma is None:  # The factor, 1 / deviation, has no weight of its own.
        factor = 1 / deviation
    else:
        factor = _half(np.float64(layer.gamma) / deviation)
        layer.gamma.assign(factor * deviation)
    if layer.beta is not None:
        layer.beta.assign(_half(np.float64(layer.beta) - mean * factor) + mean * factor)


def compressed_hdf5(content: bytes) -> bytes:
    """Returns an HDF5 file with compressed data sets, which every reader of HDF5 decompresses.

    Values that float16 represents exactly are stored as such; Keras converts them when it loads
    them. Bytes of equal significance are stored together, because they are compressed better.
    """
    written = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(written, "w") as target:
        target.attrs.update(source.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = target.require_group(name)
            else:
                # A scalar cannot be compressed.
                filters = {"compression": "gzip", "shuffle": True} if item.shape else {}
                copied = target.create_dataset(name, data=_narrowed(item[()]), **filters)
            copied.attrs.update(item.attrs)

        source.visititems(copy)
    return written.getvalue()


def _narrowed(values):
    """Returns float32 values as float16 if they stay the same."""
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        narrow = values.astype("float16")
    return narrow if (narrow == values).all() else values


def _half(values):
    return np.float64(values.astype("float16"))

"""Weights as they are shipped: numbers that float16 holds."""

import keras
import numpy as np


def shippable(model, keep_weights: bool = False) -> keras.Model:
    """Returns a copy of a model as it is shipped.

    It computes in float32 with weights that float16 holds, so that the TF Lite file with float16
    weights gives the answers of Keras. It is not compiled, so that a loaded model starts
    fine-tuning with the default optimizers.

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
    """Rounds the weights of a model to numbers that float16 holds.

    TF Lite replaces batch normalization by a factor, gamma / sqrt(variance + epsilon), and a term,
    beta − mean · factor. These two are rounded instead of gamma and beta.
    """
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    normalizations = [
        layer
        for network in networks
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    kept = {id(weights) for layer in normalizations for weights in (layer.gamma, layer.beta)}
    for variable in model.weights:  # Without the states of seed generators.
        if id(variable) not in kept:
            variable.assign(_half(variable.numpy()))
    for layer in normalizations:
        gamma, beta, mean, variance = (np.float64(weights) for weights in layer.get_weights())
        deviation = np.sqrt(variance + layer.epsilon)
        factor = _half(gamma / deviation)
        layer.set_weights(
            [factor * deviation, _half(beta - mean * factor) + mean * factor, mean, variance]
        )


def _half(values):
    return np.float64(values.astype("float16"))

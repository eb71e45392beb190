"""Validation of networks that users give to a model."""

import keras

from zoo.inference import validation


def check_network(
    network, argument: str, input_shape: tuple, output_shape: tuple | list, condition_spec=()
) -> None:
    """Validates that a network maps inputs and a condition to outputs of the given shapes.

    Args:
        network: The network to validate.
        argument: Name of the constructor's argument, for the error.
        input_shape: Shape of one input, without the batch.
        output_shape: Shape of one output without the batch, or a list of the shapes of several.
        condition_spec: ``tf.TensorSpec`` of the condition in a list, or an empty list.

    Raises:
        ValueError: If the network is not a ``keras.Model``, does not take these inputs or has
            other outputs.
    """
    if not isinstance(network, keras.Model):
        raise ValueError(
            f"{argument} must be a keras.Model; received: {validation.short(network)}."
        )
    inputs = [keras.KerasTensor((None, *input_shape))]
    inputs += [keras.KerasTensor(tuple(spec.shape), spec.dtype.name) for spec in condition_spec]
    names = ["images" if len(input_shape) == 3 else "z", *(spec.name for spec in condition_spec)]
    expected = (
        f"{argument} must map {' and '.join(names)} of shape {_shapes(inputs)} "
        f"to {_shape_text(output_shape)}"
    )
    try:
        outputs = network(inputs if len(inputs) > 1 else inputs[0])
    except (ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{expected}; received: a network that cannot be called on these ({first})."
        ) from None
    outputs = keras.tree.flatten(outputs)
    shapes = [tuple(tensor.shape[1:]) for tensor in outputs]
    if shapes != (output_shape if isinstance(output_shape, list) else [output_shape]):
        raise ValueError(
            f"{expected}; received: a network with outputs of shape {_shapes(outputs)}."
        )


def _shape_text(shape) -> str:
    if isinstance(shape, list):
        return " and ".join(map(_shape_text, shape))
    return f"(n, {', '.join(map(str, shape))})" if shape else "(n,)"


def _shapes(tensors) -> str:
    return _shape_text([tuple(tensor.shape[1:]) for tensor in tensors])

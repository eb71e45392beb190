"""Layers of a model at every depth, and the state of frozen ones as part of its configuration."""


def trainable_states(model) -> dict[str, bool]:
    """Returns the state of each layer whose ``trainable`` differs from its parent's.

    Args:
        model: ``keras.Model``.

    Returns:
        {path below the model: trainable}. The path of the model itself is "", which is present only
        if the model is frozen.
    """
    states = {} if model.trainable else {"": False}
    return states | {
        path: layer.trainable
        for path, layer, parent in sublayers(model)
        if layer.trainable != parent.trainable
    }


def set_trainable_states(model, states: dict[str, bool]) -> None:
    """Freezes and unfreezes the layers of a new model by the result of ``trainable_states``."""
    if "" in states:
        model.trainable = False
    for path, layer, _ in sublayers(model):
        if path in states:
            layer.trainable = states[path]


def sublayers(layer, path=""):
    """Yields (path, layer, parent) of each layer below a layer, outer layers first."""
    for sublayer in getattr(layer, "layers", ()):
        inner = f"{path}/{sublayer.name}".lstrip("/")
        yield inner, sublayer, layer
        yield from sublayers(sublayer, inner)

"""Resolves a choice that is given as a name, as a config or as an object, as ``keras.losses.get`` does."""

import difflib

import keras


def get(identifier, argument: str, base: type, choices: dict):
    """Returns the object that an identifier stands for.

    Args:
        identifier: A key of ``choices``; a dict {"class_name": key of ``choices`` or registered
            class, "config": arguments}; or an instance of ``base``.
        argument: Name of the argument, for the error.
        base: Class of the objects.
        choices: {name: class}.

    Raises:
        ValueError: If the identifier is none of these.
    """
    if isinstance(identifier, base):
        return identifier
    name = identifier.get("class_name") if isinstance(identifier, dict) else identifier
    if isinstance(name, str) and name in choices:
        config = identifier.get("config") or {} if isinstance(identifier, dict) else {}
        try:
            return choices[name](**config)
        except TypeError as error:
            raise ValueError(
                f"{argument} must have arguments of {name!r}; received: {config!r} ({error})."
            ) from error
    if isinstance(identifier, dict) and "config" in identifier:
        found = keras.saving.deserialize_keras_object(identifier)
        if isinstance(found, base):
            return found
    close = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    names = ", ".join(map(repr, choices))
    raise ValueError(
        f"{argument} must be one of {names}, a config or a {base.__name__} object; received: {identifier!r}.{hint}"
    )


class Configurable:
    """Parent of the choices: an object whose class and arguments can be saved with a model."""

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

"""Choices that are given as a name, a config or an object, as in ``keras.losses.get``."""

import difflib

import keras


def get(identifier, argument: str, base: type, choices: dict):
    """Returns the object for a name, a config or the object itself.

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
        try:
            found = keras.saving.deserialize_keras_object(identifier)
        except TypeError:
            # Configs of saved files have this key, and their error tells how to register a class.
            if "registered_name" in identifier:
                raise
            found = None
        if isinstance(found, base):
            return found
    close = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    names = ", ".join(map(repr, choices))
    raise ValueError(
        f"{argument} must be one of {names}, a config or a {base.__name__} object; "
        f"received: {identifier!r}.{hint}"
    )


class Configurable:
    """Base class of choices whose class and arguments are saved with a model."""

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Creates an object from the result of ``get_config``."""
        return cls(**config)

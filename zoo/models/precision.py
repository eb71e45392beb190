"""Dtype policies of a model and of its configuration."""

import contextlib

import keras


@contextlib.contextmanager
def policy_scope(config: dict | str | None):
    """Sets Keras's global dtype policy and restores the former one on exit.

    Args:
        config: Name or serialized dtype policy. None leaves the global policy as it is.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(before if config is None else keras.dtype_policies.get(config))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(config):
    """Returns a configuration in which every dtype policy, also of nested layers, is float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": "float32"}}
        return {key: in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(in_float32(value) for value in config)
    return config

"""SavedModel runtime, which needs TensorFlow but not the model's Python class."""

from pathlib import Path

import numpy as np
import tensorflow as tf


class SavedModel:
    """Computes the signatures of a SavedModel directory.

    Args:
        path: Directory of the SavedModel.

    Attributes:
        signatures: Names of the signatures.
    """

    def __init__(self, path: Path):
        # The loaded object must be kept, because it owns the variables.
        self._loaded = tf.saved_model.load(str(path))
        self.signatures = list(self._loaded.signatures)

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one signature, {input: array} to {output: array}."""
        outputs = self._loaded.signatures[signature](
            **{name: tf.constant(rows) for name, rows in inputs.items()}
        )
        return {name: tensor.numpy() for name, tensor in outputs.items()}

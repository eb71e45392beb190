"""The SavedModel runtime: TensorFlow's loader and the signatures, no class of the zoo's."""

from pathlib import Path

import numpy as np
import tensorflow as tf


class SavedModel:
    """Computes the signatures of a SavedModel directory."""

    def __init__(self, path: Path):
        self._loaded = tf.saved_model.load(str(path))  # kept: its variables live as long as it does
        self.signatures = list(self._loaded.signatures)

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._loaded.signatures[signature](
            **{name: tf.constant(rows) for name, rows in inputs.items()}
        )
        return {name: tensor.numpy() for name, tensor in outputs.items()}

"""The LiteRT runtime: the TF Lite file on ai-edge-litert's interpreter, without TensorFlow."""

import os
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """Computes the signatures of a TF Lite file."""

    def __init__(self, path: Path):
        self._interpreter = Interpreter(str(path), num_threads=os.cpu_count())
        self.signatures = list(self._interpreter.get_signature_list())
        self._runners = {}

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature](**inputs)

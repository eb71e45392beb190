"""The LiteRT runtime: the TF Lite file on ai-edge-litert's interpreter, without TensorFlow."""

import os
import threading
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """Computes the signatures of a TF Lite file. Threads may share it: they are answered in turn.

    It computes what it is given, and a label out of range may read memory that is not the model's. The door is the verbs,
    which ``zoo.load`` gives and which check every argument.
    """

    def __init__(self, path: Path):
        interpreter = Interpreter(str(path), num_threads=os.cpu_count())
        self.signatures = list(interpreter.get_signature_list())
        self._runners = {name: interpreter.get_signature_runner(name) for name in self.signatures}
        self._turn = threading.Lock()

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._turn:
            return self._runners[signature](**inputs)

"""The LiteRT runtime: the TF Lite file on ai-edge-litert's interpreter, without TensorFlow."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """Computes the signatures of a TF Lite file.

    Threads help a float file, but not one of int8: the transposed convolutions of int8 are not XNNPACK's, and the threads of
    the interpreter's own kernel wait for each other without rest, 25 times as long in all on two busy cores.
    """

    def __init__(self, path: Path, threads: int = 1):
        self._interpreter = Interpreter(str(path), num_threads=threads)
        self.signatures = list(self._interpreter.get_signature_list())
        self._runners = {}

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature](**inputs)

"""LiteRT runtime, which computes a TF Lite file without TensorFlow."""

import os
import threading
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from zoo.inference import validation

# Environment variable with the number of threads of each interpreter.
THREADS_VARIABLE = "ZOO_LITERT_THREADS"


class LiteRT:
    """Computes the signatures of a TF Lite file. Threads may share an instance.

    It uses LiteRT's ``Interpreter``. The newer ``CompiledModel`` gives the same numbers. With
    ai-edge-litert 2.3.0 and the shipped models, it took 4 to 17 times as long to load a file (2 to
    8 ms), 4 to 30 % longer for one image, and as long for 256. It prints about twenty lines on
    standard error, a damaged file ends the process, and after the batch is resized it writes beyond
    the output buffers that it creates.

    Inputs are not validated, and a label out of range may read memory outside the model. The
    methods of a model from ``zoo.load`` validate every argument.

    It computes on as many threads as there are CPU cores, or as many as the environment variable
    ``ZOO_LITERT_THREADS`` says. Their number does not change the results.

    Args:
        path: TF Lite file.

    Attributes:
        signatures: Names of the signatures.

    Raises:
        ValueError: If ``ZOO_LITERT_THREADS`` is not an integer of at least 1.
    """

    def __init__(self, path: Path):
        interpreter = Interpreter(str(path), num_threads=_threads())
        self.signatures = list(interpreter.get_signature_list())
        self._runners = {name: interpreter.get_signature_runner(name) for name in self.signatures}
        self._turn = threading.Lock()

    def __call__(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one signature, {input: array} to {output: array}."""
        with self._turn:
            return self._runners[signature](**inputs)


def _threads() -> int:
    """Returns the number of threads of an interpreter."""
    given = os.environ.get(THREADS_VARIABLE) or str(os.cpu_count() or 1)
    return validation.positive_int(
        int(given) if given.isdecimal() else given, f"The environment variable {THREADS_VARIABLE}"
    )

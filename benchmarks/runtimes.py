"""Size of each runtime's files, and median times of ``zoo.load`` and ``decode``.

The time of loading includes the comparison with the card's SHA-256 sums, but not the import of the
runtime's packages.
"""

import statistics
from functools import partial

import numpy as np
from timing import arguments, print_header, print_row, rounds

import zoo

EXTRA = "1/assets.extra/"
# {runtime: (function that loads a model, function that tells whether a file belongs to it)}.
RUNTIMES = {
    "keras": (zoo.load, lambda path: path == EXTRA + "model.keras"),
    "saved_model": (
        partial(zoo.load, runtime="saved_model"),
        lambda path: path.startswith("1/") and EXTRA not in path,
    ),
    "litert float16": (
        partial(zoo.load, runtime="litert"),
        lambda path: path == EXTRA + "model.tflite",
    ),
    "litert int8": (
        partial(zoo.load, runtime="litert-int8"),
        lambda path: path == EXTRA + "model_int8.tflite",
    ),
}


def decoding(model, n):
    """Returns a function that decodes n random latent vectors."""
    z = np.random.default_rng(0).standard_normal((n, model.latent_dim), dtype=np.float32)
    condition = np.zeros(model.condition_shape, np.float32) if model.condition_shape else None
    return lambda: model.decode(z, condition=condition)


if __name__ == "__main__":
    given = arguments(__doc__, repeat=10)
    print_header("model", "runtime", "size, kB", "load, ms", "batch 1, ms", "batch 256, images/s")
    for name in given.models:
        models = [load(name) for load, _ in RUNTIMES.values()]
        actions = [decoding(model, n) for n in (1, 256) for model in models]
        # The first run allocates tensors, and Keras traces its graph.
        rounds(1, *actions)
        loading = rounds(given.repeat, *(partial(load, name) for load, _ in RUNTIMES.values()))
        medians = [
            statistics.median(seconds) for seconds in (*loading, *rounds(given.repeat, *actions))
        ]
        for i, (runtime, (_, belongs)) in enumerate(RUNTIMES.items()):
            size = sum(
                file["bytes"] for path, file in zoo.info(name).files.items() if belongs(path)
            )
            load, single, batch = medians[i :: len(RUNTIMES)]
            row = (
                f"{size / 1e3:,.0f}",
                f"{load * 1e3:.1f}",
                f"{single * 1e3:.2f}",
                f"{256 / batch:,.0f}",
            )
            print_row(name, runtime, *row)

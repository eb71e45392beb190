"""Size of each runtime's files, and median times of ``zoo.load`` and ``decode``.

The time of loading includes the comparison with the card's SHA-256 sums, but not the import of the
runtime's packages.
"""

import statistics
from functools import partial

import numpy as np
from timing import arguments, print_header, print_row, rounds

import zoo
from zoo import artifact, catalog
from zoo.loading import find


def size(name, runtime):
    """Returns the bytes of the files of a model that a runtime reads."""
    folder, card = catalog.directory(name), zoo.info(name)
    version, file = catalog.version(folder, card), catalog.file(name, runtime)
    files = {folder / path: entry["bytes"] for path, entry in card.files.items()}
    if runtime != "saved_model":
        return files[file]
    return sum(
        files[path]
        for path in files
        if version in path.parents and version / artifact.ASSETS not in path.parents
    )


def decoding(model, n):
    """Returns a function that decodes n random latent vectors."""
    z = np.random.default_rng(0).standard_normal((n, model.latent_dim), dtype=np.float32)
    dtype = np.int64 if model.attributes else np.float32
    condition = np.zeros(model.condition_shape, dtype) if model.condition_shape else None
    return lambda: model.decode(z, condition=condition)


if __name__ == "__main__":
    given = arguments(__doc__, repeat=10)
    print_header("model", "runtime", "size, kB", "load, ms", "batch 1, ms", "batch 256, images/s")
    for name in given.models:
        runtimes = find(name).runtimes
        loads = [partial(zoo.load, name, runtime) for runtime in runtimes]
        models = [load() for load in loads]
        actions = [decoding(model, n) for n in (1, 256) for model in models]
        # The first run allocates tensors, and Keras traces its graph.
        rounds(1, *actions)
        loading = rounds(given.repeat, *loads)
        medians = [
            statistics.median(seconds) for seconds in (*loading, *rounds(given.repeat, *actions))
        ]
        for i, runtime in enumerate(runtimes):
            load, single, batch = medians[i :: len(runtimes)]
            row = (
                f"{size(name, runtime) / 1e3:,.0f}",
                f"{load * 1e3:.1f}",
                f"{single * 1e3:.2f}",
                f"{256 / batch:,.0f}",
            )
            print_row(name, runtime, *row)

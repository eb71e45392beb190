"""Speed of ``sample`` for 10,000 images on LiteRT, compared with Keras."""

import statistics
from functools import partial

import numpy as np
from timing import arguments, print_header, print_row, ratio, rounds

import zoo

N = 10_000


if __name__ == "__main__":
    given = arguments(__doc__, repeat=5)
    print_header("model", "LiteRT, images/s", "Keras, images/s", "ratio")
    for name in given.models:
        models = zoo.load(name, "litert"), zoo.load(name)
        shape = models[0].condition_shape
        condition = np.zeros(shape, np.float32) if shape else None
        actions = [partial(model.sample, N, condition=condition) for model in models]
        rounds(1, *actions)  # At the first run Keras traces its graph.
        ours, keras = rounds(given.repeat, *actions)
        print_row(
            name,
            *(f"{N / statistics.median(seconds):,.0f}" for seconds in (ours, keras)),
            f"{ratio(keras, ours):.2f}",
        )

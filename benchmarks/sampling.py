"""Speed of drawing 10,000 images on LiteRT, compared with ``predict`` of the Keras model.

Both include the noise. LiteRT also computes the prior, if the model has a learned one.
"""

import statistics
from functools import partial

import numpy as np
from timing import arguments, print_header, print_row, ratio, rounds

import zoo
from zoo.inference import noise
from zoo.inference.methods import BATCH

N = 10_000


def predict(model, condition) -> None:
    """Draws noise and decodes it by ``predict``."""
    inputs = [noise.normal(np.arange(N), model.latent_dim)]
    if model.num_classes:
        inputs.append(np.arange(N) % model.num_classes)
    elif condition is not None:
        inputs.append(np.broadcast_to(condition, (N, *condition.shape)))
    model.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=BATCH, verbose=0)


if __name__ == "__main__":
    given = arguments(__doc__, repeat=5)
    print_header("model", "LiteRT, images/s", "Keras `predict`, images/s", "ratio")
    for name in given.models:
        model, fast = zoo.load(name), zoo.load(name, "litert")
        condition = np.zeros(model.condition_shape, np.float32) if model.condition_shape else None
        actions = partial(fast.sample, N, condition=condition), partial(predict, model, condition)
        rounds(1, *actions)  # At the first run Keras traces its graph.
        ours, keras = rounds(given.repeat, *actions)
        print_row(
            name,
            *(f"{N / statistics.median(seconds):,.0f}" for seconds in (ours, keras)),
            f"{ratio(keras, ours):.2f}",
        )

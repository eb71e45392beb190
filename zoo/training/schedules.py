"""Schedules of the learning rate."""

import math

import keras


@keras.saving.register_keras_serializable("zoo")
class Cycles(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine cycles with warm restarts (Loshchilov & Hutter 2017, equation 5).

    Each cycle starts with a linear warm-up over its first 2%.

    Args:
        cycles: List of [steps, highest learning rate] of each cycle.
    """

    def __init__(self, cycles):
        self.cycles = cycles

    def __call__(self, step):
        """Computes the learning rate of a step."""
        rate, start = 0.0, 0
        for steps, height in self.cycles:
            done, warm_up = keras.ops.cast(step - start, "float32"), max(1, steps // 50)
            progress = keras.ops.clip((done - warm_up) / max(1, steps - warm_up), 0.0, 1.0)
            factor = keras.ops.minimum(done / warm_up, (1 + keras.ops.cos(math.pi * progress)) / 2)
            rate = keras.ops.where(done >= 0, height * factor, rate)
            start += steps
        return rate

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"cycles": self.cycles}

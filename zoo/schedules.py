"""Learning rate schedules."""

import math

import keras


@keras.saving.register_keras_serializable("zoo")
class Cycles(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine cycles with warm restarts (Loshchilov & Hutter 2017, equation 5).

    The first 2 % of the steps of each cycle are a linear warm-up.

    Args:
        cycles: List of [number of steps, largest learning rate of the cycle].
    """

    def __init__(self, cycles):
        self.cycles = cycles

    def __call__(self, step):
        """Computes the learning rate of a step."""
        rate, start = 0.0, 0
        for steps, height in self.cycles:
            done, warm_up = keras.ops.cast(step - start, "float32"), max(1, steps // 50)
            cosine = keras.ops.cos(
                math.pi * keras.ops.clip((done - warm_up) / max(1, steps - warm_up), 0.0, 1.0)
            )
            rate = keras.ops.where(
                done >= 0, height * keras.ops.minimum(done / warm_up, (1 + cosine) / 2), rate
            )
            start += steps
        return rate

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"cycles": self.cycles}

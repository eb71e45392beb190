"""Fits the number of steps of a recipe to a time."""

import math
import time
from dataclasses import replace
from typing import NamedTuple

from zoo.recipes import Recipe

# Steps that Keras runs at once.
STEPS_PER_EXECUTION = 20
# Share of the time that is planned. The rest is for slower steps.
SHARE = 0.9
# Smallest number of epochs, so that there are sheets of samples and checkpoints.
EPOCHS = 10


class Limit(NamedTuple):
    """Limit of the time of a training.

    Attributes:
        minutes: The time that is allowed.
        started: Time of ``time.monotonic()`` from which it counts.
    """

    minutes: float
    started: float

    @property
    def left(self) -> float:
        """Time in seconds that is left."""
        return self.started + 60 * self.minutes - time.monotonic()


def in_time(
    recipe: Recipe,
    limit: Limit,
    steps: int,
    *,
    start_seconds: float,
    step_seconds: float,
    epoch_seconds: float,
) -> Recipe:
    """Returns a recipe with as many steps as fit into the time that is left.

    The cycles of the recipe are shortened or lengthened in proportion, so that the learning rate
    still falls to zero at the end. If there would be fewer than ten epochs, an epoch has fewer
    steps.

    Args:
        recipe: The recipe.
        limit: Limit of the time.
        steps: Steps in an epoch of the recipe.
        start_seconds: Time until the first step, such as that of tracing.
        step_seconds: Time of a step.
        epoch_seconds: Time of what follows each epoch, such as the checkpoint.

    Raises:
        ValueError: If the time is not enough for one step in each of ten epochs.
    """
    seconds = SHARE * (limit.left - start_seconds)
    in_epoch = int((seconds / EPOCHS - epoch_seconds) / step_seconds)
    if in_epoch < 1:
        more = (EPOCHS * (step_seconds + epoch_seconds) - seconds) / SHARE
        least = math.ceil(10 * (limit.minutes + more / 60)) / 10
        raise ValueError(
            f"minutes must be at least {least} for {EPOCHS} short epochs on this machine; "
            f"received: {limit.minutes:g}."
        )
    steps = min(steps, in_epoch)
    # Whole executions, because others are slower.
    steps -= steps % STEPS_PER_EXECUTION if steps > STEPS_PER_EXECUTION else 0
    epochs = int(seconds / (steps * step_seconds + epoch_seconds))
    return replace(recipe.scaled(epochs), steps_per_epoch=steps)


def cut(recipe: Recipe, epochs: int) -> Recipe:
    """Returns a recipe with its first epochs alone."""
    cycles = []
    for length, *others in recipe.cycles:
        if left := min(length, epochs):
            cycles.append([left, *others])
        epochs -= left
    return replace(recipe, cycles=cycles)

"""Length of a training, by time instead of epochs."""

import time
from dataclasses import replace

from zoo import evaluation
from zoo.models.precision import policy_scope
from zoo.recipes import Recipe
from zoo.training.trainer import STEPS_PER_EXECUTION, build

# Share of the time that the steps of the training may take. The rest is for tracing, checkpoints
# and sheets of samples.
SHARE = 0.85
# Seconds for which steps are timed, at least.
TIMED = 3.0
# Epochs of a training, at least.
EPOCHS = 10


def in_minutes(recipe: Recipe, minutes: float, data_dir: str | None = None) -> Recipe:
    """Returns a recipe with as many steps as fit into a time on this machine.

    The steps of an untrained model are timed. The cycles of the recipe are shortened or lengthened
    in proportion, so that the learning rate still falls to zero at the end. An epoch has fewer
    steps than the data set has batches if there would be less than ten epochs.

    Args:
        recipe: The recipe.
        minutes: Time of the training.
        data_dir: Folder in which tensorflow-datasets keeps its data.

    Raises:
        ValueError: If the time is not enough for ten steps.
    """
    started = time.monotonic()
    source = evaluation.Splits.of_recipe(recipe, data_dir).source("train")
    steps = source.steps_per_epoch(recipe.batch_size)
    seconds = _seconds_of_step(recipe, source)
    left = SHARE * (60 * minutes - (time.monotonic() - started))
    total = int(left / seconds)
    if total < EPOCHS:
        raise ValueError(
            f"minutes must be at least {(EPOCHS * seconds / SHARE + 60) / 60:.0f} for "
            f"{EPOCHS} steps here; received: {minutes:g}."
        )
    steps = min(steps, total // EPOCHS)
    cycles = _scaled(recipe.cycles, total // steps)
    return replace(recipe, cycles=cycles, steps_per_epoch=steps)


def _seconds_of_step(recipe, source):
    """Returns the time of a step of an untrained model, after the first execution."""
    with policy_scope(recipe.precision):
        model = build(recipe, STEPS_PER_EXECUTION)
        model.adapt(source)
        settings = {"batch_size": recipe.batch_size, "verbose": 0}
        model.fit(source, steps_per_epoch=STEPS_PER_EXECUTION, **settings)
        count, started = 0, time.monotonic()
        while time.monotonic() - started < TIMED:
            model.fit(source, steps_per_epoch=STEPS_PER_EXECUTION, **settings)
            count += STEPS_PER_EXECUTION
        return (time.monotonic() - started) / count


def _scaled(cycles, epochs):
    """Returns cycles of a total number of epochs, in the proportions of the given ones."""
    total, ends, done = sum(length for length, _, _ in cycles), [], 0
    for length, _, _ in cycles:
        done += length
        ends.append(round(done * epochs / total))
    lengths = [end - start for start, end in zip([0, *ends], ends)]
    return [[length, *cycle[1:]] for length, cycle in zip(lengths, cycles) if length]

"""Tests of the number of steps that fit into a time."""

import pytest

from zoo import recipes
from zoo.training import timing


def recipe(cycles):
    return recipes.Recipe(
        family="VAE", model={}, dataset="mnist", batch_size=10, cycles=cycles, steps_per_epoch=100
    )


@pytest.mark.parametrize("seconds", [100, 1000, 100_000])
@pytest.mark.parametrize("epoch_seconds", [0.0, 2.0])
def test_the_steps_take_nine_tenths_of_the_time(seconds, epoch_seconds):
    fitted = timing.in_seconds(recipe([[30, 0.1, {}]]), seconds, 100, 0.05, epoch_seconds)
    steps = fitted.steps_per_epoch
    planned = fitted.epochs * (steps * 0.05 + epoch_seconds)
    assert fitted.epochs >= timing.EPOCHS
    assert 0.9 * seconds - (steps * 0.05 + epoch_seconds) <= planned <= 0.9 * seconds
    assert steps % timing.STEPS_PER_EXECUTION == 0


def test_cycles_keep_their_proportions():
    cycles = [[30, 0.1, {}], [10, 0.01, {"beta": 2}]]
    fitted = timing.in_seconds(recipe(cycles), 1000, 100, 0.05, 0.0)
    assert fitted.cycles == [[135, 0.1, {}], [45, 0.01, {"beta": 2}]]


def test_too_short_a_time_is_one_sentence():
    with pytest.raises(ValueError, match=r"minutes must be at least 0\.\d more for 10"):
        timing.in_seconds(recipe([[30, 0.1, {}]]), 1, 100, 0.05, 2.0)


@pytest.mark.parametrize(
    ("epochs", "cycles"), [(3, [[3, 0.1, {}]]), (7, [[5, 0.1, {}], [2, 0.2, {}]])]
)
def test_a_recipe_is_cut_after_a_number_of_epochs(epochs, cycles):
    whole = recipe([[5, 0.1, {}], [4, 0.2, {}], [6, 0.3, {}]])
    assert timing.cut(whole, epochs).cycles == cycles

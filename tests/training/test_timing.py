"""Tests of the number of steps that fit into a time."""

import re
import time

import keras
import pytest

from zoo import recipes
from zoo.training import timing
from zoo.training.callbacks import TimeLeft


def recipe(cycles):
    return recipes.Recipe(
        family="VAE", model={}, dataset="mnist", batch_size=10, cycles=cycles, steps_per_epoch=100
    )


def in_time(cycles, seconds, epoch_seconds=0.0, start_seconds=0.0):
    return timing.in_time(
        recipe(cycles),
        timing.Limit(seconds / 60, time.monotonic()),
        100,
        start_seconds=start_seconds,
        step_seconds=0.05,
        epoch_seconds=epoch_seconds,
    )


@pytest.mark.parametrize("seconds", [100, 1000, 100_000])
@pytest.mark.parametrize("epoch_seconds", [0.0, 2.0])
@pytest.mark.parametrize("start_seconds", [0.0, 30.0])
def test_the_steps_take_nine_tenths_of_the_time(seconds, epoch_seconds, start_seconds):
    # A little more, because the clock runs during the test.
    fitted = in_time([[30, 0.1, {}]], seconds + 0.01, epoch_seconds, start_seconds)
    seconds -= start_seconds
    steps = fitted.steps_per_epoch
    planned = fitted.epochs * (steps * 0.05 + epoch_seconds)
    assert fitted.epochs >= timing.EPOCHS
    assert 0.9 * seconds - (steps * 0.05 + epoch_seconds) <= planned <= 0.9 * seconds
    assert steps % timing.STEPS_PER_EXECUTION == 0


def test_cycles_keep_their_proportions():
    cycles = [[30, 0.1, {}], [10, 0.01, {"beta": 2}]]
    fitted = in_time(cycles, 1000.01)
    assert fitted.cycles == [[135, 0.1, {}], [45, 0.01, {"beta": 2}]]


def test_a_short_first_cycle_is_kept():
    fitted = in_time([[1, 0.01, {}], [99, 0.1, {}]], 100.01)
    assert fitted.cycles == [[1, 0.01, {}], [17, 0.1, {}]]


def test_too_short_a_time_is_one_sentence():
    sentence = r"minutes must be at least (0\.\d) for 10 short epochs on .*; received: 0\.1\."
    with pytest.raises(ValueError, match=sentence) as raised:
        in_time([[30, 0.1, {}]], 6, epoch_seconds=2.0)
    least = float(re.search(sentence, str(raised.value))[1])
    assert in_time([[30, 0.1, {}]], 60 * least + 0.01, epoch_seconds=2.0).epochs == 10


def test_a_training_that_ends_early_says_so(capsys):
    left = TimeLeft(10, timing.Limit(1, time.monotonic() - 60), verbose=2)
    left.set_model(keras.Model())
    left.on_epoch_begin(0)
    left.on_epoch_end(0)
    assert left.model.stop_training
    assert "The time is up after 1 of 10 epochs, before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("epochs", "cycles"), [(3, [[3, 0.1, {}]]), (7, [[5, 0.1, {}], [2, 0.2, {}]])]
)
def test_a_recipe_is_cut_after_a_number_of_epochs(epochs, cycles):
    whole = recipe([[5, 0.1, {}], [4, 0.2, {}], [6, 0.3, {}]])
    assert timing.cut(whole, epochs).cycles == cycles

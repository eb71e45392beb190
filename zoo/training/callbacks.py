"""Callbacks that keep a run's checkpoints, history and sheets of samples."""

import math
import time

import keras

from zoo import data, evaluation
from zoo.inference.sheet import sample_sheet
from zoo.recipes import Recipe
from zoo.training.run import Run
from zoo.training.timing import Limit
from zoo.utils import image_files
from zoo.utils.numbers import counted, duration

# Smallest number of sheets of samples in a training of as many epochs or more.
SHEETS = 20


class StopIfDiverged(keras.callbacks.Callback):
    """Ends a training whose loss is no longer a finite number, before the weights are saved.

    Raises:
        FloatingPointError: If a mean over an epoch is not finite.
    """

    def on_epoch_end(self, epoch, logs=None):
        """Checks the means over the epoch."""
        for name, value in logs.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The training diverged: {name} must be a finite number; received: {value} in "
                    f"epoch {epoch + 1}, of which nothing is saved. Train with a lower learning "
                    "rate."
                )


class Checkpoint(keras.callbacks.Callback):
    """Saves the model with its optimizers and a line of history after each epoch."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the history and the checkpoint."""
        seconds = round(time.perf_counter() - self.started, 3)
        line = {"epoch": epoch + 1, "seconds": seconds} | logs
        self.run.write_history([*self.run.history(), line])
        self.run.save(self.model, self.run.checkpoint)


class KeepBest(keras.callbacks.Callback):
    """Measures the model on the validation images and keeps the best one, see ``Recipe.best``."""

    def __init__(self, run: Run, recipe: Recipe, data: evaluation.Splits):
        super().__init__()
        self.run, self.recipe, self.data = run, recipe, data

    def on_train_begin(self, logs=None):
        """Validates that the model can be measured on the images."""
        evaluation.METRICS[self.recipe.best["metric"]].validate(self.model, self.data)

    def on_epoch_end(self, epoch, logs):
        """Measures the model after every so many epochs, and after the last one."""
        metric = self.recipe.best["metric"]
        if (epoch + 1) % self.recipe.best["every"] and epoch + 1 < self.recipe.epochs:
            return
        settings = self.recipe.metrics[metric]
        self.data.forget_samples()
        logs[metric] = evaluation.measure(metric, self.model, self.data, settings)["value"]
        before = [line[metric] for line in self.run.history() if metric in line]
        if all(evaluation.better(metric, logs[metric], value) for value in before):
            self.run.save(self.model, self.run.best)


class Samples(keras.callbacks.Callback):
    """Writes a sheet of samples from the same seeds after every few epochs.

    Args:
        run: Folder of the run, in which the sheets are ``samples/epoch_0001.png`` and so on.
        recipe: Its recipe. A sheet is written after every twentieth part of its epochs, or after
            each epoch if there are fewer than 40, and after the last one.
        source: Training images, of which a model that completes images takes its conditions.
    """

    def __init__(self, run: Run, recipe: Recipe, source: data.Source):
        super().__init__()
        self.run, self.last, self.source = run, recipe.epochs, source
        self.every = max(1, recipe.epochs // SHEETS)

    def on_train_begin(self, logs=None):
        """Finds the conditions that the model takes."""
        if self.model.condition_at:
            self.source = data.for_model(self.source, self.model)

    def on_epoch_end(self, epoch, logs=None):
        """Writes a sheet after every so many epochs, and after the last one."""
        if ((epoch + 1) % self.every and epoch + 1 < self.last) or not self.model.has("sample"):
            return
        self.run.samples.mkdir(exist_ok=True)
        sheet = sample_sheet(self.model, self.source)
        image_files.write(sheet, self.run.samples / f"epoch_{epoch + 1:04}.png")


class EndOfCycle(keras.callbacks.Callback):
    """Ends a call of ``fit`` after the last epoch of a cycle.

    Its argument ``epochs`` is then that of the training, which the progress bar shows.

    Args:
        epoch: The epoch, counted from 1.
    """

    def __init__(self, epoch: int):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        """Stops after the epoch."""
        if epoch + 1 == self.epoch:
            self.model.stop_training = True


class TimeLeft(keras.callbacks.Callback):
    """Prints the time left of the training after each epoch, and ends it when the time is up.

    Args:
        epochs: Number of epochs of the training, in all cycles.
        limit: Limit of the time, or None.
        verbose: 0 prints nothing.
    """

    def __init__(self, epochs: int, limit: Limit | None, verbose):
        super().__init__()
        self.epochs, self.limit, self.verbose = epochs, limit, verbose
        self.started = self.before = None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock at the second epoch, because the first one contains the tracing."""
        if self.before is None:
            self.before = epoch
        elif self.started is None:
            self.started = time.monotonic(), epoch

    def on_epoch_end(self, epoch, logs=None):
        """Prints the time left."""
        left, text = self.epochs - epoch - 1, None
        if self.limit is not None and left and self.limit.left < 0:
            self.model.stop_training = True
            text = (
                f"The time is up after {epoch + 1} of {self.epochs} epochs, before the learning "
                "rate has fallen to zero."
            )
        elif self.started and left:
            start, first = self.started
            seconds = left * (time.monotonic() - start) / (epoch + 1 - first)
            text = f"{counted(left, 'epoch')} left, about {duration(seconds)}"
        if text and self.verbose:
            print(text, flush=True)

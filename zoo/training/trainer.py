"""Trains a recipe in a run folder.

An interrupted training continues from its last checkpoint.
"""

import inspect
import math
import re
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

import zoo.models
from zoo import evaluation
from zoo.catalog import nearest
from zoo.models import replicas
from zoo.models.base import ImageModel
from zoo.models.precision import policy_scope
from zoo.recipes import Recipe
from zoo.training import strategies, timing
from zoo.training.callbacks import (
    Checkpoint,
    EndOfCycle,
    KeepBest,
    Samples,
    StopIfDiverged,
    TimeLeft,
)
from zoo.training.run import Run
from zoo.training.schedules import Cycles
from zoo.training.strategies import plain_worker_errors
from zoo.training.timing import STEPS_PER_EXECUTION
from zoo.utils.atomic import new_folder, plain_write_errors

# Shortest time in seconds for which steps are timed.
TIMED = 3.0


def family_of(recipe: Recipe) -> type:
    """Returns the class of a recipe's model.

    Raises:
        ValueError: If there is no such family.
    """
    if recipe.family in zoo.models.__all__:
        return getattr(zoo.models, recipe.family)
    family = keras.saving.get_registered_object(recipe.family)
    if isinstance(family, type) and issubclass(family, ImageModel):
        return family
    raise ValueError(
        f"family must be one of {', '.join(zoo.models.__all__)}, or the registered name of another "
        f"class with Keras; received: {recipe.family!r}."
    )


def build(recipe: Recipe, steps: int) -> keras.Model:
    """Builds a recipe's model, untrained and compiled.

    Args:
        recipe: The recipe.
        steps: Steps in an epoch, by which the schedules of the learning rates are made.

    Raises:
        ValueError: If the family or the optimizer does not exist or does not have the arguments.
    """
    keras.utils.set_random_seed(recipe.seed)
    family, optimizer = family_of(recipe), _optimizer(recipe)
    model = family(**recipe.model, seed=recipe.seed)
    try:
        optimizers = {
            name: optimizer(rate, **recipe.optimizer_arguments)
            for name, rate in schedules(recipe, model, steps).items()
        }
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"optimizer_arguments must be arguments of {recipe.optimizer} ({_reason(error)})."
        ) from error
    # A divisor of the steps, because Keras continues beyond an epoch to fill its last execution.
    model.compile(**optimizers, steps_per_execution=math.gcd(steps, STEPS_PER_EXECUTION))
    return model


def _reason(error) -> str:
    """Returns the first line of an error without its final period."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def _optimizer(recipe):
    wrappers = (keras.Optimizer, keras.optimizers.LossScaleOptimizer)
    classes = {
        name: part
        for name, part in vars(keras.optimizers).items()
        if isinstance(part, type) and issubclass(part, keras.Optimizer) and part not in wrappers
    }
    if recipe.optimizer not in classes:
        raise ValueError(
            f"optimizer must be an optimizer of Keras; received: {recipe.optimizer!r}"
            f"{nearest(recipe.optimizer, classes)}."
        )
    return classes[recipe.optimizer]


def schedules(recipe: Recipe, model, steps: int) -> dict:
    """Returns {optimizer's name: schedule} of the learning rate of each optimizer of a model.

    An optimizer may have more updates than one in a step, and another number in each cycle.
    """
    cycles = {name: [] for name in model.optimizers()}
    for epochs, rate, changes in recipe.cycles:
        _assign(model, _outside_cycles(recipe) | changes)
        for name, (updates, _) in model.optimizers().items():
            cycles[name].append([epochs * steps * updates, rate])
    _assign(model, _outside_cycles(recipe))
    return {name: Cycles(of_optimizer) for name, of_optimizer in cycles.items()}


def extended(recipe: Recipe, epochs: int) -> Recipe:
    """Appends a cycle to a recipe, with the learning rate and the attributes of the last one.

    Args:
        recipe: The recipe of a run.
        epochs: The total number of epochs, those of the recipe included.

    Raises:
        ValueError: If the recipe has more epochs.
    """
    more = epochs - recipe.epochs
    if more < 0:
        raise ValueError(
            f"epochs must be at least {recipe.epochs}, those of the recipe; received: {epochs}."
        )
    if not more:
        return recipe
    return replace(recipe, cycles=[*recipe.cycles, [more, *recipe.cycles[-1][1:]]])


def train(
    recipe: Recipe,
    run_dir,
    *,
    resume: bool = False,
    start: keras.Model | None = None,
    limit: timing.Limit | None = None,
    data_dir: str | None = None,
    strategy: str | tf.distribute.Strategy | None = None,
    verbose="auto",
) -> keras.Model:
    """Trains a recipe, with a checkpoint after each epoch.

    Args:
        recipe: The recipe.
        run_dir: Folder of the run, see ``Run``.
        resume: Whether to continue from the run's checkpoint, which gives the weights of an
            uninterrupted training. The recipe must be that of the run, perhaps with more cycles
            after its own, see ``extended``.
        start: Model whose weights the training starts from, with the networks of the recipe.
            Defaults to None, random weights.
        limit: Limit of the time. The steps are timed, and the recipe gets as many as fit. Defaults
            to None, the steps of the recipe.
        data_dir: Folder in which tensorflow-datasets keeps its data.
        strategy: "mirrored" or "multi-worker", see ``zoo.training.strategies``, or a strategy. The
            batch of the recipe is divided among all replicas. Of several workers only the chief
            writes to ``run_dir``, which all of them read. Defaults to None, one device.
        verbose: As in ``keras.Model.fit``.

    Returns:
        The trained model, in float32 and compiled with the default optimizers.

    Raises:
        FileNotFoundError: If there is no run to resume, or no data.
        FileExistsError: If the folder holds a run and ``resume`` is False.
        ValueError: If the run is of another recipe, or the recipe cannot be built or divided among
            the replicas, several workers are given a limit, or the limit is too short.
        OSError: If the folder cannot be written to.
        FloatingPointError: If the loss is no longer a finite number.
        ConnectionError: If another worker has stopped.
    """
    run, strategy = Run(run_dir), strategies.get(strategy)
    if resume:
        run.check_continues(recipe)
    elif run.recipe.exists():
        raise FileExistsError(
            f"{run.folder} holds a run: continue it with --resume, or name another --run-dir."
        )
    replicas.size_of_each(recipe.batch_size, strategy.num_replicas_in_sync)
    if limit is not None and resume:
        raise ValueError("limit must be None to resume a run, whose number of steps is given.")
    if limit is not None and len(strategies.workers(strategy)) > 1:
        raise ValueError("limit must be None for several workers, whose clocks differ.")
    with policy_scope(recipe.precision), _own(run, strategy) as run, plain_worker_errors():
        training = Training(recipe, run, data_dir, start, limit, strategy, verbose)
        training.run_to_the_end(resume)
        strategies.wait_for_all(strategy)
        return run.trained_model()


@contextmanager
def _own(run: Run, strategy):
    """Yields the run of the chief, and a temporary copy of it for any other worker.

    All workers do the same, because saving and measuring a model may need the others.
    """
    if strategies.is_chief(strategy):
        # A folder that cannot be written to is found before the model is built.
        with new_folder(run.folder):
            yield run
        return
    with tempfile.TemporaryDirectory() as folder:
        yield run.copied(folder)


class Training:
    """One training of a recipe, from its start or from a checkpoint.

    Args:
        recipe: The recipe.
        run: Folder of the run.
        data_dir: Folder in which tensorflow-datasets keeps its data.
        start: As in ``train``.
        limit: As in ``train``.
        strategy: Strategy of ``tf.distribute``.
        verbose: As in ``train``.
    """

    def __init__(self, recipe: Recipe, run: Run, data_dir, start, limit, strategy, verbose):
        self.run, self.start, self.limit = run, start, limit
        self.strategy, self.verbose = strategy, verbose
        self.outside_cycles = _outside_cycles(recipe)
        for _, _, changes in recipe.cycles:
            _validate_model(recipe, changes)
        evaluation.check(recipe.metrics)
        # The best epoch is chosen on the validation images in place of the test images.
        splits = evaluation.Splits.of_recipe(recipe, data_dir, test=recipe.validation)
        self.images, self.source = splits.images("train"), splits.source("train")
        self.steps = self.images.steps_per_epoch(recipe.batch_size)
        self.steps = recipe.steps_per_epoch or self.steps
        if limit is not None:
            recipe = self._timed(recipe)
            self.steps = recipe.steps_per_epoch
        self.recipe = recipe
        self.callbacks = [
            StopIfDiverged(),
            Checkpoint(run),
            Samples(run, recipe, self.source),
            keras.callbacks.TensorBoard(run.logs, write_graph=False),
            TimeLeft(recipe.epochs, limit, verbose),
        ]
        if recipe.best:
            self.callbacks.insert(1, KeepBest(run, recipe, splits))

    def _timed(self, recipe):
        """Returns a recipe with the steps that fit into the time that is left."""
        started = time.monotonic()
        with self.strategy.scope():
            model = build(recipe, STEPS_PER_EXECUTION)
        settings = {"batch_size": recipe.batch_size, "verbose": 0}
        # The first execution is traced, as it is in each cycle of the training.
        model.fit(self.source, steps_per_epoch=STEPS_PER_EXECUTION, **settings)
        start_seconds = time.monotonic() - started
        count, started = 0, time.monotonic()
        while time.monotonic() - started < TIMED:
            model.fit(self.source, steps_per_epoch=STEPS_PER_EXECUTION, **settings)
            count += STEPS_PER_EXECUTION
        step_seconds = (time.monotonic() - started) / count
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            self.run.save(model, Path(folder, "checkpoint.keras"))
            epoch_seconds = time.monotonic() - started
        return timing.in_time(
            recipe,
            self.limit,
            self.steps,
            start_seconds=start_seconds * len(recipe.cycles),
            step_seconds=step_seconds,
            epoch_seconds=epoch_seconds,
        )

    def run_to_the_end(self, resume: bool) -> None:
        """Trains the epochs that are left and writes the trained model."""
        model = self._model(resume)
        done, end = model.steps_done // self.steps, 0
        if done < self.recipe.epochs:
            self.run.model.unlink(missing_ok=True)  # It is of a shorter recipe.
        self.run.write_recipe(self.recipe)
        # The line of an epoch that was interrupted before its checkpoint is removed.
        self.run.write_history([line for line in self.run.history() if line["epoch"] <= done])
        for epochs, _, changes in self.recipe.cycles:
            end += epochs
            if done < end:
                _set(model, self.outside_cycles | changes)
                self._fit(model, done, end)
                done = model.steps_done // self.steps
            if done < end:  # The time was up.
                self.recipe = timing.cut(self.recipe, done)
                self.run.write_recipe(self.recipe)
                break
        # Without a measurement, the time was up before the first one.
        if self.recipe.best and self.run.best.exists():
            model = keras.saving.load_model(self.run.best)
        _set(model, self.outside_cycles)
        trained = model.in_float32()
        trained.compiled = False  # A loaded model is compiled with the default optimizers.
        self.run.save(trained, self.run.model)

    def _model(self, resume):
        if not (resume and self.run.checkpoint.exists()):
            with self.strategy.scope():
                model = build(self.recipe, self.steps)
            if self.start is None:
                model.adapt(self.images)
            else:
                copy_weights(self.start, model)
            return model
        with self.strategy.scope():
            model = keras.saving.load_model(self.run.checkpoint)
        # The checkpoint's schedules end where the run ended before.
        for name, schedule in schedules(self.recipe, model, self.steps).items():
            getattr(model, name).learning_rate = schedule
        return model

    def _fit(self, model, done, end):
        with plain_write_errors(self.run.folder), plain_read_errors():
            model.fit(
                self.source,
                batch_size=self.recipe.batch_size,
                steps_per_epoch=self.steps,
                epochs=self.recipe.epochs,
                initial_epoch=done,
                callbacks=[*self.callbacks, EndOfCycle(end)],
                verbose=self.verbose,
            )


@contextmanager
def plain_read_errors():
    """Raises the error of a picture that cannot be read any more without TensorFlow's traceback.

    Raises:
        OSError: If TensorFlow has raised an error of the Python code that reads pictures.
    """
    try:
        yield
    except tf.errors.UnknownError as error:
        found = re.search(r"^(?:FileNotFound|Value)Error: (.*)", error.message, re.MULTILINE)
        if not found:
            raise
        raise OSError(f"{found[1]} Continue the training with --resume.") from error


def copy_weights(start, model) -> None:
    """Copies the weights of a model to one with the same networks.

    Raises:
        ValueError: If the networks differ.
    """
    weights = start.get_weights()
    shapes = [[weight.shape for weight in part] for part in (weights, model.get_weights())]
    if type(start) is not type(model) or shapes[0] != shapes[1]:
        raise ValueError(
            f"from must be a {type(model).__name__} with the networks of the recipe, images of "
            f"{model.image_shape} and {model.num_classes or 'no'} labels; received: a "
            f"{type(start).__name__} with images of {start.image_shape} and "
            f"{start.num_classes or 'no'} labels."
        )
    model.set_weights(weights)


def _validate_model(recipe, changes):
    """Validates the model's arguments and those that a cycle changes, by the constructor.

    Raises:
        ValueError: If the family does not exist or does not take an argument or its value.
    """
    for name in changes:
        _argument(recipe, name)
    family = family_of(recipe)
    try:
        family(**recipe.model | changes, seed=recipe.seed)
    except (TypeError, ValueError) as error:
        field = "cycles" if changes else "model"
        raise ValueError(
            f"{field} must be arguments of {recipe.family} ({_reason(error)})."
        ) from error


def _outside_cycles(recipe) -> dict:
    """Returns the values, outside the cycles that change them, of a model's arguments.

    Raises:
        ValueError: If a cycle changes another argument than those that a training step reads.
    """
    changed = {name for _, _, changes in recipe.cycles for name in changes}
    return {name: _argument(recipe, name) for name in changed}


def _argument(recipe, name):
    """Returns a recipe's value of an argument that a cycle may change, or the default.

    Raises:
        ValueError: If no cycle may change the argument.
    """
    family, arguments = family_of(recipe), {}
    if name not in family.cycle_arguments:
        allowed = ", ".join(family.cycle_arguments) or "no argument"
        raise ValueError(
            f"cycles must change only {allowed} of {recipe.family}; received: {name!r}."
        )
    for parent in reversed(family.__mro__):
        if issubclass(parent, ImageModel):
            arguments |= inspect.signature(parent.__init__).parameters
    return recipe.model.get(name, arguments[name].default)


def _assign(model, attributes):
    for name, value in attributes.items():
        setattr(model, name, value)


def _set(model, attributes):
    _assign(model, attributes)
    model.make_train_function(force=True)  # Keras has traced the step with the old values.

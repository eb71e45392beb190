"""Trains a recipe in a run directory, so that a training that was interrupted goes on where it was."""

import inspect
import json
import math
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import keras

import zoo.models
from zoo import datasets, evaluation, recipes
from zoo.catalog import DamagedFileError, nearest
from zoo.models import keras_file
from zoo.recipes import Recipe
from zoo.schedules import Cycles
from zoo.utils.atomic import atomic_write, plain_write_errors

CHECKPOINT = "checkpoint.keras"
BEST = "best.keras"
MODEL = "model.keras"
RECIPE = recipes.FILE
HISTORY = "history.jsonl"
STEPS_PER_EXECUTION = 20


def model_default(recipe: Recipe, name: str):
    """Returns the recipe's value of a constructor's argument that a cycle may change.

    Raises:
        ValueError: where there is no such argument.
    """
    family = family_of(recipe)
    arguments = {}
    for parent in reversed(family.__mro__):
        if parent.__module__.startswith("zoo.models"):
            arguments |= inspect.signature(parent.__init__).parameters
    if name not in arguments:
        raise ValueError(
            f"A cycle cannot change {name!r}: {recipe.family} has no such argument{nearest(name, arguments)}."
        )
    return recipe.model.get(name, arguments[name].default)


def family_of(recipe: Recipe) -> type:
    """Returns the class of a recipe's model.

    Raises:
        ValueError: If there is no such family.
    """
    if recipe.family not in zoo.models.__all__:
        raise ValueError(
            f"family must be one of {', '.join(zoo.models.__all__)}; received: {recipe.family!r}."
        )
    return getattr(zoo.models, recipe.family)


def build(recipe: Recipe, steps: int) -> keras.Model:
    """The recipe's model, untrained and compiled for ``steps`` steps an epoch."""
    keras.utils.set_random_seed(recipe.seed)
    classes = {
        name: part for name, part in vars(keras.optimizers).items() if isinstance(part, type)
    }
    wrappers = (keras.Optimizer, keras.optimizers.LossScaleOptimizer)
    valid = [
        name
        for name, part in classes.items()
        if issubclass(part, keras.Optimizer) and part not in wrappers
    ]
    if recipe.optimizer not in valid:
        raise ValueError(
            f"There is no optimizer {recipe.optimizer!r} in Keras{nearest(recipe.optimizer, valid)}."
        )
    optimizer = classes[recipe.optimizer]
    try:
        model = family_of(recipe)(**recipe.model, seed=recipe.seed)
        schedules = _schedules(recipe, model, steps)
        optimizers = {
            name: optimizer(rate, **recipe.optimizer_arguments) for name, rate in schedules.items()
        }
        # A divisor of the steps: Keras would go beyond an epoch's end to fill its last execution.
        model.compile(**optimizers, steps_per_execution=math.gcd(steps, STEPS_PER_EXECUTION))
    except TypeError as error:
        raise ValueError(
            f"The recipe's model or optimizer does not take these arguments: {error}."
        ) from error
    return model


def _schedules(recipe, model, steps) -> dict:
    """The learning rate of each optimizer of a model, by the optimizer's name."""
    return {
        name: Cycles([[epochs * steps * updates, rate] for epochs, rate, _ in recipe.cycles])
        for name, (updates, _) in model.optimizers().items()
    }


def extended(recipe: Recipe, epochs: int) -> Recipe:
    """Appends a cycle to a recipe, with the learning rate and the attributes of the last one.

    Args:
        recipe: the recipe of a run.
        epochs: the total, those of the recipe included.

    Raises:
        ValueError: where the recipe has more epochs than that.
    """
    more = epochs - recipe.epochs
    if more < 0:
        raise ValueError(
            f"epochs must be at least {recipe.epochs}, those of the recipe; received: {epochs}."
        )
    return (
        replace(recipe, cycles=[*recipe.cycles, [more, *recipe.cycles[-1][1:]]]) if more else recipe
    )


def train(
    recipe: Recipe, run_dir, *, resume: bool = False, data_dir: str | None = None, verbose="auto"
) -> keras.Model:
    """Trains a recipe, with a checkpoint after each epoch.

    Args:
        recipe: what to train.
        run_dir: directory of the run; gets recipe.json, checkpoint.keras, best.keras where the
            recipe keeps the best, history.jsonl, TensorBoard's logs, and at the end model.keras.
        resume: go on from the run's checkpoint, to the same weights that an uninterrupted training
            gives. The recipe must be the run's, or the run's with more cycles after its own, as
            ``extended`` gives it.
        data_dir: where tensorflow-datasets keeps its data.
        verbose: as in ``keras.Model.fit``.

    Returns:
        The trained model, as ``load`` gives it.

    Raises:
        FileExistsError: where the directory holds a run and ``resume`` is not given.
        FileNotFoundError: where there is no checkpoint to resume from, or no data.
        ValueError: where the run in the directory is of another recipe.
    """
    run_dir = Path(run_dir)
    if (run_dir / RECIPE).exists():
        if not resume:
            raise FileExistsError(
                f"{run_dir} holds a run already: go on with --resume, or name another --run-dir."
            )
        check_continues(read_recipe(run_dir), recipe, run_dir)
    elif resume:
        read_recipe(run_dir)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        _fit(recipe, run_dir, resume, data_dir, verbose)
    finally:
        keras.config.set_dtype_policy(before)
    return load(run_dir)[1]


def _fit(recipe, run_dir, resume, data_dir, verbose):
    images, labels = datasets.load(recipe.dataset, recipe.split, data_dir)
    condition = recipe.condition_of(images, labels)
    steps = datasets.steps_an_epoch(len(images), recipe.batch_size)
    if resume and (run_dir / CHECKPOINT).exists():
        model = keras.saving.load_model(run_dir / CHECKPOINT)
        # The checkpoint's schedule ends where the run ended before.
        for name, schedule in _schedules(recipe, model, steps).items():
            getattr(model, name).learning_rate = schedule
    else:
        model = build(recipe, steps)
        model.adapt(images)
        run_dir.mkdir(parents=True, exist_ok=True)
    with atomic_write(run_dir / RECIPE) as partial:
        partial.write_text(json.dumps(asdict(recipe), indent=1))
    usual = {name: model_default(recipe, name) for _, _, change in recipe.cycles for name in change}
    done, end = int(model.optimizer.iterations) // steps, 0
    # An epoch that was measured, but not to its checkpoint, comes again.
    lines = [line for line in history(run_dir) if line["epoch"] <= done]
    with atomic_write(run_dir / HISTORY) as partial:
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for epochs, _, change in recipe.cycles:
        end += epochs
        if done < end:
            batches = datasets.batches(
                images,
                condition,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                dynamic=bool(recipe.binarize),
                first_epoch=done,
            )
            callbacks = [
                Checkpoint(run_dir),
                keras.callbacks.TensorBoard(run_dir / "logs", write_graph=False),
            ]
            if recipe.best:
                callbacks.insert(0, KeepBest(recipe, run_dir, data_dir))
            _set(model, usual | change)
            settings = {
                "epochs": end,
                "initial_epoch": done,
                "steps_per_epoch": steps,
                "shuffle": False,
            }
            with plain_write_errors(run_dir):
                model.fit(batches, **settings, callbacks=callbacks, verbose=verbose)
            done = end
    if recipe.best:
        model = keras.saving.load_model(run_dir / BEST)
    _set(model, usual)
    save(model.in_float32(), run_dir / MODEL)


def _set(model, attributes):
    for name, value in attributes.items():
        setattr(model, name, value)
    model.make_train_function(force=True)  # Keras has traced the step with the values from before.


def save(model: keras.Model, path: Path) -> None:
    """Saves a model so that a reader sees the old file or the new one, never a part."""
    with atomic_write(path) as partial:
        model.save(partial)


class KeepBest(keras.callbacks.Callback):
    """Measures the model on validation images, as the recipe's ``best`` says, and keeps it where it is the best so far."""

    def __init__(self, recipe: Recipe, run_dir: Path, data_dir):
        super().__init__()
        self.recipe, self.run_dir, self.data_dir = recipe, run_dir, data_dir

    def on_epoch_end(self, epoch, logs):
        metric = self.recipe.best["metric"]
        if (epoch + 1) % self.recipe.best["every"] and epoch + 1 < self.recipe.epochs:
            return
        logs[metric] = evaluation.measure(
            self.model, self.recipe, metric, split=self.recipe.validation, data_dir=self.data_dir
        )["value"]
        before = [line[metric] for line in history(self.run_dir) if metric in line]
        if all(evaluation.better(metric, logs[metric], value) for value in before):
            save(self.model, self.run_dir / BEST)


class Checkpoint(keras.callbacks.Callback):
    """Saves the model, its optimizer included, and a line of history after each epoch."""

    def __init__(self, run_dir: Path):
        super().__init__()
        self.run_dir = run_dir

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        line = {"epoch": epoch + 1, "seconds": round(seconds, 3)} | logs
        with atomic_write(self.run_dir / HISTORY) as partial:
            lines = [*history(self.run_dir), line]
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines))
        save(self.model, self.run_dir / CHECKPOINT)


def load(run_dir) -> tuple[Recipe, keras.Model]:
    """The recipe and the trained model of a finished run.

    Raises:
        FileNotFoundError: where the training is not at its end.
        DamagedFileError: where a file cannot be read.
    """
    run_dir = Path(run_dir)
    if not (run_dir / MODEL).is_file():
        so_far = f", or load {run_dir / CHECKPOINT}" if (run_dir / CHECKPOINT).is_file() else ""
        raise FileNotFoundError(
            f"{run_dir} is not finished: go on with zoo train --resume{so_far}."
        )
    return read_recipe(run_dir), keras_file.read(run_dir / MODEL)


def read_recipe(run_dir) -> Recipe:
    """The recipe of a run.

    Raises:
        FileNotFoundError: where there is no run.
        DamagedFileError: where the file is not a recipe.
    """
    path = Path(run_dir) / RECIPE
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no run in {run_dir} to resume from: start without --resume."
        )
    try:
        return recipes.from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{path} is not the recipe of a run ({error}): remove {run_dir} and train again."
        ) from error


def check_continues(before: Recipe, recipe: Recipe, run_dir) -> None:
    """Compares a recipe with that of the run which it is to continue.

    Raises:
        ValueError: where a setting differs, unless only cycles were added.
    """
    if recipe.cycles[: len(before.cycles)] == before.cycles:
        before = replace(before, cycles=recipe.cycles)
    for one, other in zip(_settings(before), _settings(recipe)):
        for key in one | other:
            old, new = (repr(part[key]) if key in part else "not set" for part in (one, other))
            if old != new:
                raise ValueError(
                    f"{key} of the run in {run_dir} is {old}; received: {new}. Resume it without this "
                    "setting, or train another run with another --run-dir."
                )


def _settings(recipe):
    """The settings of a recipe as ``--set`` names them, for each field a dictionary."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        yield (
            {f"{field.name}.{key}": part for key, part in value.items()}
            if isinstance(value, dict)
            else {field.name: value}
        )


def kept(recipe: Recipe, run_dir) -> dict | None:
    """The epoch that a run keeps and its value on the validation images, {epoch, value}, or None where it keeps the last."""
    if not recipe.best:
        return None
    metric = recipe.best["metric"]
    measured = [
        {"epoch": line["epoch"], "value": line[metric]}
        for line in history(run_dir)
        if metric in line
    ]
    best = measured[0]
    for one in measured[1:]:
        best = one if evaluation.better(metric, one["value"], best["value"]) else best
    return best


def outcome(recipe: Recipe, run_dir) -> dict:
    """Returns the fields of a card's recipe that describe a run: {epochs, kept, wall_clock_seconds}."""
    seconds = sum(line["seconds"] for line in history(run_dir))
    return {
        "epochs": recipe.epochs,
        "kept": kept(recipe, run_dir),
        "wall_clock_seconds": round(seconds),
    }


def history(run_dir) -> list[dict]:
    """Returns the duration and the metrics of each epoch of a run."""
    path = Path(run_dir) / HISTORY
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

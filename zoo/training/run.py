"""Folder of a training: its recipe, checkpoints, history and trained model."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import keras

from zoo import artifact, evaluation, recipes
from zoo.catalog import DamagedFileError
from zoo.models import keras_file
from zoo.recipes import Recipe
from zoo.utils.atomic import atomic_write


class Run:
    """Folder of a training.

    Args:
        folder: The folder, which need not exist.

    Attributes:
        recipe: recipe.json.
        checkpoint: checkpoint.keras, the model after the last epoch, with its optimizers' state.
        best: best.keras, the model with the best value on the validation images so far.
        model: model.keras, the trained model.
        logs: TensorBoard's logs.
        samples: Sheets of samples that were drawn during the training.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.recipe = self.folder / artifact.RECIPE
        self.checkpoint = self.folder / "checkpoint.keras"
        self.best = self.folder / "best.keras"
        self.model = self.folder / "model.keras"
        self.logs = self.folder / "logs"
        self.samples = self.folder / "samples"
        self._history = self.folder / "history.jsonl"

    def copied(self, folder) -> "Run":
        """Copies what a training continues from, if there is any, and returns the copy."""
        copy = Run(folder)
        for name in ("recipe", "checkpoint", "best", "_history"):
            if getattr(self, name).exists():
                shutil.copyfile(getattr(self, name), getattr(copy, name))
        return copy

    def write_recipe(self, recipe: Recipe) -> None:
        """Writes the recipe, and makes the folder if there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.recipe) as partial:
            partial.write_text(recipe.to_json(), encoding="utf-8")

    def read_recipe(self) -> Recipe:
        """Returns the recipe.

        Raises:
            FileNotFoundError: If there is no run in the folder.
            DamagedFileError: If the file is not a recipe.
        """
        if not self.recipe.is_file():
            raise FileNotFoundError(
                f"There is no run in {self.folder} to resume from: start without --resume."
            )
        try:
            return Recipe.from_json(json.loads(self.recipe.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFileError(
                f"{self.recipe} is not the recipe of a run ({error}): remove {self.folder} and "
                "train again."
            ) from error

    def history(self) -> list[dict]:
        """Returns the metrics and the duration in seconds of each epoch."""
        if not self._history.exists():
            return []
        return [json.loads(line) for line in self._history.read_text().splitlines()]

    def write_history(self, lines: list[dict]) -> None:
        """Writes the metrics and the durations of all epochs."""
        with atomic_write(self._history) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def save(self, model: keras.Model, path: Path) -> None:
        """Saves a model so that a reader sees the old file or the new one, never a part."""
        with atomic_write(path) as partial:
            model.save(partial)

    def trained_model(self) -> keras.Model:
        """Returns the trained model.

        Raises:
            FileNotFoundError: If the training has not finished.
            DamagedFileError: If the file cannot be read.
        """
        if not self.model.is_file():
            names = {family.name: name for name, family in recipes.FAMILIES.items()}
            family = self.read_recipe().family if self.recipe.is_file() else None
            command = f"zoo train {names.get(family, 'NAME')} --run-dir {self.folder} --resume"
            so_far = f", or load {self.checkpoint}" if self.checkpoint.is_file() else ""
            raise FileNotFoundError(
                f"{self.folder} is not finished: continue with `{command}`{so_far}."
            )
        return keras_file.read(self.model)

    def kept(self) -> dict | None:
        """Returns the epoch whose model was kept and its value on the validation images.

        Returns:
            {epoch, value}, or None for a run that keeps the last epoch or was not measured.
        """
        recipe = self.read_recipe()
        if not recipe.best:
            return None
        metric = recipe.best["metric"]
        best = None
        for line in self.history():
            if metric not in line:
                continue
            if best is None or evaluation.better(metric, line[metric], best["value"]):
                best = {"epoch": line["epoch"], "value": line[metric]}
        return best

    def outcome(self) -> dict:
        """Returns the fields of a card's recipe that describe this run.

        Returns:
            {epochs, kept, wall_clock_seconds}.
        """
        seconds = sum(line["seconds"] for line in self.history())
        return {
            "epochs": self.read_recipe().epochs,
            "kept": self.kept(),
            "wall_clock_seconds": round(seconds),
        }

    def check_continues(self, recipe: Recipe) -> None:
        """Compares a recipe with that of the run which it continues.

        Raises:
            ValueError: If a setting differs, except for cycles that are added.
        """
        before = self.read_recipe()
        if recipe.cycles[: len(before.cycles)] == before.cycles:
            before = replace(before, cycles=recipe.cycles)
        for one, other in zip(_settings(before), _settings(recipe)):
            for key in one | other:
                old, new = (repr(part[key]) if key in part else "not set" for part in (one, other))
                if old != new:
                    raise ValueError(
                        f"{key} of the run in {self.folder} is {old}; received: {new}. Resume it "
                        "without this setting, or train another run with another --run-dir."
                    )


def _settings(recipe):
    """Yields the settings of a recipe as ``--set`` names them, a dictionary for each field."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        yield (
            {f"{field.name}.{key}": part for key, part in value.items()}
            if isinstance(value, dict)
            else {field.name: value}
        )

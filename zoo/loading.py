"""Loads models by name or path: catalog names, folders of runs and of artifacts, Keras files."""

import json
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path

from zoo import catalog, recipes

RUNTIMES = ("keras", "litert", "litert-int8", "saved_model")
TFLITE = {"litert": "model.tflite", "litert-int8": "model_int8.tflite"}
FILES = {
    "keras": "assets.extra/model.keras",
    "litert": f"assets.extra/{TFLITE['litert']}",
    "litert-int8": f"assets.extra/{TFLITE['litert-int8']}",
    "saved_model": "saved_model.pb",
}


class StoredModel:
    """A trained model in one of the forms in which it is stored. Its files are read at first use.

    Attributes:
        given: the name or path that it was asked for by.
        path: its folder or file.
        name: its catalog name, or the last part of the path without ".keras".
        kind: the form, for messages.
        card: the ``catalog.Card``; None or an empty list stands for what is not known.
        runtimes: those of ``RUNTIMES`` that it has files for.
    """

    kind: str
    card: catalog.Card
    runtimes: tuple[str, ...]

    def __init__(self, given: str, path: Path):
        self.given, self.path = given, path
        self.name = path.resolve().name.removesuffix(".keras")

    @property
    def preferred(self) -> str:
        """The runtime that needs least: LiteRT, or Keras where there is no TF Lite file."""
        return next(
            runtime for runtime in ("litert", "keras", "saved_model") if runtime in self.runtimes
        )

    @property
    def recipe(self) -> recipes.Recipe:
        """Recipe that the model was trained by.

        Raises:
            ValueError: where that is not known.
        """
        try:
            return recipes.from_json(self.card.recipe)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.given} has no recipe, which names the data and the metrics: "
                "name the folder of a run or of an artifact that has one."
            ) from error

    def load(self, runtime: str):
        """Loads the model on a runtime.

        Raises:
            ValueError: where there is no such runtime, or no file for it.
            FileNotFoundError: where a file is missing.
            DamagedFileError: where a file cannot be read, or is not the one that the card has.
        """
        if runtime not in RUNTIMES:
            raise ValueError(
                f"There is no runtime {runtime!r}{catalog.nearest(runtime, RUNTIMES)}."
            )
        if runtime not in self.runtimes:
            there = ", ".join(self.runtimes)
            raise ValueError(
                f"{self.given} has no files for the runtime {runtime!r}; there is {there}."
            )
        return self._load(runtime)

    def problems(self) -> list[str]:
        """Compares the files with the card: each sentence names one file that differs.

        Raises:
            ValueError: where the model has no card.
        """
        raise ValueError(
            f"verify compares an artifact with its card, but {self.given} is {self.kind}."
        )

    def artifact(self, folder: Path) -> Path:
        """The folder of an artifact, with a card and a SavedModel at least.

        Args:
            folder: where it is written, unless the model is an artifact itself.
        """
        raise NotImplementedError

    def _load(self, runtime):
        raise NotImplementedError


class Artifact(StoredModel):
    """The folder of an artifact: card.json beside version directories."""

    kind = "an artifact"

    @cached_property
    def card(self):
        return catalog.Card.read(self.path / catalog.CARD)

    @cached_property
    def _version(self) -> Path:
        return catalog.version(self.path, self.card)

    @property
    def runtimes(self):
        return tuple(
            runtime
            for runtime in RUNTIMES
            if f"{self._version.name}/{FILES[runtime]}" in self.card.files
        )

    def problems(self):
        return catalog.problems_in(self.path)

    def artifact(self, folder):
        return self.path

    def _load(self, runtime):
        path = self._version / FILES[runtime]
        if runtime == "keras":
            catalog.check(self.path, self.card, path)
            from zoo.models import keras_file

            return keras_file.read(path)
        if runtime in TFLITE:
            catalog.check(self.path, self.card, path)
            from zoo.inference.litert import LiteRT

            computes = LiteRT(path)
        else:
            served = (
                self.path / file
                for file in self.card.files
                if file.startswith(f"{self._version.name}/")
            )
            catalog.check(
                self.path, self.card, *(file for file in served if "assets.extra" not in file.parts)
            )
            from zoo.inference.saved_model import SavedModel

            computes = SavedModel(self._version)
        from zoo.inference.methods import from_card

        return from_card(self.card, computes)


class CatalogModel(Artifact):
    """An artifact of the catalog, whose folder has the name of the model."""

    def problems(self):
        return catalog.problems(self.name)


class KerasFile(StoredModel):
    """A Keras file, of which nothing is known that is not in the model."""

    kind = "a Keras file"
    runtimes = ("keras",)

    @cached_property
    def card(self):
        model, recipe = self._model, self._recipe()
        return catalog.Card(
            name=self.name,
            family=type(model).__name__,
            dataset=recipe["dataset"],
            paper=recipe["paper"],
            parameters=model.parameters,
            latent_dim=model.latent_dim,
            image_shape=model.image_shape,
            num_classes=model.num_classes,
            **model.description(),
            recipe=recipe,
            files={},
        )

    def artifact(self, folder):
        from zoo.export import saved_model

        folder.mkdir(parents=True, exist_ok=True)
        saved_model.write(self._model, folder / "1")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        described = {path.relative_to(folder).as_posix(): catalog.describe(path) for path in files}
        (folder / catalog.CARD).write_text(
            replace(self.card, files=described).to_json(), encoding="utf-8"
        )
        return folder

    @cached_property
    def _model(self):
        from zoo.models import keras_file

        return keras_file.read(self.path)

    def _load(self, runtime):
        return self._model

    def _recipe(self) -> dict:
        """The recipe of the card, with the constructor's arguments and nothing else."""
        keys = [field.name for field in fields(recipes.Recipe)] + [
            "epochs",
            "kept",
            "wall_clock_seconds",
        ]
        config = json.loads(json.dumps(self._model.get_config(), default=str))
        arguments = {
            key: value
            for key, value in config.items()
            if value is not None and key not in ("name", "dtype", "layers_trainable")
        }
        return dict.fromkeys(keys) | {"family": type(self._model).__name__, "model": arguments}


class Run(KerasFile):
    """The folder of a run of ``zoo train``."""

    kind = "a run"

    @cached_property
    def _trained(self):
        from zoo import training

        return training.load(self.path)

    @property
    def _model(self):
        return self._trained[1]

    def _recipe(self):
        from zoo import training

        recipe = self._trained[0]
        return asdict(recipe) | training.outcome(recipe, self.path)


def find(name) -> StoredModel:
    """Finds a model by its name or path, without loading it.

    Args:
        name: a catalog name, which comes first; else the folder of a run or of an artifact, or a
            Keras file. "./NAME" is always a path.

    Raises:
        ValueError: where there is no such model.
    """
    given, path = str(name), Path(name)
    if given in catalog.list_models():
        return CatalogModel(given, catalog.directory(given))
    if path.is_file() and path.suffix == ".keras":
        return KerasFile(given, path)
    if (path / catalog.CARD).is_file():
        return Artifact(given, path)
    if (path / recipes.FILE).is_file():
        return Run(given, path)
    if path.exists():
        kind = (
            f"a folder with neither {catalog.CARD} nor {recipes.FILE}"
            if path.is_dir()
            else "another file"
        )
        raise ValueError(
            f"{given} must be a catalog name, the folder of a run or of an artifact, or a .keras file; received: {kind}."
        )
    beside = [str(other) for other in path.parent.glob("*") if _is_model(other)]
    raise ValueError(
        f"There is no model {given!r}{catalog.nearest(given, [*catalog.list_models(), *beside])}."
    )


def _is_model(path: Path) -> bool:
    return path.suffix == ".keras" or any(
        (path / file).is_file() for file in (catalog.CARD, recipes.FILE)
    )


def load(name, runtime: str = "keras"):
    """See ``zoo.load``."""
    return find(name).load(runtime)


def as_artifact(name, folder) -> Path:
    """The folder of a model as an artifact, see ``StoredModel.artifact``."""
    return find(name).artifact(Path(folder))


def artifacts(names, folder) -> dict[str, Path]:
    """Artifacts of several models for a server, by the names that they are served under.

    Args:
        names: names or paths of models.
        folder: where the artifacts of runs and Keras files are written.

    Raises:
        ValueError: where two have the same name, or there is no such model.
    """
    models = {}
    for model in map(find, names):
        if model.name in models:
            other = models[model.name].given
            raise ValueError(
                f"{other} and {model.given} would both be served as {model.name!r}: rename one."
            )
        models[model.name] = model
    return {name: model.artifact(Path(folder, name)) for name, model in models.items()}

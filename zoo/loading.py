"""Loads models by name or path: catalog names, folders of runs and of artifacts, Keras files."""

import hashlib
import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from zoo import artifact, catalog, recipes
from zoo.artifact import RUNTIMES


class StoredModel:
    """Trained model in one of the forms in which models are stored.

    Its files are read at first use.

    Attributes:
        given: Name or path by which it was found.
        path: Its folder or file.
        name: Its catalog name, or the last part of the path without ".keras".
        kind: The form, for messages.
        card: The ``catalog.Card``; a field that is not known is None or an empty list.
        runtimes: Those of ``artifact.RUNTIMES`` that it has files for.
    """

    kind: str
    card: catalog.Card
    runtimes: tuple[str, ...]

    def __init__(self, given: str, path: Path):
        self.given, self.path = given, path
        self.name = path.resolve().name.removesuffix(".keras")

    @property
    def preferred(self) -> str:
        """Runtime that loads fastest: LiteRT, or Keras if there is no TF Lite file."""
        return next(
            runtime for runtime in ("litert", "keras", "saved_model") if runtime in self.runtimes
        )

    @property
    def recipe(self) -> recipes.Recipe:
        """Recipe that the model was trained by.

        Raises:
            ValueError: If it is not known.
        """
        if self.card.recipe.get("dataset") is None:
            raise ValueError(
                f"{self.given} has no recipe, which names the data and the metrics. To measure it, "
                "name the data by `zoo evaluate --data tfds:NAME`; for an int8 file and metrics, "
                "give the images to zoo.publish(model, folder, data=images)."
            )
        return recipes.Recipe.from_json(self.card.recipe)

    def recipe_on(self, dataset: str) -> recipes.Recipe:
        """Returns a recipe of the model with another data set, on which it can be measured.

        Its metrics are those of the model's own recipe, or of its class if it has none. The
        parameters of the training are placeholders. Images are fitted as in the training.
        """
        from zoo import data
        from zoo.utils import image_files

        known = self.card.recipe
        own, is_folder = self._pictures or {}, dataset.startswith(catalog.FOLDER)
        fit = {name: value for name, value in own.items() if name in image_files.SETTINGS}
        labels = list(self.card.attributes or ()) or own.get("labels")
        if is_folder and self.card.class_names:  # Its sub-folders, in the order of the labels.
            fit["class_names"] = self.card.class_names
        elif labels and not is_folder:
            fit["labels"] = labels
        metrics = known.get("metrics")
        if metrics is None:
            metrics = self.load("keras").evaluation_metrics
        return recipes.Recipe(
            family=self.card.family,
            model=known["model"],
            dataset=dataset,
            batch_size=1,
            cycles=[[1, 1.0, {}]],
            test="all" if is_folder else "test",
            pictures=data.shape_settings(self.card.image_shape) | fit,
            binarize=known.get("binarize"),
            metrics=metrics,
        )

    def load(self, runtime: str):
        """Loads the model on a runtime.

        Raises:
            ValueError: If there is no such runtime, or no file for it.
            FileNotFoundError: If a file is missing.
            DamagedFileError: If a file cannot be read, or is not the one that the card describes.
        """
        if runtime not in RUNTIMES:
            raise ValueError(
                f"There is no runtime {runtime!r}{catalog.nearest(runtime, RUNTIMES)}."
            )
        if runtime not in self.runtimes:
            raise ValueError(
                f"runtime must be one of {', '.join(self.runtimes)}, for which {self.given} has "
                f"files; received: {runtime!r}."
            )
        model = self._load(runtime)
        if self._pictures:
            from zoo.utils import image_files

            model.picture_fit = image_files.Fit.of_settings(model.image_shape, self._pictures)
        return model

    @property
    def _pictures(self) -> dict:
        """Field ``pictures`` of the recipe, {} if it is not known."""
        return self.card.recipe.get("pictures") or {}

    def problems(self) -> list[str]:
        """Compares the files with the card and returns a sentence for each file that differs.

        Raises:
            ValueError: If the model has no card.
        """
        raise ValueError(
            f"verify takes artifacts, whose files it compares with their card; received: "
            f"{self.given}, {self.kind}."
        )

    @property
    def location(self) -> str:
        """Name or path by which another process finds the model."""
        return str(self.path.absolute())

    def digest(self) -> str:
        """Returns a SHA-256 sum of the files of the trained model.

        Raises:
            FileNotFoundError: If a file is missing.
        """
        raise NotImplementedError

    def artifact(self, folder: Path) -> Path:
        """Returns the folder of an artifact, with at least a card and a SavedModel.

        Args:
            folder: New folder to which the artifact is written, unless the model is one itself.
        """
        raise NotImplementedError

    def _load(self, runtime):
        raise NotImplementedError


class Artifact(StoredModel):
    """Folder of an artifact, see ``zoo.artifact``."""

    kind = "an artifact"

    @cached_property
    def card(self):
        """Card of the artifact."""
        return catalog.Card.read(self.path / artifact.CARD)

    @cached_property
    def _version(self) -> Path:
        return catalog.version(self.path, self.card)

    @property
    def runtimes(self):
        """Runtimes for which the card lists a file."""
        return tuple(
            runtime
            for runtime in RUNTIMES
            if f"{self._version.name}/{artifact.FILES[runtime]}" in self.card.files
        )

    def problems(self):
        """Compares the files with the card."""
        return catalog.problems_in(self.path)

    def digest(self):
        """Returns a SHA-256 sum of the card's entries of the version."""
        version = f"{self._version.name}/"
        entries = {
            path: entry for path, entry in self.card.files.items() if path.startswith(version)
        }
        return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()

    def artifact(self, folder):
        """Returns the artifact's own folder."""
        return self.path

    def _load(self, runtime):
        path = self._version / artifact.FILES[runtime]
        if runtime == "keras":
            catalog.check(self.path, self.card, path)
            from zoo.models import keras_file

            return keras_file.read(path)
        if runtime in artifact.TFLITE_RUNTIMES:
            catalog.check(self.path, self.card, path)
            from zoo.inference.litert import LiteRT

            computes = LiteRT(path)
        else:
            files = (self.path / file for file in self.card.files)
            served = (file for file in files if self._version in file.parents)
            catalog.check(
                self.path,
                self.card,
                *(file for file in served if artifact.ASSETS not in file.parts),
            )
            from zoo.inference.saved_model import SavedModel

            computes = SavedModel(self._version)
        from zoo.inference.methods import from_card

        return from_card(self.card, computes)


class CatalogModel(Artifact):
    """An artifact of the catalog, whose folder has the name of the model."""

    @property
    def location(self):
        """Name in the catalog."""
        return self.given

    def problems(self):
        """Compares the files with the card, and the card with the name."""
        return catalog.problems(self.given)


class KerasFile(StoredModel):
    """Keras file, of which only the model itself is known."""

    kind = "a Keras file"
    runtimes = ("keras",)
    _pictures = None

    @cached_property
    def card(self):
        """Card made from the model."""
        from zoo import publishing

        return publishing.card_of(self._model, self.name, self._recipe())

    def digest(self):
        """Returns the SHA-256 sum of the file."""
        return catalog.describe(self._file)["sha256"]

    def artifact(self, folder):
        """Writes an artifact that is not measured into a new folder, and returns the folder."""
        from zoo import publishing

        publishing.write_unmeasured(self._model, self.card, folder)
        return folder

    @property
    def _file(self) -> Path:
        return self.path

    @cached_property
    def _model(self):
        from zoo.models import keras_file

        return keras_file.read(self.path)

    def _load(self, runtime):
        return self._model

    def _recipe(self) -> dict | None:
        return None


class StoredRun(KerasFile):
    """Folder of a run of ``zoo train``."""

    kind = "a run"

    @cached_property
    def _run(self):
        from zoo import training

        return training.Run(self.path)

    @property
    def _file(self):
        return self._run.model

    @cached_property
    def _model(self):
        return self._run.trained_model()

    @property
    def recipe(self):
        """Recipe of the run."""
        return self._run.read_recipe()

    @property
    def _pictures(self):
        return self.recipe.pictures

    def _recipe(self):
        return asdict(self._run.read_recipe()) | self._run.outcome()


def find(name) -> StoredModel:
    """Finds a model by its name or path, without loading it.

    Args:
        name: A catalog name, which comes first; otherwise the folder of a run or of an artifact, or
            a Keras file. "./NAME" is always a path.

    Raises:
        ValueError: If there is no such model.
    """
    given, path = str(name), Path(name)
    if catalog.is_model(given):
        return CatalogModel(given, catalog.directory(given))
    if path.is_file() and path.suffix == ".keras":
        return KerasFile(given, path)
    if (path / artifact.CARD).is_file():
        return Artifact(given, path)
    if (path / artifact.RECIPE).is_file():
        return StoredRun(given, path)
    if path.exists():
        kind = (
            f"a folder with neither {artifact.CARD} nor {artifact.RECIPE}"
            if path.is_dir()
            else "another file"
        )
        raise ValueError(
            f"{given} must be a catalog name, the folder of a run or of an artifact, or a .keras "
            f"file; received: {kind}."
        )
    beside = [str(other) for other in path.parent.glob("*") if _is_model(other)]
    raise ValueError(
        f"There is no model {given!r}{catalog.nearest(given, [*catalog.list_models(), *beside])}."
    )


def _is_model(path: Path) -> bool:
    return path.suffix == ".keras" or any(
        (path / file).is_file() for file in (artifact.CARD, artifact.RECIPE)
    )


def load(name, runtime: str = "keras"):
    """Loads a model, see ``zoo.load``."""
    return find(name).load(runtime)


def classifier(name):
    """Loads a classifier by its name or path, for the features of metrics.

    Raises:
        ValueError: If there is no such model, or it is not a classifier.
    """
    model = load(name)
    if not hasattr(model, "classify"):
        raise ValueError(
            f"features must name a classifier, such as evaluation/classifier_mnist; received: "
            f"{name}, a {type(model).__name__}."
        )
    return model


def artifacts(names, folder) -> dict[str, Path]:
    """Returns the artifacts of several models for a server, by the names that they are served as.

    Args:
        names: Names or paths of models.
        folder: Folder to which the artifacts of runs and Keras files are written.

    Raises:
        ValueError: If two have the same name, or there is no such model.
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

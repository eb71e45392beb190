"""Model catalog: names, cards and integrity checks.

Imports only the standard library, so that ``zoo list`` starts fast.
"""

import difflib
import fnmatch
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from zoo import artifact
from zoo.utils.documents import document

CONFIG = "models.config"
EVALUATION = "evaluation"
PATH_VARIABLE = "ZOO_PATH"
# A data set with this prefix is a folder of pictures. Others are names of tensorflow-datasets.
FOLDER = "folder:"


class DamagedFileError(ValueError):
    """A file differs from the one that its card describes, or cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Record of a trained model. None stands for a value that is not known.

    Attributes:
        name: Name of the model.
        family: Class of its Keras model.
        dataset: Training data.
        paper: Paper that the model reproduces.
        parameters: {"total": number of all parameters, "generator": of those that compute an
            image}.
        latent_dim: Length of z, or None for a classifier.
        image_shape: (height, width, channels).
        num_classes: Number of labels, or None if the model is not conditional on a label.
        tags: Words that describe the model, for example "variational" or "baseline".
        condition: {"shape", "at"} of the tensor that the model is conditional on; "at" is (row,
            column) if it is a part of the image. If it consists of the values of attributes,
            "attributes" is {attribute: names of its values}. None if the model is not conditional
            on a tensor. That of a classifier of attributes describes its labels.
        signatures: {name: {"inputs" or "outputs": {name: {"dtype", "shape"}}}} of the SavedModel,
            without serving_default; None in a shape is the batch.
        recipe: Every hyper-parameter, the seed, the epochs and "wall_clock_seconds".
        versions: Versions of Python and of the packages that it was published with.
        metrics: A list of {name, value, stderr, n, split, protocol, quick, anchor, command}; the
            command computes the value again, and "quick" is {value, stderr, n} of the first tenth
            of the images, or None.
        files: {path below the model's folder: {"sha256", "bytes"}}.
    """

    name: str
    family: str
    dataset: str | None = None
    paper: str | None = None
    parameters: dict | None = None
    latent_dim: int | None
    image_shape: tuple
    num_classes: int | None
    tags: list = field(default_factory=list)
    condition: dict | None = None
    signatures: dict = field(default_factory=dict)
    recipe: dict
    versions: dict | None = None
    metrics: list = field(default_factory=list)
    files: dict

    @property
    def trained_on(self) -> str | None:
        """Description of the training data, such as "mnist" or "the pictures in flowers"."""
        if self.dataset and self.dataset.startswith(FOLDER):
            return f"the pictures in {self.dataset.removeprefix(FOLDER)}"
        return self.dataset

    @property
    def class_names(self) -> list:
        """Names of the labels, [] if they have none."""
        return (self.recipe.get("pictures") or {}).get("class_names") or []

    @property
    def attributes(self) -> dict | None:
        """Attributes of the condition, {attribute: names of its values}, or None."""
        return (self.condition or {}).get("attributes")

    def to_json(self) -> str:
        """Returns the card as a JSON document."""
        return document(asdict(self)) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Reads a card. Unknown fields are ignored, and those with a default may be missing.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedFileError: If the file is not a card.
        """
        if not path.is_file():
            raise FileNotFoundError(f"There is no card at {path}.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["image_shape"] = tuple(values["image_shape"])
            dict(values["recipe"]["model"]), [entry["sha256"] for entry in values["files"].values()]
            [(metric["name"], metric["anchor"]) for metric in values.get("metrics", [])]
            return cls(
                **{field.name: values[field.name] for field in fields(cls) if field.name in values}
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedFileError(
                f"{path} is not a model's card ({error}). Restore the file."
            ) from error


def package_root() -> Path:
    """Returns the folder of the package's own models.

    It is inside an installed package, and next to the package in a checkout.
    """
    package = Path(__file__).parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def roots() -> list[Path]:
    """Returns the folders of models: those of the variable ``ZOO_PATH``, then the package's own."""
    given = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    return [*(Path(folder) for folder in given if folder), package_root()]


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the models that match a glob pattern, sorted."""
    found = {name for root in roots() for name in names(root)}
    return fnmatch.filter(sorted(found), pattern)


def names(root: Path) -> list[str]:
    """Returns the names of the models in a folder, sorted.

    Folders whose names start with a dot are incomplete and are ignored.
    """
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{artifact.CARD}"))


def all_names() -> list[str]:
    """Returns the names of all models, followed by those that serve the evaluation of others."""
    others = [f"{EVALUATION}/{name}" for name in names(package_root() / EVALUATION)]
    return [*list_models(), *others]


def info(name: str) -> Card:
    """Returns the card of a model.

    Raises:
        ValueError: If there is no model of that name.
    """
    return Card.read(directory(name) / artifact.CARD)


def directory(name: str) -> Path:
    """Returns the folder of a model, the first in the order of ``roots``.

    Raises:
        ValueError: If there is no model of that name.
    """
    for root in roots():
        if _is_model_in(root, name):
            return root / name
    raise ValueError(f"There is no model {name!r}{nearest(name, list_models())}.")


def is_model(name: str) -> bool:
    """Returns whether there is a model of a name.

    Models that only serve the evaluation of others lie in a folder of their own, EVALUATION, and
    are not in ``list_models``. Their names start with the folder's.
    """
    return any(_is_model_in(root, name) for root in roots())


def name_of(folder: Path) -> str | None:
    """Returns the name by which the model of a folder is found, or None if there is none."""
    folder = folder.resolve()
    for root in roots():
        if folder.parent == root.resolve():
            return folder.name
        if folder.parent == root.resolve() / EVALUATION:
            return f"{EVALUATION}/{folder.name}"
    return None


def _is_model_in(root: Path, name: str) -> bool:
    folder, _, own = name.rpartition("/")
    return folder in ("", EVALUATION) and own in names(root / folder)


def file(name: str, runtime: str) -> Path:
    """Returns the file of a model that a runtime reads.

    Raises:
        ValueError: If there is no model of that name.
    """
    folder = directory(name)
    return version(folder, info(name)) / artifact.FILES[runtime]


def described_attributes(attributes: dict) -> str:
    """Returns a text of attributes and their values, such as "glasses (0, 1)"."""
    return ", ".join(f"{name} ({', '.join(values)})" for name, values in attributes.items())


def nearest(given: str, valid) -> str:
    """Returns the end of a sentence about a wrong name: the nearest valid one, or all of them."""
    lower = {str(name).lower(): name for name in valid}
    close = difflib.get_close_matches(str(given).lower(), lower, n=1, cutoff=0.5)
    if close:
        return f"; the nearest is {lower[close[0]]!r}"
    return f"; there are {', '.join(sorted(valid)) or 'none'}"


def version(folder: Path, card: Card) -> Path:
    """Returns the version directory that the card describes, the highest if there are several.

    Raises:
        DamagedFileError: If the card names no file of a version.
    """
    versions = artifact.versions(card.files)
    if not versions:
        raise DamagedFileError(
            f"{folder / artifact.CARD} has no file of a version. Restore the card."
        )
    return folder / str(versions[-1])


def describe(path: Path) -> dict:
    """Returns the card's entry of a file, {"sha256", "bytes"}."""
    with open(path, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def describe_all(folder: Path) -> dict:
    """Returns the card's entries of all files below a folder, {relative path: entry}."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): describe(path) for path in files}


def check(folder: Path, card: Card, *paths: Path) -> None:
    """Compares files with the card before anything parses them.

    Raises:
        FileNotFoundError: If a file is missing.
        DamagedFileError: If a file differs from the one that the card describes.
    """
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if not path.is_file():
            raise FileNotFoundError(
                f"{card.name} is incomplete: {path} is missing. Restore the file."
            )
        if relative not in card.files:
            raise DamagedFileError(
                f"{path} does not belong to {card.name}, because its card does not list it. "
                "Remove the file."
            )
        if describe(path) != card.files[relative]:
            raise DamagedFileError(
                f"{path} is damaged: its SHA-256 sum differs from the card's. Restore the file."
            )


def all_problems() -> list[str]:
    """Returns the ``problems`` of every model, and of files that belong to none."""
    found = [problem for name in all_names() for problem in problems(name)]
    if not list_models():
        found.append(f"There is no model in {package_root()}.")
    return found + _problems_of_package()


def _problems_of_package():
    root = package_root()
    found, own = [], names(root)
    for path in sorted(root.glob("[!.]*")):
        if path.name not in {*own, CONFIG, EVALUATION}:
            found.append(
                f"{path} is not a model, because it has no {artifact.CARD}. Restore the card or "
                "remove it."
            )
    config = root / CONFIG
    served = re.findall(r'name: "([^"]*)"', config.read_text()) if config.is_file() else []
    if served != own:
        found.append(
            f"{config} must list {', '.join(own)}; received: {', '.join(served) or 'no model'}."
        )
    return found


def problems(name: str) -> list[str]:
    """Compares a model's files with its card; each sentence names one file that differs."""
    return problems_in(directory(name), name)


def problems_in(folder: Path, name: str | None = None) -> list[str]:
    """Compares an artifact's files with its card, and the card's name with ``name``."""
    try:
        card = Card.read(folder / artifact.CARD)
    except ValueError as error:
        return [str(error)]
    found = []
    if name is not None and name.rpartition("/")[2] != card.name:
        found.append(f"The card in {folder} must be of {name}; received: the card of {card.name}.")
    present = {path for path in folder.rglob("*") if path.is_file()} - {folder / artifact.CARD}
    for path in sorted(present | {folder / relative for relative in card.files}):
        try:
            check(folder, card, path)
        except (ValueError, FileNotFoundError) as error:
            found.append(str(error))
    return found

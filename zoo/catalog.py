"""Model catalog: names, cards and integrity checks.

Imports only the standard library, so that ``zoo list`` starts fast.
"""

import difflib
import fnmatch
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

CARD = "card.json"
CONFIG = "models.config"


def root() -> Path:
    """Returns the folder of the trained models.

    It is inside the package if that is installed, and next to the package in a repository.
    """
    package = Path(__file__).parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


@dataclass(frozen=True, kw_only=True)
class Card:
    """Record of a trained model. None means that a value is not known.

    Attributes:
        name: Name of the model.
        family: Name of the model's class.
        dataset: Name of the data set on which it was trained.
        paper: Paper of the model.
        parameters: Numbers of parameters: "generator" counts those that compute an image, "total"
            all.
        latent_dim: Length of z.
        image_shape: (height, width, channels).
        num_classes: Number of labels, or None if the model is not conditional on a label.
        condition: {"shape", "at"} of the tensor on which the model is conditional; "at" is its
            (row, column) if it is a part of the image. None if the model is not conditional on a
            tensor.
        signatures: {name: {"inputs" or "outputs": {name: {"dtype", "shape"}}}} of the SavedModel,
            without serving_default. None in a shape is the batch.
        recipe: All hyper-parameters, the seed, the number of epochs and "wall_clock_seconds".
        versions: Versions of Python and of the packages with which it was trained.
        metrics: List of {name, value, stderr, n, split, protocol, anchor, command}. The command
            computes the value again.
        files: {path below the model's folder: {"sha256", "bytes"}}.
    """

    name: str
    family: str
    dataset: str | None = None
    paper: str | None = None
    parameters: dict | None = None
    latent_dim: int
    image_shape: tuple
    num_classes: int | None
    condition: dict | None = None
    signatures: dict = field(default_factory=dict)
    recipe: dict
    versions: dict | None = None
    metrics: list = field(default_factory=list)
    files: dict

    def to_json(self) -> str:
        """Returns the content of the card's file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Reads a card. Unknown fields are ignored, and fields with a default may be missing.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedFileError: If the file is not a card.
        """
        if not path.is_file():
            raise FileNotFoundError(f"There is no card at {path}.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["image_shape"] = tuple(values["image_shape"])
            dict(values["recipe"]["model"]), dict(values["files"].items())
            return cls(
                **{field.name: values[field.name] for field in fields(cls) if field.name in values}
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedFileError(
                f"{path} is not a model's card ({error}). Restore the file."
            ) from error


class DamagedFileError(ValueError):
    """Error of a file that differs from its description in the card."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the trained models that match a glob pattern, sorted."""
    return fnmatch.filter(names(root()), pattern)


def names(root: Path) -> list[str]:
    """Returns the names of the models in a folder, sorted.

    Folders whose name starts with a dot are skipped, because they are still being written.
    """
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{CARD}"))


def info(name: str) -> Card:
    """Returns the card of a trained model.

    Raises:
        ValueError: If there is no model of that name.
    """
    return Card.read(directory(name) / CARD)


def directory(name: str) -> Path:
    """Returns the folder of a trained model.

    It is the base path of TF Serving, and has the card and the version directories.

    Raises:
        ValueError: If there is no model of that name.
    """
    names = list_models()
    if name not in names:
        raise ValueError(f"There is no model {name!r}{nearest(name, names)}.")
    return root() / name


def nearest(given: str, valid) -> str:
    """Returns the end of an error message with the most similar valid name, or with all names."""
    close = difflib.get_close_matches(str(given), valid, n=1, cutoff=0.5)
    if close:
        return f"; the nearest is {close[0]!r}"
    return f"; there are {', '.join(sorted(valid)) or 'none'}"


def version(folder: Path, card: Card) -> Path:
    """Returns the version directory that the card describes, the highest number of several.

    Raises:
        DamagedFileError: If the card has no file of a version.
    """
    parents = {path.partition("/")[0] for path in card.files}
    versions = {parent for parent in parents if parent.isdecimal()}
    if not versions:
        raise DamagedFileError(f"{folder / CARD} has no file of a version. Restore the card.")
    return folder / max(versions, key=int)


def describe(path: Path) -> dict:
    """Returns the entry of a file in a card, {"sha256", "bytes"}."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def check(folder: Path, card: Card, *paths: Path) -> None:
    """Compares files with their description in the card. It must be called before they are parsed.

    Args:
        folder: Folder of the model.
        card: Card of the model.
        *paths: Files in the folder.

    Raises:
        FileNotFoundError: If a file is missing.
        DamagedFileError: If a file differs from its description, or has none.
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
    """Returns the ``problems`` of all models, and of files that belong to no model."""
    listed = list_models()
    found = [problem for name in listed for problem in problems(name)]
    if not listed:
        found.append(f"There is no model in {root()}.")
    for path in sorted(root().glob("[!.]*")):
        if path.name not in {*listed, CONFIG}:
            found.append(
                f"{path} is not a model, because it has no {CARD}. Restore the card or remove it."
            )
    config = root() / CONFIG
    served = re.findall(r'name: "([^"]*)"', config.read_text()) if config.is_file() else []
    if served != listed:
        found.append(
            f"{config} must list {', '.join(listed)}; received: {', '.join(served) or 'no model'}."
        )
    return found


def problems(name: str) -> list[str]:
    """Compares the files of a model with its card. Each result is an error message of one file."""
    return problems_in(directory(name), name)


def problems_in(folder: Path, name: str | None = None) -> list[str]:
    """Compares the files in an artifact's folder with its card, as ``problems`` does.

    Args:
        folder: Folder of the artifact.
        name: Name that the card must have, or None for any name.
    """
    try:
        card = Card.read(folder / CARD)
    except ValueError as error:
        return [str(error)]
    found = []
    if name not in (None, card.name):
        found.append(f"The card in {folder} must be of {name}; received: the card of {card.name}.")
    present = {path for path in folder.rglob("*") if path.is_file() and path != folder / CARD}
    for path in sorted(present | {folder / relative for relative in card.files}):
        try:
            check(folder, card, path)
        except (ValueError, FileNotFoundError) as error:
            found.append(str(error))
    return found

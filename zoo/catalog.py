"""Model catalog: names, cards and integrity checks. Imports only the standard library, so that it starts fast."""

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
    """The folder of the trained models: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


@dataclass(frozen=True, kw_only=True)
class Card:
    """Record of a trained model. None stands for what is not known.

    Attributes:
        name, family, dataset, paper: which model this is, and of which paper.
        parameters: {"generator": numbers that draw an image, "total": all}.
        latent_dim: length of z.
        image_shape: (height, width, channels).
        num_classes: number of labels, or None where the model is not conditional on a label.
        condition: {"shape", "at"} of the tensor that the model is conditioned on; "at" is (row,
            column) if it is a part of the image. None where the model is not conditional on a
            tensor.
        signatures: {name: {"inputs" or "outputs": {name: {"dtype", "shape"}}}} of the SavedModel,
            without serving_default; None in a shape is the batch.
        recipe: every hyper-parameter, the seed, the epochs and "wall_clock_seconds".
        versions: of Python and of the packages that it was trained with.
        metrics: a list of {name, value, stderr, n, split, protocol, anchor, command}; the command
            gives the value again.
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
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Reads a card. Unknown fields are ignored, and those with a default may be missing.

        Raises:
            FileNotFoundError: where there is none.
            DamagedFileError: where the file is not a card.
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
                f"{path} is not a model's card ({error}): restore the file."
            ) from error


class DamagedFileError(ValueError):
    """A file is not the one that its card describes."""


def list_models(pattern: str = "*") -> list[str]:
    """The names of the trained models that match a glob pattern, sorted."""
    return fnmatch.filter(names(root()), pattern)


def names(root: Path) -> list[str]:
    """The names of the models in a folder, sorted; a folder whose name starts with a dot is one that is being written."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{CARD}"))


def info(name: str) -> Card:
    """The card of a trained model.

    Raises:
        ValueError: where there is no model of that name.
    """
    return Card.read(directory(name) / CARD)


def directory(name: str) -> Path:
    """The folder of a trained model: TF Serving's base path, with the card beside its versions."""
    names = list_models()
    if name not in names:
        raise ValueError(f"There is no model {name!r}{nearest(name, names)}.")
    return root() / name


def nearest(given: str, valid) -> str:
    """The end of a sentence about a wrong name: the nearest valid one, or all of them."""
    close = difflib.get_close_matches(str(given), valid, n=1, cutoff=0.5)
    return (
        f"; the nearest is {close[0]!r}"
        if close
        else f"; there are {', '.join(sorted(valid)) or 'none'}"
    )


def version(folder: Path, card: Card) -> Path:
    """The version directory that the card describes, the highest number where there are several.

    Raises:
        DamagedFileError: where the card names no file of a version.
    """
    versions = {
        first for first in (path.partition("/")[0] for path in card.files) if first.isdecimal()
    }
    if not versions:
        raise DamagedFileError(f"{folder / CARD} names no file of a version: restore the card.")
    return folder / max(versions, key=int)


def describe(path: Path) -> dict:
    """Returns the card's entry of a file, {"sha256", "bytes"}."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def check(folder: Path, card: Card, *paths: Path) -> None:
    """Compares files with the card before anything parses them.

    Raises:
        FileNotFoundError: where a file is missing.
        DamagedFileError: where a file is not the one that the card describes.
    """
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if not path.is_file():
            raise FileNotFoundError(
                f"{card.name} is incomplete: {path} is missing; restore the file."
            )
        if relative not in card.files:
            raise DamagedFileError(
                f"{path} does not belong to {card.name}: its card does not name it; remove the file."
            )
        if describe(path) != card.files[relative]:
            raise DamagedFileError(
                f"{path} is damaged: its SHA-256 sum is not the card's; restore the file."
            )


def all_problems() -> list[str]:
    """Returns the ``problems`` of every model, and of files that belong to none."""
    listed = list_models()
    found = [problem for name in listed for problem in problems(name)]
    if not listed:
        found.append(f"There is no model in {root()}.")
    for path in sorted(root().glob("[!.]*")):
        if path.name not in {*listed, CONFIG}:
            found.append(
                f"{path} is no model: there is no {CARD} in it; restore the card or remove the file."
            )
    served = (
        re.findall(r'name: "([^"]*)"', (root() / CONFIG).read_text())
        if (root() / CONFIG).is_file()
        else []
    )
    if served != listed:
        found.append(
            f"{root() / CONFIG} names {', '.join(served) or 'nothing'}, but there are {', '.join(listed)}."
        )
    return found


def problems(name: str) -> list[str]:
    """Compares the files of a model with its card. Each sentence of the result names one file that differs."""
    return problems_in(directory(name), name)


def problems_in(folder: Path, name: str | None = None) -> list[str]:
    """Compares the files in an artifact's folder with its card, and the card's name with ``name``."""
    try:
        card = Card.read(folder / CARD)
    except ValueError as error:
        return [str(error)]
    found = []
    if name not in (None, card.name):
        found.append(f"The card in {folder} is of {card.name}, not of {name}.")
    present = {path for path in folder.rglob("*") if path.is_file() and path != folder / CARD}
    for path in sorted(present | {folder / relative for relative in card.files}):
        try:
            check(folder, card, path)
        except (ValueError, FileNotFoundError) as error:
            found.append(str(error))
    return found

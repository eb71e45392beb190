"""Recipe of a model: everything that decides how it is built, trained and measured."""

import json
import math
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

from zoo.catalog import nearest

# Arguments of Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon).
MUON = {"weight_decay": None, "adam_weight_decay": None, "adam_lr_ratio": 0.5}
MUON_OF_DCGAN = MUON | {"momentum": 0.5, "adam_beta_1": 0.5, "adam_lr_ratio": 0.05}


def muon_with_flow(image_shape) -> dict:
    """Returns arguments of Muon for a VAE of grey levels or colours with a flow prior.

    Muon is for the matrices of networks, and not for those of a flow prior. The limit of the norm
    is of the order of the norms in an undisturbed training, for a loss in nats for each image.
    """
    clip = 30.0 * math.prod(image_shape)
    return MUON | {"exclude_layers": ["linear"], "global_clipnorm": clip}


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_positive(value):
    return _is_number(value) and 0 < value < math.inf


def _is_count(value, least=1):
    return type(value) is int and value >= least


def _is_cycle(value):
    if not (isinstance(value, (list, tuple)) and len(value) == 3):
        return False
    epochs, rate, changes = value
    numbers = isinstance(changes, dict) and all(map(_is_number, changes.values()))
    return _is_count(epochs) and _is_positive(rate) and numbers


def _is_best(value):
    return (
        isinstance(value, dict)
        and set(value) == {"metric", "every"}
        and _is_text(value["metric"])
        and _is_count(value["every"])
    )


def _is_text(value):
    return isinstance(value, str) and bool(value)


def _is_anchor(value):
    return set(value) == {"value", "source"} and _is_number(value["value"])


def _is_table(value):
    return isinstance(value, dict) and all(isinstance(row, dict) for row in value.values())


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# The condition that each field must meet, and its description in an error.
RULES = {
    "family": (_is_text, "the name of a class of zoo.models"),
    "model": (lambda value: isinstance(value, dict), "a table of arguments of the family's class"),
    "dataset": (_is_text, "a data set of tensorflow-datasets, or 'folder:' and a path"),
    "batch_size": (_is_count, "an integer of at least 1"),
    "cycles": (
        lambda value: isinstance(value, list) and value and all(map(_is_cycle, value)),
        "a list of [epochs, learning rate, {attribute: number}]",
    ),
    "paper": (lambda value: value is None or _is_text(value), "a text or null"),
    "optimizer": (_is_text, "the name of an optimizer of Keras"),
    "optimizer_arguments": (lambda value: isinstance(value, dict), "a table of arguments"),
    "steps_per_epoch": (
        lambda value: value is None or _is_count(value),
        "an integer of at least 1 or null",
    ),
    "split": (_is_text, "a split of tensorflow-datasets, for example 'train[:50000]'"),
    "validation": (
        lambda value: value is None or _is_text(value),
        "a split of tensorflow-datasets or null",
    ),
    "test": (_is_text, "a split of tensorflow-datasets"),
    "best": (
        lambda value: value is None or _is_best(value),
        "null or a table of metric, a name, and every, an integer of at least 1",
    ),
    "pictures": (
        lambda value: isinstance(value, dict),
        "a table of arguments of zoo.data.folder or zoo.data.tfds",
    ),
    "binarize": (lambda value: value in ("dynamic", None), "'dynamic' or null"),
    "precision": (lambda value: value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "start": (lambda value: value is None or _is_text(value), "the name of a model or null"),
    "seed": (
        lambda value: _is_count(value, 0) and value < 2**32,
        "an integer of at least 0 and less than 2**32",
    ),
    "metrics": (_is_table, "a table of metrics and their settings"),
    "anchors": (
        lambda value: _is_table(value) and all(map(_is_anchor, value.values())),
        "a table of metrics and their {value, source}",
    ),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a model is built, trained and measured.

    Sizes in it are lists, so that a recipe equals the one that is read from its JSON.

    Attributes:
        family: Class of ``zoo.models``, or the registered name of another class with Keras.
        model: Arguments of its constructor.
        dataset: Training data, a name of tensorflow-datasets, or "folder:" and the path of a folder
            of pictures.
        batch_size: Images in a batch.
        cycles: [epochs, learning rate, {attribute of the model: number}] of each cycle. The rate
            rises linearly over the first 2% of the cycle's steps and then falls to zero on a
            cosine; the attributes are set during that cycle alone.
        paper: Paper that the model reproduces.
        optimizer: Class of ``keras.optimizers``.
        optimizer_arguments: Its arguments except for the learning rate.
        steps_per_epoch: Steps in an epoch. None is n // batch_size: each image is used once.
        split: Split of the data set that the model is trained on.
        validation: Split by which the best epoch and the bandwidth of a Parzen window are chosen;
            never the test set.
        test: Split that the metrics are measured on.
        best: {"metric", "every"}: one of ``metrics`` is measured on the validation images every so
            many epochs and after the last one, and the best model is kept. None keeps the last one.
        pictures: Arguments of ``zoo.data.folder`` or ``zoo.data.tfds`` by which pictures become
            images of one shape.
        binarize: "dynamic" draws binary pixels anew in each epoch, with the grey values as means;
            None trains on the grey values.
        precision: Dtype policy of Keras in training. The trained model is float32 in any case.
        start: Model whose weights the training starts from, by name or path. None stands for random
            weights.
        seed: Seed of the initial weights, of the order of the images, of binarization and of noise.
        metrics: {name: settings} of the metrics on the model's card, see ``zoo.evaluation``.
        anchors: {metric: {value, source}}, the published values that metrics are compared with.

    Raises:
        ValueError: If a field is not as above; the message names the field.
    """

    family: str
    model: dict
    dataset: str
    batch_size: int
    cycles: list
    paper: str | None = None
    optimizer: str = "Adam"
    optimizer_arguments: dict = field(default_factory=dict)
    steps_per_epoch: int | None = None
    split: str = "train"
    validation: str | None = None
    test: str = "test"
    best: dict | None = None
    pictures: dict = field(default_factory=dict)
    binarize: str | None = "dynamic"
    precision: str = "float32"
    start: str | None = None
    seed: int = 0
    metrics: dict = field(default_factory=dict)
    anchors: dict = field(default_factory=dict)

    def __post_init__(self):
        for name, (holds, described) in RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"{name} must be {described}; received: {value!r}.")
        if self.best is None:
            return
        if self.best["metric"] not in self.metrics:
            raise ValueError(
                f"best must name one of the recipe's metrics; received: {self.best!r}."
            )
        if self.validation is None:
            raise ValueError(
                "validation must be a split where best is given, because the best epoch is chosen "
                "on its images; received: None."
            )

    @property
    def epochs(self) -> int:
        """Number of epochs of all cycles."""
        return sum(epochs for epochs, _, _ in self.cycles)

    def scaled(self, epochs: int) -> "Recipe":
        """Returns a recipe of another number of epochs, whose cycles have the same proportions.

        The ends of the cycles are rounded up, so that a short first cycle, such as a warm-up, is
        kept.
        """
        cycles, done, start = [], 0, 0
        for length, *others in self.cycles:
            done += length
            end = -(-done * epochs // self.epochs)
            if end > start:
                cycles.append([end - start, *others])
            start = end
        return replace(self, cycles=cycles)

    def images(self, split: str, data_dir: str | None = None):
        """Returns the grey or colour images of a split of the data set.

        Args:
            split: A split of tensorflow-datasets, or of a folder as in ``zoo.data.named``.
            data_dir: Folder in which tensorflow-datasets keeps its data.

        Returns:
            A ``zoo.data.Source``.

        Raises:
            FileNotFoundError: If the data are not on this machine and cannot be downloaded.
            ValueError: If there is no such data set or split.
        """
        from zoo import data

        return data.named(self.dataset, split, data_dir, self.pictures)

    def source(self, split: str, data_dir: str | None = None):
        """Returns a split of the data set as the model is trained on it, binarized or not.

        Arguments, result and errors as in ``images``.
        """
        return self.prepared(self.images(split, data_dir))

    def prepared(self, images):
        """Returns a source of binarized images if the recipe says so, or the given source."""
        from zoo import data

        return data.Binarized(images) if self.binarize else images

    def to_json(self) -> str:
        """Returns the recipe as a JSON document with one line for each field."""
        lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in vars(self).items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, values: dict) -> "Recipe":
        """Returns the recipe that a card or a run describes, where other fields are ignored.

        Raises:
            ValueError: If a field is missing or is not as above.
        """
        if not isinstance(values, dict):
            raise ValueError(f"A recipe must be a table of fields; received: {values!r}.")
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        for one in fields(cls):
            required = one.default is MISSING and one.default_factory is MISSING
            if required and one.name not in known:
                raise ValueError(f"{one.name} must be given in a recipe; received: no such field.")
        return cls(**known)


def read(path) -> Recipe:
    """Reads a recipe from a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not JSON, or a field is unknown, missing or not as ``Recipe``
            describes it; the message names the field.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no recipe file {path}.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = [one.name for one in fields(Recipe)]
        for name in values if isinstance(values, dict) else ():
            if name not in known:
                raise ValueError(f"A recipe has no field {name!r}{nearest(name, known)}.")
        return Recipe.from_json(values)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be a recipe in JSON; received: {error}.") from error
    except RecursionError as error:
        raise ValueError(f"{path} must be a recipe in JSON; received: deep nesting.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be a recipe in JSON; received: a binary file.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error

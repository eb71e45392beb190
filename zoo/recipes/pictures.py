"""Recipes for a user's own pictures, chosen by their number, size and classes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.catalog import FOLDER
from zoo.recipes.papers import GLOW, GOODFELLOW, KINGMA, RADFORD, REALNVP, SOHN
from zoo.recipes.recipe import MUON_OF_DCGAN, Recipe, muon_with_flow

# Smallest number of training pictures. With fewer, a model can only repeat them.
FEWEST = 18
# Data sets with fewer training pictures count as small.
MANY = 3000
# Smallest number of steps in an epoch, each of which ends with a checkpoint of about a second.
SHORTEST_EPOCH = 100
# Metrics of every family, which need no classifier.
PIXELS = {"pixel_diversity": {}, "pixel_memorization": {}}


def _halvings(shape, smallest):
    """Returns how many times height and width can be halved without falling below ``smallest``."""
    count, sides = 0, shape[:2]
    while all(side % 2 == 0 and side // 2 >= smallest for side in sides):
        count, sides = count + 1, [side // 2 for side in sides]
    return count


def _steps_before_overfitting(number, most):
    """Returns the steps of a model that maximizes a likelihood, which overfits few pictures.

    On 270 pictures, the likelihood of held-out ones falls after about 500 steps.
    """
    return min(most, 2 * number)


def _flow_scales(shape):
    """Returns the number of times that a flow halves an image, from 1 to 3.

    Raises:
        ValueError: If the height or the width is odd.
    """
    if any(side % 2 for side in shape[:2]):
        raise ValueError(
            "The height and the width of the images must be even for a flow; received: "
            f"{shape[0]} and {shape[1]}. Set --size."
        )
    return max(1, min(3, _halvings(shape, 4)))


def _gan(shape, number):
    return {
        "model": {"latent_dim": 100, "hidden": [800, 800], "instance_noise": 0.1, "ema": 0.999},
        "optimizer_arguments": {"beta_1": 0.5},
        "rate": 0.0005,
        "steps": 10_000,
        "paper": GOODFELLOW,
    }


def _dcgan(shape, number):
    # Number of doublings from a grid of 4 rows and columns to the image.
    count = max(1, math.ceil(math.log2(min(shape[:2]) / 4)))
    return {
        "model": {
            "latent_dim": 64,
            "filters": [min(256, 32 * 2 ** (count - 1 - i)) for i in range(count)],
            "kernel_size": 4,
            "instance_noise": 0.15,
            "ema": 0.999 if number >= MANY else 0.99,
        },
        "optimizer": "Muon",
        "optimizer_arguments": MUON_OF_DCGAN,
        "rate": 0.02,
        "steps": 8_000,
        "paper": RADFORD,
    }


def _vae(shape, number):
    count = min(3, _halvings(shape, 4))
    return {
        "model": {
            "latent_dim": 64,
            "filters": [32 * 2**i for i in range(count)],
            "blocks": 2 if count else 0,
            "hidden": [256],
            "activation": "elu",
            "prior": "flow",
            "likelihood": "discretized_logistic",
        },
        "optimizer": "Muon",
        "optimizer_arguments": muon_with_flow(shape),
        # The training diverges at 0.004.
        "rate": 0.002,
        "steps": _steps_before_overfitting(number, 6_000),
        "metrics": {"nll": {"samples": 100}},
        "paper": KINGMA,
    }


def _cvae(shape, number):
    return _vae(shape, number) | {"paper": SOHN}


def _flow(shape, number, model, rate, paper):
    return {
        "model": model | {"dequantization": "variational"},
        # Without the limit of the norm, the first steps can ruin the weights.
        "optimizer_arguments": {"beta_2": 0.99, "global_clipnorm": math.prod(shape) / 16},
        "rate": rate,
        "steps": _steps_before_overfitting(number, 8_000),
        "metrics": {"bits_per_dim": {}},
        "paper": paper,
    }


def _glow(shape, number):
    return _flow(shape, number, {"steps": [4] * _flow_scales(shape), "filters": 64}, 0.003, GLOW)


def _realnvp(shape, number):
    settings = _flow(shape, number, {"scales": _flow_scales(shape) + 1}, 0.0003, REALNVP)
    # At higher rates, the first steps can ruin the weights in spite of the limit.
    return settings | {"warm_up": 0.0001}


@dataclass(frozen=True)
class Family:
    """Family of models that a user's own pictures can be trained on.

    Attributes:
        name: Class of ``zoo.models``.
        settings: Function of the shape of the images and of their number that returns fields of a
            ``Recipe``, with "rate" and "steps" in place of "cycles". "warm_up" is the rate of
            a first epoch.
        labels: "optional", "required" or "unused".
    """

    name: str
    settings: Callable
    labels: str = "optional"


# {name on the command line: family}
FAMILIES = {
    "gan": Family("GAN", _gan),
    "dcgan": Family("DCGAN", _dcgan),
    "vae": Family("VAE", _vae, labels="unused"),
    "cvae": Family("CVAE", _cvae, labels="required"),
    "realnvp": Family("RealNVP", _realnvp),
    "glow": Family("Glow", _glow),
}


def on_pictures(
    chosen: str | Recipe,
    given: str,
    data_dir: str | None = None,
    *,
    size: int | None = None,
    channels: int | None = None,
    pad: bool = False,
    unconditional: bool = False,
    strict: bool = False,
) -> tuple:
    """Makes a recipe for a folder of pictures or a data set of tensorflow-datasets.

    Args:
        chosen: A key of ``FAMILIES``, whose networks and training are chosen by the pictures, or a
            recipe, which is kept as far as possible.
        given: Path of a folder, or "tfds:" and the name of a data set.
        data_dir: Folder in which tensorflow-datasets keeps its data.
        size: Height and width of the images. Defaults to those of the pictures or of the recipe.
        channels: 1 or 3. Defaults to those of the pictures or of the recipe.
        pad: Whether pictures of another aspect ratio are padded instead of cropped.
        unconditional: Whether the model is trained without labels.
        strict: Whether a picture that cannot be read is an error.

    Returns:
        (recipe, source): the ``Recipe``, and the training images before they are decoded.

    Raises:
        FileNotFoundError: If there are no such data.
        ValueError: If an argument is not as above, there are too few pictures, or no two classes
            for a conditional model.
    """
    from zoo import data

    dataset, (labels, pictures) = data_set_of(given), _before_reading(chosen)
    if unconditional:
        if chosen == "cvae":
            raise ValueError("--unconditional cannot be used with cvae; train a vae.")
        labels = "unused"
    pictures |= {"labels": None} if labels == "unused" else {}
    pictures |= {"image_size": [size, size]} if size else {}
    pictures |= {"color_mode": "grayscale" if channels == 1 else "rgb"} if channels else {}
    pictures |= {"pad_to_aspect_ratio": True} if pad else {}
    pictures |= {"strict": True} if strict else {}
    splits = data.splits(dataset, data_dir)
    source = data.described_training(dataset, splits["train"], data_dir, pictures)
    pictures |= data.shape_settings(source.image_shape)
    of_label = isinstance(chosen, Recipe) and "num_classes" in chosen.model
    is_folder = dataset.startswith(FOLDER)
    if labels == "required" and not (source.classes or of_label or is_folder):
        # The condition is then all attributes of the data set.
        pictures |= {"labels": data.attribute_names(dataset, data_dir) or "inferred"}
        source = data.described_training(dataset, splits["train"], data_dir, pictures)
    conditional = labels == "required" or (labels == "optional" and bool(source.classes))
    condition, more = (
        _condition(source, labels == "required") if conditional else ({}, {"labels": None})
    )
    pictures |= more
    make = _of_recipe if isinstance(chosen, Recipe) else _of_family
    fields = {"dataset": dataset, "pictures": pictures, "split": splits.pop("train")} | splits
    return make(chosen, source, condition, fields), source


def _before_reading(chosen):
    """Returns the use of labels of a family or a recipe, and the arguments that it decides."""
    from zoo import data

    if not isinstance(chosen, Recipe):
        return FAMILIES[chosen].labels, {}
    # The number of classes of a classifier has a default.
    conditional = {"num_classes", "attributes"} & set(chosen.model) or chosen.family == "Classifier"
    labels = "required" if conditional else "unused"
    return labels, data.shape_settings(chosen.model.get("image_shape", (28, 28, 1)))


def data_set_of(given: str) -> str:
    """Returns the data set of a recipe for what a user gives: a folder, or tfds:NAME.

    Raises:
        ValueError: If it is neither.
    """
    name = given.removeprefix("tfds:")
    if not name:
        raise ValueError(f"--data must be a folder or tfds:NAME; received: {given!r}.")
    if name != given:
        return name
    # An absolute path, so that a run can be used in any folder.
    return f"{FOLDER}{Path(given).expanduser().resolve()}"


def _of_family(family, source, condition, fields) -> Recipe:
    if len(source) < FEWEST:
        raise ValueError(
            f"There must be at least {FEWEST} pictures for training, after a tenth is held out; "
            f"received: {len(source)}."
        )
    settings = FAMILIES[family].settings(source.image_shape, len(source))
    batch_size = 64 if len(source) >= 640 else min(16, len(source))
    steps = max(len(source) // batch_size, SHORTEST_EPOCH)
    epochs = math.ceil(settings.pop("steps") / steps)
    warm_up = [[1, settings.pop("warm_up"), {}]] if "warm_up" in settings else []
    model = settings.pop("model") | {"image_shape": list(source.image_shape)}
    return Recipe(
        family=FAMILIES[family].name,
        model=model | condition,
        batch_size=batch_size,
        cycles=[*warm_up, [epochs, settings.pop("rate"), {}]],
        steps_per_epoch=steps,
        binarize=None,
        metrics=settings.pop("metrics", {}) | PIXELS,
        **fields,
        **settings,
    )


def _of_recipe(recipe, source, condition, fields) -> Recipe:
    """Returns a recipe on other images, without the metrics that need its own data set."""
    conditions = ("num_classes", "attributes")
    model = {name: value for name, value in recipe.model.items() if name not in conditions}
    kept = ("nll", "bits_per_dim", "nearest_neighbor")
    metrics = {name: recipe.metrics[name] for name in kept if name in recipe.metrics}
    if any(name.startswith("accuracy") for name in recipe.metrics):
        # Those of a classifier of the labels or of the attributes of the other images.
        of_attributes = {f"accuracy_{name}": {} for name in condition.get("attributes", ())}
        metrics = of_attributes or {"accuracy": {}}
    batch_size = min(recipe.batch_size, len(source))
    return replace(
        recipe,
        model=model | {"image_shape": list(source.image_shape)} | condition,
        batch_size=batch_size,
        steps_per_epoch=max(1, len(source) // batch_size),
        best=None,
        # A recipe without metrics of samples is that of a classifier.
        metrics=metrics | (PIXELS if "frechet" in recipe.metrics else {}),
        anchors={},
        **fields,
    )


def _condition(source, required) -> tuple:
    """Returns the arguments of a conditional model, and those by which its images are read."""
    if source.attributes:
        return {"attributes": {name: list(of) for name, of in source.attributes.items()}}, {}
    names = _class_names(source, required)
    return {"num_classes": len(names)}, {"class_names": names}


def _class_names(source, required) -> list:
    names = source.classes or ()
    if len(names) < 2:
        received = f"1 class, {names[0]}" if names else "no classes"
        raise ValueError(
            "The pictures of a conditional model must be in sub-folders of at least 2 classes, or "
            f"have the feature 'label'; received: {received}. "
            f"{'A vae' if required else '--unconditional'} needs no classes."
        )
    return list(names)

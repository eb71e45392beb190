"""Recipes for a user's own pictures, chosen by their number, size and classes."""

import math
from dataclasses import replace

from zoo.catalog import nearest
from zoo.recipes.papers import GLOW, GOODFELLOW, KINGMA, RADFORD, REALNVP, SOHN
from zoo.recipes.recipe import MUON, Recipe

# Pictures below which a model can only repeat them.
FEWEST = 20
# Pictures from which a data set is no longer small.
MANY = 3000


def _stages(shape, smallest):
    """Returns how often the grid of an image can be halved down to a smallest size."""
    count, side = 0, min(shape[:2])
    while side % 2 == 0 and side // 2 >= smallest:
        count, side = count + 1, side // 2
    return count


def _gan(shape, few):
    return {
        "model": {"latent_dim": 100, "hidden": [800, 800], "instance_noise": 0.1, "ema": 0.999},
        "optimizer_arguments": {"beta_1": 0.5},
        "rate": 0.0005,
        "steps": 10_000,
        "paper": GOODFELLOW,
    }


def _dcgan(shape, few):
    # Number of doublings from a grid of 4 rows and columns to the image.
    count = max(1, math.ceil(math.log2(min(shape[:2]) / 4)))
    return {
        "model": {
            "latent_dim": 64,
            "filters": [min(256, 32 * 2 ** (count - 1 - i)) for i in range(count)],
            "kernel_size": 4,
            "instance_noise": 0.15,
            "ema": 0.999 if not few else 0.99,
        },
        "optimizer": "Muon",
        "optimizer_arguments": MUON | {"momentum": 0.5, "adam_beta_1": 0.5, "adam_lr_ratio": 0.05},
        "rate": 0.02,
        "steps": 8_000,
        "paper": RADFORD,
    }


def _vae(shape, few):
    count = min(3, _stages(shape, 4))
    return {
        "model": {
            "latent_dim": 64,
            "filters": [32 * 2**i for i in range(count)],
            "blocks": 2 if count else 0,
            "hidden": [256],
            "activation": "elu",
            "prior": "flow",
        },
        "optimizer": "Muon",
        "optimizer_arguments": MUON | {"exclude_layers": ["linear"]},
        "rate": 0.006,
        "steps": 6_000,
        "paper": KINGMA,
    }


def _cvae(shape, few):
    return _vae(shape, few) | {"paper": SOHN}


def _glow(shape, few):
    count = max(1, min(3, _stages(shape, 4)))
    return {
        "model": {"steps": [4] * count, "filters": 64, "dequantization": "variational"},
        "rate": 0.001,
        "steps": 8_000,
        "paper": GLOW,
    }


def _realnvp(shape, few):
    count = max(1, min(3, _stages(shape, 4)))
    return {
        "model": {"scales": count + 1, "dequantization": "variational"},
        "rate": 0.001,
        "steps": 8_000,
        "paper": REALNVP,
    }


# {name on the command line: (class of zoo.models, function of the shape of the images and of
# whether there are few of them)}
FAMILIES = {
    "gan": ("GAN", _gan),
    "dcgan": ("DCGAN", _dcgan),
    "vae": ("VAE", _vae),
    "cvae": ("CVAE", _cvae),
    "realnvp": ("RealNVP", _realnvp),
    "glow": ("Glow", _glow),
}


def of_family(family: str, dataset: str, pictures: dict, source, *, labels: bool = True) -> Recipe:
    """Returns a recipe of a family of models for pictures.

    Args:
        family: A key of ``FAMILIES``.
        dataset: As in ``Recipe``.
        pictures: As in ``Recipe``.
        source: The training images, a ``zoo.data.Source``.
        labels: Whether the model is conditional on the labels of the images, if they have any.
            "cvae" always is, and "vae" never.

    Raises:
        ValueError: If there is no such family, there are too few pictures, or there are no two
            classes for a conditional model.
    """
    if family not in FAMILIES:
        raise ValueError(f"There is no family {family!r}{nearest(family, FAMILIES)}.")
    classes = _conditions(family, source, labels)
    if len(source) < FEWEST:
        raise ValueError(
            f"{dataset} must have at least {FEWEST} pictures for training; received: "
            f"{len(source)}."
        )
    name, settings_of = FAMILIES[family]
    settings = settings_of(source.image_shape, len(source) < MANY)
    batch_size = 64 if len(source) >= 640 else 16
    epochs = math.ceil(settings.pop("steps") / (len(source) // batch_size))
    model = settings.pop("model") | {"image_shape": list(source.image_shape)}
    return Recipe(
        family=name,
        model=model | ({"num_classes": len(classes)} if classes else {}),
        dataset=dataset,
        pictures=pictures | ({"class_names": list(classes)} if classes else {"labels": None}),
        batch_size=batch_size,
        cycles=[[epochs, settings.pop("rate"), {}]],
        binarize=None,
        validation="validation",
        **settings,
    )


def _conditions(family, source, labels):
    """Returns the names of the classes that a model is conditional on, or None."""
    if family == "vae" or not labels and family != "cvae":
        return None
    if family == "cvae" and not source.classes:
        raise ValueError(
            "The pictures must be in sub-folders, one for each class, for a cvae; received: none. "
            "A vae needs no classes."
        )
    if source.classes and len(source.classes) < 2:
        raise ValueError(
            "The pictures must have at least 2 classes for a conditional model; received: 1, "
            f"{source.classes[0]}. Train with --unconditional, or a vae."
        )
    return source.classes


def of_recipe(recipe: Recipe, dataset: str, pictures: dict, source) -> Recipe:
    """Returns a recipe on other images than its own, with the networks for their shape.

    Args:
        recipe: The recipe.
        dataset: As in ``Recipe``.
        pictures: As in ``Recipe``.
        source: The training images, a ``zoo.data.Source``.

    Raises:
        ValueError: If the model is conditional and the images have no labels.
    """
    conditional = "num_classes" in recipe.model
    if conditional and not source.classes:
        raise ValueError(
            "The pictures must be in sub-folders, one for each class, for a conditional model; "
            "received: none."
        )
    model = recipe.model | {"image_shape": list(source.image_shape)}
    if conditional:
        model["num_classes"] = len(source.classes)
        pictures = pictures | {"class_names": list(source.classes)}
    else:
        pictures = pictures | {"labels": None}
    return replace(
        recipe,
        model=model,
        dataset=dataset,
        pictures=pictures,
        split="train",
        validation="validation",
        best=None,
        metrics={},
        anchors={},
        paper=recipe.paper,
        batch_size=min(recipe.batch_size, max(1, len(source) // 8)),
    )

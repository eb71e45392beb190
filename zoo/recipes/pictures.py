"""Recipes for a user's own pictures, chosen by their number, size and classes."""

import math
from dataclasses import replace

from zoo.recipes.papers import GLOW, GOODFELLOW, KINGMA, RADFORD, REALNVP, SOHN
from zoo.recipes.recipe import MUON, Recipe

# Pictures below which a model can only repeat them.
FEWEST = 20
# Pictures from which a data set is no longer small.
MANY = 3000
# Steps in an epoch, at least: each epoch ends with a checkpoint, which takes about a second.
SHORTEST_EPOCH = 100
# Metrics of every family, which need no classifier.
PIXELS = {"pixel_diversity": {}, "pixel_memorization": {}}


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
        "metrics": {"nll": {"samples": 100}},
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
        "metrics": {"bits_per_dim": {}},
        "paper": GLOW,
    }


def _realnvp(shape, few):
    count = max(1, min(3, _stages(shape, 4)))
    return {
        "model": {"scales": count + 1, "dequantization": "variational"},
        "rate": 0.001,
        "steps": 8_000,
        "metrics": {"bits_per_dim": {}},
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


def of_family(
    family: str, dataset: str, pictures: dict, source, splits: dict, *, labels: bool = True
) -> Recipe:
    """Returns a recipe of a family of models for pictures.

    Args:
        family: A key of ``FAMILIES``.
        dataset: As in ``Recipe``.
        pictures: As in ``Recipe``.
        source: The training images, a ``zoo.data.Source``.
        splits: {"train", "validation" and "test": name of the split}.
        labels: Whether the model is conditional on the labels of the images, if they have any.
            "cvae" always is, and "vae" never.

    Raises:
        ValueError: If there are too few pictures, or no two classes for a conditional model.
    """
    if len(source) < FEWEST:
        raise ValueError(
            f"There must be at least {FEWEST} pictures for training; received: {len(source)}."
        )
    name, settings_of = FAMILIES[family]
    settings = settings_of(source.image_shape, len(source) < MANY)
    batch_size = 64 if len(source) >= 640 else 16
    once = len(source) // batch_size
    steps = max(once, SHORTEST_EPOCH)
    epochs = math.ceil(settings.pop("steps") / steps)
    conditional = family == "cvae" or (labels and family != "vae" and bool(source.classes))
    return Recipe(
        family=name,
        dataset=dataset,
        batch_size=batch_size,
        cycles=[[epochs, settings.pop("rate"), {}]],
        steps_per_epoch=None if steps == once else steps,
        binarize=None,
        metrics=settings.pop("metrics", {}) | PIXELS,
        **_of_images(settings.pop("model"), pictures, source, splits, conditional),
        **settings,
    )


def of_recipe(recipe: Recipe, dataset: str, pictures: dict, source, splits: dict) -> Recipe:
    """Returns a recipe on other images than its own, with networks for their shape.

    Metrics that need a classifier of the recipe's own data set are left out.

    Args:
        recipe: The recipe.
        dataset: As in ``Recipe``.
        pictures: As in ``Recipe``.
        source: The training images, a ``zoo.data.Source``.
        splits: As in ``of_family``.

    Raises:
        ValueError: If the model is conditional and there are no two classes.
    """
    general = ("nll", "bits_per_dim", "nearest_neighbor")
    return replace(
        recipe,
        dataset=dataset,
        batch_size=min(recipe.batch_size, len(source)),
        best=None,
        metrics={name: recipe.metrics[name] for name in general if name in recipe.metrics} | PIXELS,
        anchors={},
        **_of_images(recipe.model, pictures, source, splits, "num_classes" in recipe.model),
    )


def _of_images(model, pictures, source, splits, conditional) -> dict:
    """Returns the fields of a recipe that the images decide."""
    model = model | {"image_shape": list(source.image_shape)}
    pictures = pictures | {"labels": None}
    if conditional:
        names = source.classes or ()
        if len(names) < 2:
            raise ValueError(
                "The pictures of a conditional model must be in sub-folders of at least 2 classes; "
                f"received: {f'1 class, {names[0]}' if names else 'no sub-folders'}. A vae, or "
                "--unconditional, needs no classes."
            )
        model |= {"num_classes": len(names)}
        pictures |= {"labels": "inferred", "class_names": list(names)}
    return {
        "model": model,
        "pictures": pictures,
        "split": splits["train"],
        "validation": splits["validation"],
        "test": splits["test"],
    }

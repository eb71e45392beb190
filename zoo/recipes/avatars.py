"""Recipes of the models of drawn faces in colour, ``zoo.data.avatars``.

The networks are so narrow that all files of a model together have at most 7 MB.
"""

from dataclasses import replace

from zoo.recipes.evaluation import classifier
from zoo.recipes.metrics import SAMPLES
from zoo.recipes.papers import KINGMA, RADFORD, SOHN
from zoo.recipes.pictures import PIXELS
from zoo.recipes.recipe import MUON_OF_DCGAN, Recipe, muon_with_flow

# Faces of 64x64 and of 32x32 pixels.
LARGE, SMALL = "avatars/lorelei", "avatars/pixel_art"
ATTRIBUTES = {
    "glasses": ["0", "1"],
    "hair": ["short", "long"],
    "hair_color": ["black", "brown", "blond", "red"],
    "skin": ["light", "medium", "dark"],
}
# The attribute that is the label of cdcgan_avatars.
LABEL = "hair_color"

DCGAN = {
    "image_shape": [64, 64, 3],
    "latent_dim": 64,
    "filters": [96, 80, 64, 48],
    "discriminator_filters": [32, 48, 80, 112],
    "kernel_size": 4,
    "discriminator_normalization": None,
    # With instance noise instead of the penalty, the flat areas of the samples are speckled.
    "objective": {"class_name": "non_saturating", "config": {"gradient_penalty": 4.0}},
    "ema": 0.999,
}
VARIATIONAL = {
    "image_shape": [32, 32, 3],
    "latent_dim": 48,
    "filters": [32, 64],
    "blocks": 2,
    "bottleneck": 8,
    "hidden": [160],
    "activation": "elu",
    "prior": {"class_name": "flow", "config": {"couplings": 6, "hidden": [80, 80]}},
    # With a scale of each pixel, hair and glasses stay half transparent.
    "likelihood": {"class_name": "discretized_logistic", "config": {"scale": "image"}},
}


def on_faces(dataset: str, **settings) -> Recipe:
    """Returns a recipe on drawn faces.

    Args:
        dataset: ``LARGE`` or ``SMALL``.
        **settings: Further fields of the recipe.
    """
    return Recipe(dataset=dataset, validation="validation", binarize=None, **settings)


def dcgan(metrics: dict, model: dict, pictures: dict) -> Recipe:
    """Returns a recipe of a DCGAN, with further metrics and arguments."""
    return on_faces(
        LARGE,
        family="DCGAN",
        model=DCGAN | model,
        batch_size=64,
        cycles=[[20, 0.02, {}]],
        optimizer="Muon",
        optimizer_arguments=MUON_OF_DCGAN,
        precision="mixed_bfloat16",
        pictures=pictures,
        metrics=SAMPLES | metrics | PIXELS,
        paper=RADFORD,
    )


def variational(metrics: dict, model: dict, **settings) -> Recipe:
    """Returns a recipe of a variational model, with further metrics and arguments."""
    return on_faces(
        SMALL,
        model=VARIATIONAL | model,
        batch_size=125,
        optimizer="Muon",
        optimizer_arguments=muon_with_flow(VARIATIONAL["image_shape"]),
        metrics=SAMPLES
        | metrics
        | {"bits_per_dim": {"samples": 500, "images": 1000}, "bits_per_dim_png": {"images": 1000}}
        | PIXELS
        | {"active_units": {}},
        **settings,
    )


def of_attributes(*metrics: str) -> dict:
    """Returns metrics of all attributes, from the beginnings of their names."""
    return {f"{metric}_{name}": {} for metric in metrics for name in ATTRIBUTES}


def faces_classifier(dataset: str, size: int, filters: list) -> Recipe:
    """Returns a recipe of the classifier of all attributes."""
    recipe = classifier(
        dataset,
        cycles=[[4, 0.01, {}]],
        filters=filters,
        image_shape=[size, size, 3],
        attributes=ATTRIBUTES,
    )
    real = {
        name: {}
        for name in recipe.metrics
        if name.endswith("_real") and not name.startswith("classification")
    }
    return replace(
        recipe,
        metrics=of_attributes("accuracy") | real,
        pictures={"labels": list(ATTRIBUTES)},
        validation="validation",
    )


RECIPES = {
    "dcgan_avatars": dcgan({}, {}, {"labels": None}),
    "cdcgan_avatars": dcgan(
        {f"attribute_accuracy_{LABEL}": {}, "diversity": {}},
        {"num_classes": len(ATTRIBUTES[LABEL])},
        {"labels": LABEL, "class_names": ATTRIBUTES[LABEL]},
    ),
    "cvae_avatars": variational(
        of_attributes("attribute_accuracy", "reconstruction_accuracy"),
        {"attributes": ATTRIBUTES},
        family="CVAE",
        cycles=[[20, 0.006, {}]],
        pictures={"labels": list(ATTRIBUTES)},
        paper=SOHN,
    ),
    "vae_avatars": variational(
        {"anomaly_noise": {}},
        {},
        family="VAE",
        cycles=[[20, 0.006, {}]],
        pictures={"labels": None},
        paper=KINGMA,
    ),
    "classifier_avatars_lorelei": faces_classifier(LARGE, 64, [16, 32, 56, 88]),
    "classifier_avatars_pixel_art": faces_classifier(SMALL, 32, [16, 48, 96]),
}

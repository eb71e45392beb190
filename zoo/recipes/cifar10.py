"""Recipes of the models of CIFAR-10, which have no weights in the package."""

from zoo.recipes.papers import KINGMA, RADFORD
from zoo.recipes.pictures import PIXELS
from zoo.recipes.recipe import MUON_OF_DCGAN, Recipe, muon_with_flow

NAME = "cifar10"
SPLITS = {"split": "train[:45000]", "validation": "train[45000:]"}


def dcgan(**model) -> Recipe:
    """Returns a recipe of a DCGAN, with further arguments of the model."""
    return Recipe(
        family="DCGAN",
        model={
            "image_shape": [32, 32, 3],
            "latent_dim": 100,
            "filters": [256, 128, 64],
            "kernel_size": 4,
            "augmentations": ["flip"],
            "ema": 0.999,
        }
        | model,
        dataset=NAME,
        batch_size=64,
        cycles=[[60, 0.02, {}]],
        optimizer="Muon",
        optimizer_arguments=MUON_OF_DCGAN,
        binarize=None,
        pictures={} if "num_classes" in model else {"labels": None},
        metrics=PIXELS,
        paper=RADFORD,
        **SPLITS,
    )


RECIPES = {
    "dcgan_cifar10": dcgan(),
    "cdcgan_cifar10": dcgan(num_classes=10),
    "vae_cifar10": Recipe(
        family="VAE",
        model={
            "image_shape": [32, 32, 3],
            "latent_dim": 128,
            "filters": [64, 128],
            "blocks": 2,
            "bottleneck": 16,
            "hidden": [256],
            "activation": "elu",
            "prior": "flow",
            "likelihood": "discretized_logistic",
        },
        dataset=NAME,
        batch_size=125,
        cycles=[[60, 0.002, {}]],
        optimizer="Muon",
        optimizer_arguments=muon_with_flow([32, 32, 3]),
        binarize=None,
        pictures={"labels": None},
        metrics={
            "bits_per_dim": {"samples": 500, "images": 1000},
            "bits_per_dim_png": {"images": 1000},
        }
        | PIXELS,
        paper=KINGMA,
        **SPLITS,
    ),
}

"""Recipes of variational models: VAE and CVAE, dense and convolutional."""

from zoo.recipes.metrics import latent_metrics, sample_metrics
from zoo.recipes.papers import IWAE, KINGMA, SOHN
from zoo.recipes.recipe import MUON, Recipe, muon_with_flow

CONVOLUTIONAL = {
    "latent_dim": 40,
    "filters": [16, 32],
    "blocks": 2,
    "hidden": [128],
    "activation": "elu",
}

# A wider network with a flow prior. The bottleneck keeps its files small.
WIDE = CONVOLUTIONAL | {"filters": [32, 64], "bottleneck": 16, "hidden": [256], "prior": "flow"}

# As wide in its convolutions, with about half of the parameters.
COMPACT = WIDE | {
    "bottleneck": 8,
    "hidden": [160],
    "prior": {"class_name": "flow", "config": {"couplings": 6, "hidden": [80, 80]}},
}


def metrics(dataset: str, *, labels: bool = False, **likelihood: dict) -> dict:
    """Returns the metrics of a recipe.

    Args:
        dataset: Name in tensorflow-datasets.
        labels: Whether the model is conditional on a label.
        **likelihood: Settings of the metrics of the likelihood.
    """
    return sample_metrics(dataset, labels=labels) | likelihood | latent_metrics(labels=labels)


def convolutional(
    family: str, dataset: str, *, model: dict = CONVOLUTIONAL, samples: int = 500, **settings
) -> Recipe:
    """Returns a recipe of the convolutional network on binarized images.

    Args:
        family: "VAE", or "CVAE" for a model that is conditional on the label.
        dataset: Name in tensorflow-datasets.
        model: Arguments of the class.
        samples: Importance samples of each test image.
        **settings: Further fields of the recipe.
    """
    conditional = family == "CVAE"
    return Recipe(
        family=family,
        model=model | ({"num_classes": 10} if conditional else {}),
        dataset=dataset,
        batch_size=250,
        optimizer="Muon",
        optimizer_arguments=MUON,
        metrics=metrics(dataset, labels=conditional, nll={"samples": samples}, nll_decoded={}),
        paper=SOHN if conditional else KINGMA,
        **settings,
    )


RECIPES = {
    "vae_dense_mnist": Recipe(
        family="VAE",
        model={"latent_dim": 50, "hidden": [200, 200], "activation": "tanh"},
        dataset="mnist",
        batch_size=1000,
        cycles=[[900, 0.015, {}], [200, 0.003, {}]],
        optimizer="Muon",
        optimizer_arguments=MUON,
        metrics=metrics("mnist", nll={"samples": 5000}, nll_decoded={}),
        anchors={
            "nll": {"value": 86.76, "source": f"{IWAE}, VAE with k=1, as quoted by nbip/IWAE"}
        },
        paper=KINGMA,
    ),
    "vae_mnist": convolutional(
        "VAE",
        "mnist",
        model=WIDE,
        cycles=[[90, 0.006, {}], [4, 0.0004, {"importance_samples": 5}]],
        anchors={
            "nll": {
                "value": 78.61,
                "source": "Xu et al., the successor of arXiv 1905.13452, convolutional VAE with a "
                "RealNVP prior and 40 latent variables, 1,000 samples",
            }
        },
    ),
    "cvae_mnist": convolutional(
        "CVAE",
        "mnist",
        model=WIDE,
        cycles=[[90, 0.006, {}], [4, 0.0004, {"importance_samples": 5}]],
        anchors={
            "nll": {
                "value": 82.32,
                "source": "one run of the repository nbip/IWAE, unreviewed; given the label, k=1",
            }
        },
    ),
    "vae_fashion_mnist": convolutional(
        "VAE",
        "fashion_mnist",
        model=WIDE,
        cycles=[[50, 0.006, {}]],
        samples=100,
    ),
    "cvae_fashion_mnist": convolutional(
        "CVAE",
        "fashion_mnist",
        model=COMPACT,
        cycles=[[40, 0.006, {}]],
        samples=100,
    ),
    "vae_logistic_fashion_mnist": Recipe(
        family="VAE",
        model=COMPACT | {"likelihood": "discretized_logistic"},
        dataset="fashion_mnist",
        binarize=None,
        batch_size=250,
        cycles=[[40, 0.006, {}]],
        optimizer="Muon",
        optimizer_arguments=muon_with_flow([28, 28, 1]),
        metrics=metrics("fashion_mnist", bits_per_dim={"samples": 100}, bits_per_dim_png={}),
        paper=KINGMA,
    ),
    "cvae_quadrant_mnist": Recipe(
        family="CVAE",
        # beta above 1 keeps the posterior near the prior, so that samples of the prior match the
        # given quadrant.
        model=COMPACT
        | {
            "latent_dim": 20,
            "condition_shape": [14, 14, 1],
            "condition_at": [14, 0],
            "prior": "conditional_normal",
            "beta": 2.0,
        },
        dataset="mnist",
        binarize=None,
        batch_size=250,
        cycles=[[16, 0.006, {}], [12, 0.004, {}], [5, 0.002, {"importance_samples": 5}]],
        optimizer="Muon",
        optimizer_arguments=MUON,
        precision="mixed_bfloat16",
        metrics=metrics(
            "mnist",
            nll={"samples": 300},
            nll_decoded={},
            nll_monte_carlo={"samples": 5000, "images": 1000},
        ),
        anchors={
            "nll_monte_carlo": {
                "value": 71.8,
                "source": "Pyro's tutorial on the CVAE of Sohn et al. 2015, one quadrant given, "
                "Monte Carlo, its own split",
            },
        },
        paper=SOHN,
    ),
}

"""Recipes of flows: Glow."""

from zoo.recipes.metrics import sample_metrics
from zoo.recipes.papers import GLOW
from zoo.recipes.recipe import Recipe


def glow(dataset: str, *, model: dict, cycles: list, **settings) -> Recipe:
    """Returns a recipe of Glow on grey images.

    Args:
        dataset: Name in tensorflow-datasets.
        model: Sizes of the model, as in ``zoo.models.Glow``.
        cycles: As in ``Recipe``.
        **settings: Further fields of the recipe.
    """
    return Recipe(
        family="Glow",
        model=model | {"alpha": 1e-6, "dequantization": "variational"},
        dataset=dataset,
        batch_size=128,
        cycles=cycles,
        # The rates are five to ten times the usual one of Adam: the likelihood improves faster, but
        # units of the couplings can die. With a longer average of squared gradients or without the
        # limit of the norm it can diverge.
        optimizer_arguments={"beta_2": 0.99, "global_clipnorm": 50.0},
        binarize=None,
        metrics=sample_metrics(dataset) | {"bits_per_dim": {}},
        paper=GLOW,
        **settings,
    )


RECIPES = {
    "glow_mnist": glow(
        "mnist",
        model={
            "multiscale": "wavelet",
            "steps": [8, 12],
            "filters": [96, 96],
            "couplings": 12,
            "hidden": [144, 144],
        },
        cycles=[[28, 0.005, {}], [4, 0.001, {}]],
        anchors={
            "bits_per_dim": {
                "value": 1.05,
                "source": f"{GLOW}, as quoted by Kobyzev et al. 2020, arXiv 1908.09257, table 5",
            }
        },
    ),
    "glow_fashion_mnist": glow(
        "fashion_mnist",
        model={"steps": [6, 10], "filters": [64, 96], "couplings": 4, "hidden": [192, 192]},
        cycles=[[36, 0.01, {}]],
    ),
}

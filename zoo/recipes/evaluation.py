"""Recipes of the evaluation classifiers, whose features and labels measure generative models."""

from zoo.recipes.recipe import MUON, Recipe

FILTERS = [16, 48, 96]
# Metrics of real training images, which show the values that a perfect model would have.
REAL = (
    "frechet_real",
    "kernel_real",
    "precision_real",
    "recall_real",
    "density_real",
    "coverage_real",
    "classification_accuracy_real",
)


def classifier(dataset: str, *, cycles: list, **model) -> Recipe:
    """Returns a recipe of a classifier on grey images.

    The number of epochs is fixed: no epoch is chosen on the test set.

    Args:
        dataset: Name in tensorflow-datasets.
        cycles: As in ``Recipe``.
        **model: Further arguments of ``zoo.models.Classifier``.
    """
    return Recipe(
        family="Classifier",
        model={"filters": FILTERS} | model,
        dataset=dataset,
        batch_size=125,
        cycles=cycles,
        binarize=None,
        optimizer="Muon",
        optimizer_arguments=MUON,
        metrics={"accuracy": {}} | {name: {} for name in REAL},
        paper="He et al. 2016, arXiv 1512.03385",
    )


RECIPES = {
    "classifier_mnist": classifier("mnist", cycles=[[14, 0.01, {}]]),
    "classifier_fashion_mnist": classifier(
        "fashion_mnist", cycles=[[36, 0.01, {}]], shift=1, mirror=True
    ),
}

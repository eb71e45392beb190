"""Recipes of adversarial models: GAN and DCGAN, plain and conditional on a label."""

from zoo.recipes.metrics import sample_metrics
from zoo.recipes.papers import GOODFELLOW, RADFORD
from zoo.recipes.recipe import MUON_OF_DCGAN, Recipe

# The source of the value for nearest_neighbor: the claim of the paper about 50,000 samples. The
# value is the error that the real images give here, nearest_neighbor_real.
REAL_IMAGES = (
    f"{RADFORD}, section 8.1: the test error of the same classifier fitted on the real training "
    "images"
)

# The network of the DCGANs for 28x28: 4x4, 7x7 and 14x14 cells before the image.
SMALL_DCGAN = {
    "latent_dim": 64,
    "filters": [128, 96, 64],
    "kernel_size": 4,
    "instance_noise": 0.15,
    "ema": 0.999,
}


def adversarial(
    family: str,
    dataset: str,
    *,
    model: dict,
    best: str | None = "parzen",
    every: int = 4,
    **settings,
) -> Recipe:
    """Returns a recipe on grey images.

    Args:
        family: Class of ``zoo.models``.
        dataset: Name in tensorflow-datasets.
        model: Arguments of the class.
        best: Metric by which the best epoch is chosen on the validation images. None keeps the
            last one.
        every: Number of epochs after each of which it is measured.
        **settings: Further fields of the recipe.
    """
    labels = "num_classes" in model
    metrics = sample_metrics(dataset, labels=labels)
    if not labels:
        metrics |= {"parzen": {}, "smallest_share": {}, "largest_share": {}}
    return Recipe(
        family=family,
        model=model,
        dataset=dataset,
        split="train[:50000]",
        validation="train[50000:]",
        best={"metric": best, "every": every} if best else None,
        binarize=None,
        metrics=metrics,
        paper=GOODFELLOW if family == "GAN" else RADFORD,
        **settings,
    )


def dcgan(dataset: str, *, model: dict, cycles: list, **settings) -> Recipe:
    """Returns a recipe of a convolutional network."""
    return adversarial(
        "DCGAN",
        dataset,
        model=model,
        batch_size=64,
        cycles=cycles,
        optimizer="Muon",
        optimizer_arguments=MUON_OF_DCGAN,
        precision="mixed_bfloat16",
        **settings,
    )


RECIPES = {
    "gan_mnist": adversarial(
        "GAN",
        "mnist",
        # With dropout of its inputs, the discriminator would accept strokes with holes. The long
        # moving average removes speckle.
        model={
            "latent_dim": 100,
            "hidden": [800, 800],
            "dropout": [0.0, 0.3],
            "instance_noise": 0.1,
            "ema": 0.9999,
        },
        batch_size=100,
        cycles=[[12, 0.0006, {"instance_noise": 0.3}], [52, 0.0008, {}], [60, 0.0015, {}]],
        optimizer_arguments={"beta_1": 0.5},
        precision="mixed_bfloat16",
        anchors={"parzen": {"value": 225, "source": f"{GOODFELLOW}, table 1, ± 2"}},
    ),
    "gan_fashion_mnist": adversarial(
        "GAN",
        "fashion_mnist",
        # The penalty R1 in place of instance noise gives less speckle.
        model={
            "latent_dim": 100,
            "hidden": [400, 400],
            "maxout": [[120, 5], [120, 5]],
            "dropout": [0.0, 0.3],
            "objective": {"class_name": "non_saturating", "config": {"gradient_penalty": 1.5}},
            "ema": 0.999,
        },
        best=None,
        batch_size=200,
        cycles=[[45, 0.02, {}]],
        optimizer="Muon",
        optimizer_arguments=MUON_OF_DCGAN,
        precision="mixed_bfloat16",
    ),
    "dcgan_mnist": dcgan("mnist", model=SMALL_DCGAN, cycles=[[20, 0.02, {}]]),
    # Less noise makes the images sharper. In the last epoch D has more updates than G, which hardly
    # changes then: the scores of D are better for it.
    "dcgan_fashion_mnist": dcgan(
        "fashion_mnist",
        model=SMALL_DCGAN,
        cycles=[
            [24, 0.02, {}],
            [6, 0.006, {"instance_noise": 0.05}],
            [6, 0.006, {"instance_noise": 0.05}],
            [1, 0.001, {"instance_noise": 0.15, "discriminator_steps": 4}],
        ],
        best=None,
    ),
    "cdcgan_mnist": dcgan(
        "mnist",
        model=SMALL_DCGAN | {"num_classes": 10},
        cycles=[[16, 0.02, {}]],
        best="nearest_neighbor",
        anchors={"nearest_neighbor": {"value": 3.27, "source": REAL_IMAGES}},
    ),
    "cdcgan_fashion_mnist": dcgan(
        "fashion_mnist",
        model=SMALL_DCGAN | {"num_classes": 10},
        cycles=[[6, 0.02, {}]],
        best="nearest_neighbor",
        anchors={"nearest_neighbor": {"value": 15.56, "source": REAL_IMAGES}},
    ),
}

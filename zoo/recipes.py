"""The named models: everything that decides how each is built, trained and measured.

A recipe is data alone and imports no TensorFlow. ``zoo train NAME`` repeats it.
"""

from dataclasses import dataclass, field, fields

from zoo import catalog


@dataclass(frozen=True)
class Recipe:
    """How a named model is made.

    Attributes:
        family: class of ``zoo.models``.
        model: arguments of its constructor; sizes are lists, so that a recipe equals what its JSON says.
        dataset, split: what it is trained on, as tensorflow-datasets names them.
        binarize: "dynamic" draws each pixel anew in each epoch, None takes grey pixels as means.
        condition: what stands beside each image: None, "label", or "patch" (the part of the image that the model is given).
        epochs, batch_size: whole batches only, n // batch_size steps an epoch.
        optimizer: name of a class of ``keras.optimizers``; optimizer_arguments: its arguments but the learning rate.
        learning_rate: the highest, reached after the first 2% of the steps and left on a cosine that ends at zero.
        seed: of the initial weights, of the order of the images, of binarization and of the noise.
        metrics: evaluations of the card, ``{name: arguments}`` as in ``zoo.evaluation``.
        anchors: the published value that a metric is compared with, {value, source, mark}: A read in the paper or its code,
            B in a source that quotes it, M remembered.
        paper: what the model reproduces.
    """

    family: str
    model: dict
    dataset: str
    epochs: int
    batch_size: int
    learning_rate: float
    paper: str
    optimizer: str = "Adam"
    optimizer_arguments: dict = field(default_factory=dict)
    split: str = "train"
    binarize: str | None = "dynamic"
    condition: str | None = None
    seed: int = 0
    metrics: dict = field(default_factory=dict)
    anchors: dict = field(default_factory=dict)


IWAE = "Burda et al. 2015, arXiv 1509.00519"
KINGMA = "Kingma & Welling 2013, arXiv 1312.6114"
SOHN = "Sohn, Lee & Yan 2015, NeurIPS 28"
MUON = {"weight_decay": None, "adam_weight_decay": None, "adam_lr_ratio": 0.5}

RECIPES = {
    "vae_dense_mnist": Recipe(
        family="VAE",
        model={"latent_dim": 50, "hidden": [200, 200], "activation": "tanh"},
        dataset="mnist",
        epochs=900,
        batch_size=1000,
        optimizer="Muon",
        optimizer_arguments=MUON,
        learning_rate=0.015,
        metrics={"nll": {"samples": 5000}},
        anchors={"nll": {"value": 86.76, "source": f"{IWAE}, table 1, VAE with k=1", "mark": "B"}},
        paper=KINGMA,
    ),
}


def named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ValueError: where there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}{catalog.nearest(name, RECIPES)}.")
    return RECIPES[name]


def from_json(values: dict) -> Recipe:
    """The recipe that a card or the directory of a run describes; what else stands there is left aside."""
    return Recipe(**{field.name: values[field.name] for field in fields(Recipe)})

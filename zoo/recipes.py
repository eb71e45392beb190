"""The named models: everything that decides how each is built, trained and measured.

A recipe is data alone and imports no TensorFlow. ``zoo train NAME`` repeats it.
"""

from dataclasses import dataclass, field, fields

from zoo import catalog

FILE = "recipe.json"


@dataclass(frozen=True)
class Recipe:
    """How a named model is made.

    Attributes:
        family: class of ``zoo.models``.
        model: arguments of its constructor; sizes are lists, so that a recipe equals what its JSON
            says.
        dataset, split: what it is trained on, as tensorflow-datasets names them.
        validation: a split that chooses among what was trained, and the bandwidth of a Parzen
            window; never the test set.
        best: {"metric", "every"}: after so many epochs each, and after the last, one of ``metrics``
            is measured on the validation images, and the model is kept as it was where that was
            best. None keeps the last.
        binarize: "dynamic" draws each pixel anew in each epoch, None takes grey pixels as means.
        batch_size: whole batches only, n // batch_size steps an epoch.
        cycles: [epochs, learning rate, {attribute of the model: value}] of each cycle: the rate is
            reached after the first 2% of the cycle's steps and left on a cosine that ends at zero;
            the attributes are those of that cycle alone.
        optimizer: name of a class of ``keras.optimizers``; optimizer_arguments: its arguments but
            the learning rate.
        precision: Keras's dtype policy in training; the trained model is float32 anyway.
        seed: of the initial weights, of the order of the images, of binarization and of the noise.
        metrics: evaluations of the card, ``{name: arguments}`` as in ``zoo.evaluation``.
        anchors: the published value that a metric is compared with, {value, source}.
        paper: what the model reproduces.
    """

    family: str
    model: dict
    dataset: str
    batch_size: int
    cycles: list
    paper: str
    optimizer: str = "Adam"
    optimizer_arguments: dict = field(default_factory=dict)
    split: str = "train"
    validation: str | None = None
    best: dict | None = None
    binarize: str | None = "dynamic"
    precision: str = "float32"
    seed: int = 0
    metrics: dict = field(default_factory=dict)
    anchors: dict = field(default_factory=dict)

    def __post_init__(self):
        valid = {
            "binarize": ("dynamic", None),
            "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
        }
        for key, values in valid.items():
            if getattr(self, key) not in values:
                raise ValueError(
                    f"{key} must be one of {', '.join(map(str, values))}, but it is {getattr(self, key)!r}."
                )
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise ValueError(
                f"batch_size must be a whole number of at least 1, but it is {self.batch_size!r}."
            )
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed must be a whole number of at least 0, but it is {self.seed!r}.")
        try:
            valid = bool(self.cycles) and all(
                epochs > 0 and rate > 0 and dict(change) == change
                for epochs, rate, change in self.cycles
            )
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise ValueError(
                f"cycles must be a list of [epochs, learning rate, {{attribute: value}}], not {self.cycles!r}."
            )
        if self.best is not None:
            try:
                every, valid = (
                    self.best["every"],
                    self.validation and self.best["metric"] in self.metrics,
                )
                valid = valid and len(self.best) == 2 and type(every) is int and every >= 1
            except (TypeError, KeyError):
                valid = False
            if not valid:
                raise ValueError(
                    "best must be {metric, every}, one of the metrics and a number of epochs of at least 1, beside a "
                    f"validation split, but it is {self.best!r}."
                )

    @property
    def epochs(self) -> int:
        return sum(epochs for epochs, _, _ in self.cycles)

    @property
    def condition(self) -> str | None:
        """What stands beside each image: None, "label", or "patch", the part of the image that the model is given."""
        return (
            "label"
            if "num_classes" in self.model
            else "patch"
            if "condition_at" in self.model
            else None
        )

    def condition_of(self, images, labels):
        """Returns the conditions of images in the recipe's data: labels, the given patch of each image, or None."""
        if self.condition == "label":
            return labels
        if self.condition == "patch":
            (top, left), (height, width, _) = (
                self.model["condition_at"],
                self.model["condition_shape"],
            )
            return images[:, top : top + height, left : left + width]
        return None


GOODFELLOW = "Goodfellow et al. 2014, arXiv 1406.2661"
RADFORD = "Radford, Metz & Chintala 2015, arXiv 1511.06434"
KINGMA = "Kingma & Welling 2013, arXiv 1312.6114"
SOHN = "Sohn, Lee & Yan 2015, NeurIPS 28"
IWAE = "Burda et al. 2015, arXiv 1509.00519v2"

# Their claim about 50,000 samples, with the error that the real images give here
# (nearest_neighbor_real).
REAL_IMAGES = f"{RADFORD}, section 8.1: the test error of the same classifier fitted on the real training images"

# Muon: Jordan 2024, https://kellerjordan.github.io/posts/muon
MUON = {"weight_decay": None, "adam_weight_decay": None, "adam_lr_ratio": 0.5}
CONVOLUTIONAL = {
    "latent_dim": 40,
    "filters": [16, 32],
    "blocks": 2,
    "hidden": [128],
    "activation": "elu",
}


def convolutional(
    family: str, dataset: str, *, cycles: list, samples: int = 500, **settings
) -> Recipe:
    """A recipe of the convolutional network on binarized images, plain or label-conditional."""
    conditional = family == "CVAE"
    return Recipe(
        family=family,
        model=CONVOLUTIONAL | ({"num_classes": 10} if conditional else {}),
        dataset=dataset,
        batch_size=250,
        cycles=cycles,
        optimizer="Muon",
        optimizer_arguments=MUON,
        precision="mixed_bfloat16",
        metrics={"nll": {"samples": samples}, "nll_decoded": {}},
        paper=SOHN if conditional else KINGMA,
        **settings,
    )


# The network of the small DCGANs: 4, 7 and 14 cells before the image.
SMALL_DCGAN = {
    "latent_dim": 64,
    "filters": [128, 96, 64],
    "kernel_size": 4,
    "instance_noise": 0.15,
    "ema": 0.999,
}


def adversarial(
    family: str, dataset: str, *, model: dict, every: int | None = 4, **settings
) -> Recipe:
    """A recipe of the game on grey images, plain or label-conditional.

    It keeps what is best on validation images of what is measured every so many epochs, or with
    None what comes last.
    """
    metrics = {"parzen": {}, "coverage": {}, "largest_share": {}}
    if "num_classes" in model:
        metrics = {"nearest_neighbor": {"samples": 50_000}, "nearest_neighbor_real": {}}
    return Recipe(
        family=family,
        model=model,
        dataset=dataset,
        split="train[:50000]",
        validation="train[50000:]",
        best={"metric": next(iter(metrics)), "every": every} if every else None,
        binarize=None,
        metrics=metrics,
        paper=GOODFELLOW if family == "GAN" else RADFORD,
        **settings,
    )


def gan(dataset: str, **settings) -> Recipe:
    return adversarial(
        "GAN",
        dataset,
        # D sees every pixel, or strokes with holes would pass for real ones. The long average takes
        # the speckle out.
        model={
            "latent_dim": 100,
            "hidden": [800, 800],
            "dropout": [0.0, 0.3],
            "instance_noise": 0.1,
            "ema": 0.9999,
        },
        batch_size=100,
        optimizer_arguments={"beta_1": 0.5},
        precision="mixed_bfloat16",
        **settings,
    )


def dcgan(dataset: str, *, model: dict, cycles: list, **settings) -> Recipe:
    return adversarial(
        "DCGAN",
        dataset,
        model=model,
        batch_size=64,
        cycles=cycles,
        optimizer="Muon",
        optimizer_arguments=MUON | {"momentum": 0.5, "adam_beta_1": 0.5, "adam_lr_ratio": 0.05},
        precision="mixed_bfloat16",
        **settings,
    )


RECIPES = {
    "gan_mnist": gan(
        "mnist",
        cycles=[[12, 0.0006, {"instance_noise": 0.3}], [52, 0.0008, {}], [60, 0.0015, {}]],
        anchors={"parzen": {"value": 225, "source": f"{GOODFELLOW}, table 1, ± 2"}},
    ),
    "gan_fashion_mnist": gan(
        "fashion_mnist", cycles=[[4, 0.0006, {"instance_noise": 0.3}], [16, 0.0012, {}]]
    ),
    "dcgan_mnist": dcgan("mnist", model=SMALL_DCGAN, cycles=[[20, 0.02, {}]]),
    # The last, for Parzen windows like the blur of its first epochs better than the clean clothes
    # of the last.
    "dcgan_fashion_mnist": dcgan(
        "fashion_mnist", model=SMALL_DCGAN, cycles=[[8, 0.02, {}]], every=None
    ),
    "cdcgan_mnist": dcgan(
        "mnist",
        model=SMALL_DCGAN | {"num_classes": 10},
        cycles=[[16, 0.02, {}]],
        anchors={"nearest_neighbor": {"value": 3.27, "source": REAL_IMAGES}},
    ),
    "cdcgan_fashion_mnist": dcgan(
        "fashion_mnist",
        model=SMALL_DCGAN | {"num_classes": 10},
        cycles=[[6, 0.02, {}]],
        anchors={"nearest_neighbor": {"value": 15.56, "source": REAL_IMAGES}},
    ),
    "vae_dense_mnist": Recipe(
        family="VAE",
        model={"latent_dim": 50, "hidden": [200, 200], "activation": "tanh"},
        dataset="mnist",
        batch_size=1000,
        cycles=[[900, 0.015, {}], [200, 0.003, {}]],
        optimizer="Muon",
        optimizer_arguments=MUON,
        metrics={"nll": {"samples": 5000}, "nll_decoded": {}},
        anchors={
            "nll": {"value": 86.76, "source": f"{IWAE}, VAE with k=1, as quoted by nbip/IWAE"}
        },
        paper=KINGMA,
    ),
    "vae_mnist": convolutional(
        "VAE",
        "mnist",
        cycles=[[200, 0.006, {}], [10, 0.002, {"importance_samples": 5}]],
        anchors={
            "nll": {
                "value": 81.08,
                "source": "Kingma et al. 2016, arXiv 1606.04934, table 1, convolutional VAE with a diagonal posterior, ± 0.08",
            }
        },
    ),
    "cvae_mnist": convolutional(
        "CVAE",
        "mnist",
        cycles=[[45, 0.006, {}], [5, 0.002, {"importance_samples": 5}]],
        anchors={
            "nll": {
                "value": 82.32,
                "source": "one run of the repository nbip/IWAE, unreviewed; given the label, k=1",
            }
        },
    ),
    "vae_fashion_mnist": convolutional(
        "VAE", "fashion_mnist", cycles=[[8, 0.006, {}], [15, 0.004, {}]], samples=100
    ),
    "cvae_fashion_mnist": convolutional(
        "CVAE", "fashion_mnist", cycles=[[8, 0.006, {}]], samples=100
    ),
    "cvae_quadrant_mnist": Recipe(
        family="CVAE",
        # beta above 1 keeps the posterior near the prior, so that samples from the prior find what
        # fits the given quadrant.
        model=CONVOLUTIONAL
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
        metrics={
            "nll": {"samples": 300},
            "nll_decoded": {},
            "nll_monte_carlo": {"samples": 5000, "split": "test[:1000]"},
        },
        anchors={
            "nll_monte_carlo": {
                "value": 71.8,
                "source": "Pyro's tutorial on the CVAE of Sohn et al. 2015, one quadrant given, Monte Carlo, its own split",
            },
        },
        paper=SOHN,
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
    return Recipe(
        **{field.name: values[field.name] for field in fields(Recipe) if field.name in values}
    )

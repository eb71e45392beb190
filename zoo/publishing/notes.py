"""Facts for the pages of the named models: data sets, their licenses, and limitations."""

from typing import NamedTuple


class Data(NamedTuple):
    """Data set of the named models.

    Attributes:
        title: Its name and contents.
        license: Name of its license.
        hub: Its name on the Hugging Face Hub, or "".
        labels: Its labels and their names, or "".
    """

    title: str
    license: str
    hub: str
    labels: str


# The licenses are those that keras.datasets states.
DATA = {
    "mnist": Data(
        "MNIST, handwritten digits of 28x28 grey pixels (LeCun et al. 1998)",
        "CC BY-SA 3.0",
        "ylecun/mnist",
        "the digits 0 to 9",
    ),
    "fashion_mnist": Data(
        "Fashion-MNIST, clothes of 28x28 grey pixels (Xiao et al. 2017)",
        "MIT",
        "zalando-datasets/fashion_mnist",
        "0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, "
        "8 bag, 9 ankle boot",
    ),
    "avatars/lorelei": Data(
        "drawn faces of 64x64 pixels in colour, of the style Lorelei by Lisa Wischofsky, which "
        "dicebear makes from seeds",
        "CC0 1.0",
        "",
        "",
    ),
    "avatars/pixel_art": Data(
        "drawn faces of 32x32 pixels in colour, of the style Pixel Art by DiceBear, which dicebear "
        "makes from seeds",
        "CC0 1.0",
        "",
        "",
    ),
}

# Weaknesses that the sample sheet and the metrics show.
WEAKNESSES = {
    "gan_mnist": "Ones are drawn much too often and some classes too rarely, see largest_share and "
    "smallest_share. Some digits have gaps in their strokes.",
    "gan_fashion_mnist": "Some images are speckled, mostly sandals, dark clothes and dresses, and "
    "most kinds of clothes are drawn with too little variety, see recall.",
    "dcgan_mnist": "About one digit in twelve is malformed.",
    "dcgan_fashion_mnist": "Some bags, sandals and printed shirts are malformed.",
    "cdcgan_mnist": "A few digits are malformed. A classifier that is fitted on its samples makes "
    "more errors than one that is fitted on the real images, see nearest_neighbor.",
    "cdcgan_fashion_mnist": "Similar classes, such as shirts and coats, are mixed up, see "
    "nearest_neighbor.",
    "vae_dense_mnist": "Samples are blurred, and many are not digits, because z from the prior is "
    "often where no image is encoded.",
    "vae_mnist": "Strokes have soft edges, and some samples are malformed.",
    "glow_mnist": "About one sample in four is not a digit: strokes are sharp, but some of them "
    "are broken or in a wrong place. One of the first 3,000 samples, that of seed 2405, is noise.",
    "glow_fashion_mnist": "Many samples have holes, ragged edges or dark patches, and some are not "
    "clothes. The anomaly score of digits is lower than that of clothes, so that it does not "
    "detect them.",
    "cvae_mnist": "Strokes have soft edges, and a few samples are malformed.",
    "cvae_quadrant_mnist": "Completions are smooth, and several samples of one quadrant are often "
    "similar.",
    "vae_fashion_mnist": "Samples are smooth and have no texture. The anomaly score of digits is "
    "lower than that of clothes, so that it does not detect them.",
    "vae_logistic_fashion_mnist": "Samples are smooth and have little texture, and some sandals, "
    "bags and dark clothes are blurred. The anomaly score of digits is lower than that of clothes, "
    "so that it does not detect them.",
    "cvae_fashion_mnist": "Samples are smooth and have no texture, and some sandals are malformed.",
    "dcgan_avatars": "Hair often has two colours or a blurred edge, and eyes, glasses and mouths "
    "of some faces are malformed.",
    "cdcgan_avatars": "Hair often has a blurred edge, and eyes, glasses and mouths of some faces "
    "are malformed.",
    "vae_avatars": "Backgrounds and other flat areas are slightly uneven, and some faces mix two "
    "others: glasses are half transparent, or hair is drawn in part.",
    "cvae_avatars": "Backgrounds and other flat areas are slightly uneven, and a few faces mix two "
    "others: their hair or their clothes have several colours.",
    "baseline_vae_mnist": "Samples are blurred, and many are not digits: the latent space of the "
    "tutorial has only two dimensions. The time of its training includes pauses and other work on "
    "the machine; alone, an epoch takes about 42 seconds.",
    "baseline_dcgan_mnist": "Strokes are rough, and many samples are not digits. It was trained "
    "about as long as dcgan_mnist, for fewer epochs than in the tutorial.",
}

USES = {
    True: "The model is for teaching, for comparison with other methods, and for tests of software "
    "that draws or serves images. Its samples should not be passed off as real data.",
    False: "The classifier measures generative models. Values are comparable only if they were "
    "measured with the same classifier. It must not train or choose one on the test "
    "images.",
}


def limitations(card) -> str:
    """Returns sentences on the weaknesses and the intended use of a model."""
    weakness = WEAKNESSES.get(card.name)
    parts = [weakness] if weakness else []
    if card.dataset in DATA:
        parts.append(f"It knows only images like those of {card.dataset}.")
    return " ".join([*parts, USES["sample" in card.signatures]])

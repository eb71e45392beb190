"""Negative log-likelihood of the test set by importance sampling, as Burda et al. 2015 measure it (section 5)."""

import numpy as np

from zoo import datasets
from zoo.recipes import Recipe

# Images between two reports of progress.
ROWS = 50


def negative_log_likelihood(
    model, recipe: Recipe, *, samples: int, proposal: str = "posterior", split: str = "test", data_dir=None, progress=None
) -> dict:
    """Measures −log p(x), or −log p(x | condition), in nats an image: the mean over a split, with its standard error.

    A model that was trained with dynamic binarization is measured on one fixed Bernoulli draw of each image, of seed 0.

    Args:
        model: a variational model on the Keras runtime.
        recipe: how it was trained, which says how the images are made.
        samples: importance samples an image.
        proposal: where they come from, as in ``Variational.log_likelihood``.
        split: a split of the recipe's data set.
        data_dir: where tensorflow-datasets keeps its data.
        progress: called with the numbers of images done and of all images.

    Returns:
        {value, stderr, n, split, protocol}.
    """
    grey, labels = datasets.load(recipe.dataset, split, data_dir)
    images = datasets.binarize(grey) if recipe.binarize else grey
    condition = recipe.condition_of(images, labels)
    name = "labels" if recipe.condition == "label" else "condition"
    values = []
    for start in range(0, len(images), ROWS):
        rows = slice(start, start + ROWS)
        given = {} if condition is None else {name: condition[rows]}
        values.append(-model.log_likelihood(images[rows], samples=samples, seed=start, proposal=proposal, **given))
        if progress:
            progress(start + len(values[-1]), len(images))
    values = np.concatenate(values).astype(np.float64)
    drawn = "importance samples from the posterior" if proposal == "posterior" else "Monte Carlo samples from the prior"
    pixels = "each image binarized once with seed 0" if recipe.binarize else "grey pixels as Bernoulli means"
    given = {"label": ", given the label", "patch": ", of the pixels that are not given", None: ""}[recipe.condition]
    return {
        "value": float(values.mean()),
        "stderr": float(values.std(ddof=1) / np.sqrt(len(values))),
        "n": len(values),
        "split": split,
        "protocol": f"nats an image{given}; {samples} {drawn}; {pixels}",
    }

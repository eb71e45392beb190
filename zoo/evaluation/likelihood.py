"""Negative log-likelihood of the test set by importance sampling, as Burda et al. 2015 measure it (section 5)."""

import math

import numpy as np

from zoo import datasets
from zoo.inference.noise import normal
from zoo.recipes import Recipe

# Images between two reports of progress.
ROWS = 50
# Half a step of a probability in int8: what reads 0 may be as likely as this.
HALF_STEP = 1 / 512


def negative_log_likelihood(
    model,
    recipe: Recipe,
    *,
    samples: int,
    proposal: str = "posterior",
    split: str = "test",
    data_dir=None,
    progress=None,
) -> dict:
    """Measures −log p(x), or −log p(x | condition), in nats an image: the mean over a split, with its standard error.

    A model that was trained with dynamic binarization is measured on one fixed Bernoulli draw of
    each image, of seed 0.

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

    def log_likelihood(images, given, start):
        return model.log_likelihood(images, samples=samples, seed=start, proposal=proposal, **given)

    drawn = (
        "importance samples from the posterior"
        if proposal == "posterior"
        else "Monte Carlo samples from the prior"
    )
    return _measure(log_likelihood, recipe, split, f"{samples} {drawn}", data_dir, progress)


def decoded_likelihood(
    model,
    recipe: Recipe,
    *,
    samples: int = 100,
    split: str = "test[:1000]",
    data_dir=None,
    progress=None,
) -> dict:
    """The same from outside, on any runtime: p(x | z) is of Bernoulli pixels with the decoded image as their means.

    Of the model only ``encode`` and ``decode`` are used; the rest is NumPy, in float64. Means are
    kept ``HALF_STEP`` away from 0 and 1, which an int8 image contains.

    Args:
        model: a variational model of Bernoulli likelihood, on any runtime.
        samples: importance samples from the posterior an image.
        recipe, split, data_dir, progress: as in ``negative_log_likelihood``.

    Returns:
        {value, stderr, n, split, protocol}.

    Raises:
        ValueError: where the likelihood is another one.
    """
    if recipe.model.get("likelihood", "bernoulli") != "bernoulli":
        raise ValueError(
            "nll_decoded takes decoded images as means of Bernoulli pixels, but the likelihood is gaussian."
        )

    def log_likelihood(images, given, start):
        mean, log_var = (np.float64(part) for part in model.encode(images, **given))
        return [
            one(images[i], mean[i], log_var[i], row(given, i), start + i)
            for i in range(len(images))
        ]

    def row(given, i):
        return {name: np.repeat(rows[i : i + 1], samples, axis=0) for name, rows in given.items()}

    def one(image, mean, log_var, given, number):
        noise = normal(np.arange(samples) + number * samples, model.latent_dim)
        z = mean + np.exp(log_var / 2) * noise
        log_prior = model.log_prior(z, **given) if model.has("log_prior") else _normal_log_prob(z)
        p = np.clip(np.float64(model.decode(z, **given)), HALF_STEP, 1 - HALF_STEP)
        log_prob = np.where(open_, image * np.log(p) + (1 - image) * np.log(1 - p), 0).sum(
            axis=(1, 2, 3)
        )
        log_ratio = log_prior - _normal_log_prob(noise) + 0.5 * log_var.sum()
        return np.logaddexp.reduce(log_prob + log_ratio) - math.log(samples)

    open_ = np.ones(model.image_shape, bool)
    if model.condition_at:
        (top, left), (height, width, _) = model.condition_at, model.condition_shape
        open_[top : top + height, left : left + width] = False
    drawn = f"{samples} importance samples from the posterior; pixels as likely as decoded images, within [1/512, 511/512], say"
    return _measure(log_likelihood, recipe, split, drawn, data_dir, progress)


def _normal_log_prob(z):
    """log N(z; 0, I) in nats, ``(n,)``."""
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(axis=1)


def _measure(log_likelihood, recipe, split, drawn, data_dir, progress) -> dict:
    """The mean of −log_likelihood(images, {"labels" or "condition": …}, number of the first image) over a split."""
    grey, labels = datasets.load(recipe.dataset, split, data_dir)
    images = datasets.binarize(grey) if recipe.binarize else grey
    condition = recipe.condition_of(images, labels)
    name = "labels" if recipe.condition == "label" else "condition"
    values = []
    for start in range(0, len(images), ROWS):
        rows = slice(start, start + ROWS)
        given = {} if condition is None else {name: condition[rows]}
        values.append(-np.asarray(log_likelihood(images[rows], given, start)))
        if progress:
            progress(start + len(values[-1]), len(images))
    values = np.concatenate(values).astype(np.float64)
    pixels = (
        "each image binarized once with seed 0"
        if recipe.binarize
        else "grey pixels as Bernoulli means"
    )
    given = {"label": ", given the label", "patch": ", of the pixels that are not given", None: ""}[
        recipe.condition
    ]
    return {
        "value": float(values.mean()),
        "stderr": float(values.std(ddof=1) / np.sqrt(len(values))),
        "n": len(values),
        "split": split,
        "protocol": f"nats an image{given}; {drawn}; {pixels}",
    }

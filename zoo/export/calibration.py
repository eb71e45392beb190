"""Real inputs of a model's signatures, of which int8 files take the ranges of their activations."""

import numpy as np

from zoo import datasets, latents
from zoo.recipes import Recipe
from zoo.verbs import VariationalVerbs

SAMPLES = 300


def samples(model, recipe: Recipe, data_dir=None) -> dict:
    """Returns inputs of each signature of a TF Lite file, from which the ranges are taken.

    Args:
        model: on the Keras runtime. Of an adversarial one z is from the prior, with the labels in turn, and no data are
            needed. A variational one sees the first images that it was trained on, with their labels or conditions, and its z
            are samples from their posteriors.
        recipe: how it was trained, which names the data set.
        data_dir: where tensorflow-datasets keeps its data.

    Returns:
        {signature: {input: array}}, ``SAMPLES`` rows each, or what the data set has.

    Raises:
        FileNotFoundError: where the data set is needed and is neither on this machine nor to be downloaded.
    """
    noise = latents.normal(np.arange(SAMPLES), model.latent_dim)
    if not isinstance(model, VariationalVerbs):
        label = {"label": np.arange(SAMPLES, dtype=np.int32) % model.num_classes} if model.num_classes else {}
        return {"decode": {"z": noise} | label}
    images, labels = datasets.load(recipe.dataset, recipe.split, data_dir)
    images = datasets.binarize(images[:SAMPLES]) if recipe.binarize else images[:SAMPLES]
    condition = {spec.name: recipe.condition_of(images, labels)[:SAMPLES] for spec in model.condition_spec()}
    seen = {"images": images} | condition
    posterior = model.compute("encode", seen)
    z = posterior["mean"] + np.exp(posterior["log_var"] / 2) * noise[: len(images)]
    return {"decode": {"z": z} | condition} | dict.fromkeys(("encode", "reconstruct", "score"), seen)

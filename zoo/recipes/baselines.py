"""Recipes of the baselines, the plain models of the tutorials of Keras.

Networks, loss, optimizer and batch size are those of the tutorials. The number of epochs gives them
as long a training as the model of the zoo that they are compared with.
"""

from zoo.recipes.metrics import latent_metrics, sample_metrics
from zoo.recipes.recipe import Recipe

RECIPES = {
    "baseline_vae_mnist": Recipe(
        family="zoo>BaselineVAE",
        model={},
        dataset="mnist",
        batch_size=128,
        cycles=[[60, 0.001, {}]],
        binarize=None,
        metrics=sample_metrics("mnist") | latent_metrics(),
        paper="https://keras.io/examples/generative/vae",
    ),
    "baseline_dcgan_mnist": Recipe(
        family="zoo>BaselineDCGAN",
        model={},
        dataset="mnist",
        batch_size=64,
        cycles=[[4, 0.0003, {}]],
        binarize=None,
        metrics=sample_metrics("mnist"),
        paper="https://keras.io/examples/generative/conditional_gan",
    ),
}

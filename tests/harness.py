"""What every model must pass, whatever its family: small models of every kind, and the data that they take."""

import numpy as np

from zoo import latents
from zoo.models import CVAE, DCGAN, GAN, VAE

VARIATIONAL = {
    "vae_dense": lambda: VAE(latent_dim=4, hidden=(16,)),
    "vae_convolutional": lambda: VAE(latent_dim=4, hidden=(16,), filters=(4, 8), blocks=1, activation="elu"),
    "vae_gaussian": lambda: VAE(latent_dim=4, hidden=(16,), likelihood="gaussian", importance_samples=2),
    "cvae_label": lambda: CVAE(latent_dim=4, hidden=(16,), num_classes=10, filters=(4,), learned_prior=True),
    "cvae_patch": lambda: CVAE(latent_dim=4, hidden=(16,), condition_shape=(14, 14, 1), condition_at=(14, 0)),
}
ADVERSARIAL = {
    "gan": lambda: GAN(latent_dim=4, hidden=(16, 8), maxout=((8, 3),)),
    "gan_label": lambda: GAN(latent_dim=4, hidden=(16,), maxout=((8, 3), (4, 2)), num_classes=10, ema=0.9),
    "dcgan": lambda: DCGAN(latent_dim=4, filters=(8, 4), kernel_size=4, ema=0.9),
    "dcgan_label": lambda: DCGAN(latent_dim=4, filters=(8, 4), num_classes=10, discriminator_steps=2, label_smoothing=0.1),
}
MODELS = VARIATIONAL | ADVERSARIAL


def condition_column(model, images, labels):
    """What stands beside the images in a data set of the model: a tuple of one array, or an empty one."""
    if model.num_classes:
        return (labels,)
    return (images[:, 14:, :14],) if model.condition_shape else ()


def conditioning(model, images, labels) -> dict:
    """The same as arguments of a verb."""
    column = condition_column(model, images, labels)
    return {"labels" if model.num_classes else "condition": column[0]} if column else {}


def signature_inputs(model, images, labels) -> dict:
    """Inputs of each signature by name, from a batch of images: what a server would be sent."""
    column = condition_column(model, images, labels)
    condition = {"label" if model.num_classes else "condition": column[0]} if column else {}
    z = np.random.default_rng(0).standard_normal((len(images), model.latent_dim), dtype=np.float32)
    given = {"seed": np.arange(len(images)) + 2**40, "z": z, "images": images} | condition
    inputs = {name: {spec.name: given[spec.name] for spec in specs} for name, (_, specs) in model.signatures().items()}
    return inputs | {"serving_default": inputs["sample"]}


def answers(model, inputs) -> dict:
    """What each signature must answer: drawn images by the contract's definition in NumPy, the rest by Keras."""
    seeds = inputs["sample"]
    condition = {name: value for name, value in seeds.items() if name != "seed"}
    z = latents.normal(seeds["seed"], model.latent_dim)
    drawn = model.compute("decode", {"z": z} | condition)
    png = {"png_bytes": np.round(drawn["images"] * 255).astype(np.uint8)}
    drawing = {"sample": drawn, "serving_default": drawn, "sample_png": png}
    return drawing | {name: model.compute(name, given) for name, given in inputs.items() if name not in drawing}

"""Families of generative models: hyper-parameters in, an untrained ``keras.Model`` out."""

from zoo.models.adversarial import DCGAN, GAN
from zoo.models.variational import CVAE, VAE

__all__ = ["CVAE", "DCGAN", "GAN", "VAE"]

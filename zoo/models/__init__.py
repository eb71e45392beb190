"""The families, as plain constructors: hyper-parameters in, an untrained model out."""

from zoo.models.cvae import CVAE
from zoo.models.vae import VAE

__all__ = ["CVAE", "VAE"]

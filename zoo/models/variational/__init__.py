"""Variational models: VAE and CVAE."""

from zoo.models.variational.baseline import BaselineVAE
from zoo.models.variational.cvae import CVAE
from zoo.models.variational.vae import VAE

__all__ = ["CVAE", "VAE", "BaselineVAE"]

"""The families, as plain constructors: hyper-parameters in, an untrained model out."""

from zoo.models.cvae import CVAE
from zoo.models.dcgan import DCGAN
from zoo.models.gan import GAN
from zoo.models.schedules import Cycles  # noqa: F401  a checkpoint of a training names it
from zoo.models.vae import VAE

__all__ = ["CVAE", "DCGAN", "GAN", "VAE"]

"""Adversarial models: GAN and DCGAN."""

from zoo.models.adversarial.baseline import BaselineDCGAN
from zoo.models.adversarial.dcgan import DCGAN
from zoo.models.adversarial.gan import GAN

__all__ = ["DCGAN", "GAN", "BaselineDCGAN"]

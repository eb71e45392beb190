"""Model families. A constructor takes hyper-parameters and returns an untrained ``keras.Model``."""

from zoo.models.adversarial import DCGAN, GAN
from zoo.models.classifier import Classifier
from zoo.models.flow import Glow, RealNVP
from zoo.models.variational import CVAE, VAE

__all__ = ["CVAE", "DCGAN", "GAN", "VAE", "Classifier", "Glow", "RealNVP"]

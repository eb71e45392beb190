"""Flow models: RealNVP and Glow."""

from zoo.models.flow.glow import Glow
from zoo.models.flow.realnvp import RealNVP

__all__ = ["Glow", "RealNVP"]

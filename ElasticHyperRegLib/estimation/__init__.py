"""Which (λ, μ) suit this pair, how far the answer depends on them, and what the field strains."""

from .differentiable import DifferentiableField
from .estimate import estimate
from .evidence import Evidence
from .options import METHODS, OBJECTIVES, EstimateOptions
from .plots import plot_surfaces
from .readouts import (
    Readouts,
    equilibrium_residual,
    readouts,
    strain,
    stress,
    von_mises_strain,
    von_mises_stress,
)
from .result import Estimate
from .sensitivity import Sensitivity, sensitivity
from .settings import Setting
from .surface import Surface

__all__ = [
    "METHODS",
    "OBJECTIVES",
    "DifferentiableField",
    "Estimate",
    "EstimateOptions",
    "Evidence",
    "Readouts",
    "Sensitivity",
    "Setting",
    "Surface",
    "equilibrium_residual",
    "estimate",
    "plot_surfaces",
    "readouts",
    "sensitivity",
    "strain",
    "stress",
    "von_mises_strain",
    "von_mises_stress",
]

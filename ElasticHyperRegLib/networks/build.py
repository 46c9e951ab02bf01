"""A network from its specification."""

from __future__ import annotations

from .hypermorph import HyperMorph
from .lapirn import LapIRN
from .network import RegistrationNetwork
from .specs import HyperMorphOptions, ModelSpec


def build(spec: ModelSpec) -> RegistrationNetwork:
    """A new network with weights drawn at random."""
    if isinstance(spec.options, HyperMorphOptions):
        return HyperMorph(spec, spec.options)
    return LapIRN(spec, spec.options)

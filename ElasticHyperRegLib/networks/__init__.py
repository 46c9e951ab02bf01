"""The registration networks: two backbones, three kinds of conditioning, eight models."""

from .build import build
from .cells import channels_last
from .conditioning import encode_angles, paint, painted
from .hypermorph import HyperMorph
from .lapirn import LapIRN
from .network import (
    Flow,
    Generated,
    PairFeatures,
    RegistrationNetwork,
    portion,
    shown_channels,
)
from .records import read_record, spec_from_table, spec_to_table
from .specs import LITERATURE, SPECS, HyperMorphOptions, LapIRNOptions, ModelSpec

__all__ = [
    "LITERATURE",
    "SPECS",
    "Flow",
    "Generated",
    "HyperMorph",
    "HyperMorphOptions",
    "LapIRN",
    "LapIRNOptions",
    "ModelSpec",
    "PairFeatures",
    "RegistrationNetwork",
    "build",
    "channels_last",
    "encode_angles",
    "paint",
    "painted",
    "portion",
    "read_record",
    "shown_channels",
    "spec_from_table",
    "spec_to_table",
]

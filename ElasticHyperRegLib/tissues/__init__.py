"""Tissues: schemes that name them, presets of λ and μ, a slider scale, a segmenter for CT."""

from .classes import class_names
from .load import load_scheme, scheme_names
from .presets import Preset, normalised, presets, relative_moduli
from .scheme import Tissue, TissueScheme
from .slider import slider_to_value, value_to_slider
from .threshold import CANNOT_SEE, LABELS, segment_ct

__all__ = [
    "CANNOT_SEE",
    "LABELS",
    "Preset",
    "Tissue",
    "TissueScheme",
    "class_names",
    "load_scheme",
    "normalised",
    "presets",
    "relative_moduli",
    "scheme_names",
    "segment_ct",
    "slider_to_value",
    "value_to_slider",
]

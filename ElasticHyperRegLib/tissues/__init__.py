"""Tissues: schemes that name them, presets of λ and μ, a slider scale, a segmenter for CT."""

from ..resources import scheme_names
from .body import CT, MR, body_mask
from .classes import class_names
from .load import load_scheme
from .presets import Preset, normalised, presets, relative_moduli
from .scheme import Tissue, TissueScheme
from .slider import slider_to_value, value_to_slider
from .threshold import CANNOT_SEE, LABELS, check_hounsfield, segment_ct
from .tidy import fill_body, fill_pockets, find_flaws, labels_on, on_voxels_of

__all__ = [
    "CANNOT_SEE",
    "CT",
    "LABELS",
    "MR",
    "Preset",
    "Tissue",
    "TissueScheme",
    "body_mask",
    "check_hounsfield",
    "class_names",
    "fill_body",
    "fill_pockets",
    "find_flaws",
    "labels_on",
    "load_scheme",
    "normalised",
    "on_voxels_of",
    "presets",
    "relative_moduli",
    "scheme_names",
    "segment_ct",
    "slider_to_value",
    "value_to_slider",
]

"""Medical scenes (MRML): nodes and what the library makes of them, one live pair, its state.

The scene is always an argument. A name is loaded when it is first used: ``PairState`` and the
events need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Closed": "events",
    "ControllerOptions": "options",
    "Estimated": "events",
    "Exported": "events",
    "Failed": "events",
    "GlyphStyle": "glyph_style",
    "DisplayState": "pair_state",
    "Kept": "compare",
    "LiveController": "controller",
    "Measured": "events",
    "OutputNodes": "outputs",
    "PairState": "pair_state",
    "Progressed": "events",
    "Quality": "quality",
    "Ready": "events",
    "RegistrationDisplay": "display",
    "Sensed": "events",
    "Status": "events",
    "Surfaced": "events",
    "TissueRow": "settings",
    "TissueSettings": "settings",
    "Updated": "events",
    "Written": "events",
    "image_from_node": "volumes",
    "jacobian_colors": "colors",
    "jacobian_legend": "colors",
    "labels_from_node": "labels",
    "new_pair_node": "pair_state",
    "node_from_image": "volumes",
    "node_from_labels": "labels",
    "pair_nodes": "pair_state",
    "points_from_node": "points",
    "transform_node_from_displacement": "transforms",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""Medical scenes (MRML): nodes and what the library makes of them, one live pair, its state.

The scene is always an argument. A name is loaded when it is first used: ``PairState`` and the
events need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what ``__getattr__`` gives, so that its types are known
    from .colors import jacobian_colors as jacobian_colors
    from .colors import jacobian_legend as jacobian_legend
    from .colors import score_rgb as score_rgb
    from .colors import spread_legend as spread_legend
    from .compare import Kept as Kept
    from .compare import free_name as free_name
    from .controller import LiveController as LiveController
    from .display import RegistrationDisplay as RegistrationDisplay
    from .events import Closed as Closed
    from .events import Estimated as Estimated
    from .events import Exported as Exported
    from .events import Failed as Failed
    from .events import Measured as Measured
    from .events import Progressed as Progressed
    from .events import Ready as Ready
    from .events import Sensed as Sensed
    from .events import Status as Status
    from .events import Surfaced as Surfaced
    from .events import Unsensed as Unsensed
    from .events import Updated as Updated
    from .events import Written as Written
    from .figures import percent as percent
    from .glyph_style import GlyphStyle as GlyphStyle
    from .labels import labels_from_node as labels_from_node
    from .labels import node_from_labels as node_from_labels
    from .options import ControllerOptions as ControllerOptions
    from .outputs import OutputNodes as OutputNodes
    from .pair_state import DisplayState as DisplayState
    from .pair_state import PairState as PairState
    from .pair_state import new_pair_node as new_pair_node
    from .pair_state import pair_nodes as pair_nodes
    from .points import points_from_node as points_from_node
    from .quality import Quality as Quality
    from .score_map import heat_map as heat_map
    from .settings import TissueRow as TissueRow
    from .settings import TissueSettings as TissueSettings
    from .transforms import transform_node_from_displacement as transform_node_from_displacement
    from .volumes import image_from_node as image_from_node
    from .volumes import node_from_image as node_from_image

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
    "Unsensed": "events",
    "Updated": "events",
    "Written": "events",
    "free_name": "compare",
    "heat_map": "score_map",
    "image_from_node": "volumes",
    "jacobian_colors": "colors",
    "jacobian_legend": "colors",
    "labels_from_node": "labels",
    "new_pair_node": "pair_state",
    "node_from_image": "volumes",
    "node_from_labels": "labels",
    "pair_nodes": "pair_state",
    "percent": "figures",
    "points_from_node": "points",
    "score_rgb": "colors",
    "spread_legend": "colors",
    "transform_node_from_displacement": "transforms",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # any name would be allowed

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""Everything the page shows, by name, and what it is before a pair is open."""

from __future__ import annotations

from typing import Any

TABS = ("display", "estimate", "compare", "quality")

OF_A_PAIR: dict[str, Any] = {
    # what goes on
    "pair_ready": False,
    "busy": [],
    "progress": 0,
    "answer": {},
    "model_line": "",
    "notes": [],
    "can_undo": False,
    "can_redo": False,
    "download": None,
    # what is known
    "grey_windows": [],
    "sensitivity": False,
    "sensitivity_known": False,
    "sensitivity_rows": [],
    "sensitivity_note": "",
    "sensitivity_legend": {},
    "estimate": {},
    "surface_tissue": "",
    "surface": {},
    "kept": [],
    "shown_kept": "",
    "quality": {},
}
"""What belongs to the open pair; so it is while there is none, or the next is being prepared."""

DEFAULTS: dict[str, Any] = {
    **OF_A_PAIR,
    "trame__title": "ElasticHyperReg",
    "trame__favicon": None,
    "theme": "dark",
    "tab": "display",
    "help_open": False,
    # the pair
    "open_dialog": True,
    "given": {},
    "uploading": [],
    "problems": {},
    "data_names": [],
    "initial_alignment": "affine",
    "scheme": None,
    "schemes": [],
    "model": "auto",
    "similarity": "auto",
    "models": ["auto", "none"],
    "presets": [],
    "pair_title": "",
    # what goes on
    "status": "Open a pair of scans to begin.",
    "message": "",
    "message_open": False,
    "message_bad": False,
    "live": True,
    # the display
    "legend": [],
    "mode": "blend",
    "blend": 50,
    "grey_window": [0, 1],
    "grey_range": [0, 1],
    "grey_step": 1,
    "jacobian": False,
    "jacobian_opacity": 80,
    "glyphs": "off",
    "glyph_spacing_mm": 15,
    "glyph_scale": 1,
    "spread": "displacement",
    # estimation
    "objectives": [],
    "methods": [],
    "objective": "dice",
    "method": "coarse-to-fine",
}

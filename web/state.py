"""Everything the page shows, by name, and what it is before a pair is open."""

from __future__ import annotations

from typing import Any

TABS = ("display", "estimate", "compare", "quality")

DEFAULTS: dict[str, Any] = {
    "trame__title": "ElasticHyperReg",
    "trame__favicon": None,
    "theme": "dark",
    "tab": "display",
    "help_open": False,
    # the pair
    "open_dialog": True,
    "given": {},
    "uploading": "",
    "problems": {},
    "data_names": [],
    "initial_alignment": "affine",
    "scheme": None,
    "schemes": [],
    "model": "auto",
    "models": ["auto", "none"],
    "presets": [],
    "pair_title": "",
    # what goes on
    "pair_ready": False,
    "busy": [],
    "progress": 0,
    "status": "Open a pair of scans to begin.",
    "message": "",
    "message_open": False,
    "message_bad": False,
    "answer": {},
    "model_line": "",
    "notes": [],
    "can_undo": False,
    "can_redo": False,
    "live": True,
    "download": None,
    # the display
    "legend": [],
    "mode": "blend",
    "blend": 50,
    "grey_window": [0, 1],
    "grey_range": [0, 1],
    "grey_step": 1,
    "grey_windows": [],
    "jacobian": False,
    "jacobian_opacity": 80,
    "glyphs": "off",
    "glyph_spacing_mm": 15,
    "glyph_scale": 1,
    "sensitivity": False,
    "sensitivity_known": False,
    "sensitivity_rows": [],
    "sensitivity_note": "",
    # estimation
    "objectives": [],
    "methods": [],
    "objective": "dice",
    "method": "coarse-to-fine",
    "estimate": {},
    "surface_tissue": "",
    "surface": {},
    # comparison and quality
    "kept": [],
    "shown_kept": "",
    "quality": {},
}

"""Colour tables of the overlays; 3D Slicer has no diverging one."""

from __future__ import annotations

import numpy as np

from .nodes import Node, Scene, add_node
from .settings import Color

ENTRIES = 256
JACOBIAN_RANGE = (0.0, 2.0)
"""Shown from a fold to doubled; volume halved and doubled are equally strong."""
FOLD_COLOR = (255, 0, 255)

_DIVERGING = np.array(
    [(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], dtype=float
)
_SEQUENTIAL = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


def jacobian_colors(values: np.ndarray) -> np.ndarray:
    """Jacobians (P,) → red, green, blue (P, 3), each 0 to 1.

    Blue shrinks, white keeps its volume, red grows, evenly in log J from ½ to 2; magenta folds.
    """
    values = np.asarray(values, dtype=float)
    log = np.clip(np.log2(np.maximum(values, 0.25)), -1, 1)
    rgb = _ramp(_DIVERGING, (log + 1) / 2)
    rgb[values <= 0] = np.array(FOLD_COLOR) / 255
    return rgb


def jacobian_legend() -> list[tuple[float, Color, str]]:
    """(J, colour, what it means) from a fold to doubled, for a legend of one's own."""
    steps = [(0.0, "fold"), (0.5, "halved"), (0.71, ""), (1.0, "same volume"), (1.41, "")]
    steps.append((2.0, "doubled"))
    colors = jacobian_colors(np.array([value for value, _ in steps]))
    return [
        (value, (round(255 * r), round(255 * g), round(255 * b)), text)
        for (value, text), (r, g, b) in zip(steps, colors, strict=True)
    ]


def jacobian_color_node(scene: Scene) -> Node:
    """Colour table for Jacobians over ``JACOBIAN_RANGE``; its first entry is for folds."""
    return _table(scene, "Volume change", jacobian_colors(np.linspace(*JACOBIAN_RANGE, ENTRIES)))


def sensitivity_color_node(scene: Scene) -> Node:
    """Colour table from dark (no effect of the settings) to bright (a large one)."""
    return _table(scene, "Sensitivity", _ramp(_SEQUENTIAL, np.linspace(0, 1, ENTRIES)))


def inverted_grey_node(scene: Scene) -> Node:
    """Grey table from white to black: half of it over half of a grey image is their difference."""
    grey = np.linspace(1, 0, ENTRIES)[:, None]
    return _table(scene, "Inverted grey", np.hstack([grey, grey, grey]))


def _ramp(anchors: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Linear between ``anchors`` (Q, 3) of 0 to 255, at ``part`` (P,) of 0 to 1: (P, 3)."""
    at = np.linspace(0, 1, len(anchors))
    return np.column_stack([np.interp(part, at, channel) for channel in anchors.T]) / 255


def _table(scene: Scene, name: str, rgb: np.ndarray) -> Node:
    node = add_node(scene, "ColorTable", name, "colors")
    node.SetTypeToUser()
    node.SetNumberOfColors(len(rgb))
    node.SetHideFromEditors(True)
    for index, color in enumerate(rgb):
        node.SetColor(index, str(index), *(float(part) for part in color), 1.0)
    return node

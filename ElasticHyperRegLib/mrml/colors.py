"""Colours of the overlays: how strong the colour is says how much, so that little hides little."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .nodes import Node, Scene, add_node
from .settings import Color

ENTRIES = 255
"""Odd: what keeps its volume has an entry of its own."""
JACOBIAN_RANGE = (0.0, 2.0)
"""Shown from a fold to doubled; volume halved and doubled are equally strong."""
FOLD_COLOR = (255, 0, 255)
PAPER = 247 / 255
"""Grey of what has no colour, where colours are shown by themselves."""

_SHRINKS = np.array([(70, 140, 255), (0, 80, 235)], dtype=float)
_GROWS = np.array([(255, 80, 70), (225, 0, 20)], dtype=float)
_SCORES = np.array(
    [(68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (122, 209, 81), (253, 231, 37)],
    dtype=float,
)
"""Viridis, from the lowest to the highest."""
_SPREADS = np.array([(120, 28, 109), (237, 105, 37), (252, 255, 164)], dtype=float)
SPREAD_TICKS = 5
_RISE = 0.8
"""Below 1: a change of a tenth is seen already."""


def jacobian_rgba(values: np.ndarray) -> np.ndarray:
    """Jacobians (P,) → red, green, blue, opacity (P, 4), each 0 to 1.

    Blue shrinks, red grows, evenly in log J from ½ to 2; what keeps its volume is clear. Magenta
    folds.
    """
    values = np.asarray(values, dtype=float)
    log = np.clip(np.log2(np.maximum(values, 0.25)), -1, 1)
    part = np.abs(log)
    rgb = np.where(log[:, None] < 0, _ramp(_SHRINKS, part), _ramp(_GROWS, part))
    rgba = np.column_stack([rgb, part**_RISE])
    rgba[values <= 0] = *(np.array(FOLD_COLOR) / 255), 1.0
    return rgba


def jacobian_colors(values: np.ndarray) -> np.ndarray:
    """Jacobians (P,) → red, green, blue (P, 3), each 0 to 1, as they look on white paper."""
    return on_paper(jacobian_rgba(values))


def spread_rgba(part: np.ndarray) -> np.ndarray:
    """0 (no effect of the settings, clear) to 1 (the largest), (P,) → RGBA (P, 4)."""
    part = np.asarray(part, dtype=float)
    return np.column_stack([_ramp(_SPREADS, part), part**_RISE])


def score_rgb(part: np.ndarray) -> np.ndarray:
    """0 (the lowest score) to 1 (the highest), (P,) → red, green, blue (P, 3), each 0 to 1."""
    return _ramp(_SCORES, np.asarray(part, dtype=float))


def on_paper(rgba: np.ndarray) -> np.ndarray:
    """RGBA (P, 4) over white paper, (P, 3)."""
    return rgba[:, :3] * rgba[:, 3:] + PAPER * (1 - rgba[:, 3:])


def jacobian_legend() -> list[tuple[float, Color, str]]:
    """(J, colour, what it means) from a fold to doubled, for a legend of one's own."""
    steps = [(0.0, "fold"), (0.5, "halved"), (0.71, ""), (1.0, "same volume"), (1.41, "")]
    steps.append((2.0, "doubled"))
    colors = jacobian_colors(np.array([value for value, _ in steps]))
    return [
        (value, eight_bits(rgb), text) for (value, text), rgb in zip(steps, colors, strict=True)
    ]


def spread_legend(most: float, unit: str = "") -> list[tuple[float, Color, str]]:
    """(spread, colour, spread in words) from none to ``most`` or more, as ``jacobian_legend``."""
    parts = np.linspace(0, 1, SPREAD_TICKS)
    colors = on_paper(spread_rgba(parts))
    texts = [f"{part * most:.2g} {unit}".rstrip() for part in parts.tolist()]
    texts[-1] = f"≥ {texts[-1]}"
    return [
        (part * most, eight_bits(rgb), text)
        for part, rgb, text in zip(parts.tolist(), colors, texts, strict=True)
    ]


def eight_bits(color: Iterable[float]) -> Color:
    """Red, green, blue of 0 to 1, and what may follow them → 0 to 255."""
    red, green, blue = [round(255 * float(part)) for part in color][:3]
    return red, green, blue


def jacobian_color_node(scene: Scene) -> Node:
    """Colour table for Jacobians over ``JACOBIAN_RANGE``; its first entry is for folds."""
    colors = jacobian_colors(np.linspace(*JACOBIAN_RANGE, ENTRIES))
    return _table(scene, "Volume change", colors)


def spread_color_node(scene: Scene) -> Node:
    """Colour table from white (no effect of the settings) to bright (a large one)."""
    return _table(scene, "Spread", on_paper(spread_rgba(np.linspace(0, 1, ENTRIES))))


def inverted_grey_node(scene: Scene) -> Node:
    """Grey table from white to black: half of it over half of a grey image is their difference."""
    grey = np.linspace(1, 0, ENTRIES)[:, None]
    return _table(scene, "Inverted grey", np.hstack([grey, grey, grey]))


def name_colors(node: Node, rgb: np.ndarray, names: list[str]) -> None:
    """Fill a colour table with (P, 3) and the names that a legend shows."""
    was = node.StartModify()
    node.SetTypeToUser()
    node.SetNumberOfColors(len(rgb))
    for index, (color, name) in enumerate(zip(rgb, names, strict=True)):
        node.SetColor(index, name, *(float(part) for part in color), 1.0)
    node.EndModify(was)


def _ramp(anchors: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Linear between ``anchors`` (Q, 3) of 0 to 255, at ``part`` (P,) of 0 to 1: (P, 3)."""
    at = np.linspace(0, 1, len(anchors))
    return np.column_stack([np.interp(part, at, channel) for channel in anchors.T]) / 255


def _table(scene: Scene, name: str, rgb: np.ndarray) -> Node:
    node = add_node(scene, "ColorTable", name, "colors")
    node.SetHideFromEditors(True)
    name_colors(node, rgb, [str(index) for index in range(len(rgb))])
    return node

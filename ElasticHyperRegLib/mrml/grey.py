"""Brightness and contrast of volumes: which values are shown from black to white."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..engine.intensity import CT_BELOW_HU
from .nodes import Node

Window = tuple[float, float]
"""The value shown black, and the one shown white."""
CT_WINDOWS: dict[str, Window] = {
    "lung": (-1350.0, 150.0),
    "soft tissue": (-160.0, 240.0),
    "bone": (-450.0, 1050.0),
}
"""Usual windows of CT in HU (centre and width: −600, 1500; 40, 400; 300, 1500)."""


def grey_window(node: Node) -> Window:
    """Of a volume node as it is shown."""
    display = node.GetDisplayNode()
    if display is None:
        return value_range((node,))
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    return (low, high) if high > low and math.isfinite(high - low) else (low, low + 1)


def set_grey_window(node: Node, window: Window | None) -> None:
    """Show these values from black to white; ``None``: as Slicer finds fit."""
    display = node.GetDisplayNode()
    if display is None:
        return
    display.SetAutoWindowLevel(window is None)
    if window is not None:
        display.SetWindowLevelMinMax(*window)


def value_range(nodes: Iterable[Node]) -> Window:
    """Lowest and highest value of volume nodes."""
    lows, highs = zip(*(node.GetImageData().GetScalarRange() for node in nodes), strict=True)
    return min(lows), max(highs)


def usual_windows(values: Window) -> dict[str, Window]:
    """Windows that suit a range of values: those of CT where there is air, in HU, else none."""
    return dict(CT_WINDOWS) if values[0] <= CT_BELOW_HU and values[1] > 0 else {}

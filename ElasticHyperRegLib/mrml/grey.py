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


ENOUGH = 0.25
"""Part of a window that another volume's values must fill for it to suit them."""


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


class SharedWindow:
    """Two volumes that are to be compared, of which the mouse brightens one alone.

    Args:
        nodes: the volumes.
    """

    def __init__(self, nodes: tuple[Node, Node]) -> None:
        self._nodes = nodes
        self.note()

    def note(self) -> None:
        """What is shown now is as it should be."""
        self._last = [grey_window(node) for node in self._nodes]

    def match(self) -> None:
        """Where one window was changed, the other volume takes it too, if it has such values."""
        now = [grey_window(node) for node in self._nodes]
        changed = [number for number in (0, 1) if now[number] != self._last[number]]
        if len(changed) == 1:
            window, other = now[changed[0]], self._nodes[1 - changed[0]]
            low, high = value_range((other,))
            shared = min(window[1], high) - max(window[0], low)
            if shared > (window[1] - window[0]) * ENOUGH:
                set_grey_window(other, window)
        self.note()


def value_range(nodes: Iterable[Node]) -> Window:
    """Lowest and highest value of volume nodes."""
    lows, highs = zip(*(node.GetImageData().GetScalarRange() for node in nodes), strict=True)
    return min(lows), max(highs)


def usual_windows(values: Window) -> dict[str, Window]:
    """Windows that suit a range of values: those of CT where there is air, in HU, else none."""
    return dict(CT_WINDOWS) if values[0] <= CT_BELOW_HU and values[1] > 0 else {}

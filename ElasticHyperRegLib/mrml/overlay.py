"""A scalar field over the slice views: volume change, spreads of a sensitivity map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import slicer
import torch

from ..types import Grid
from .arrays import image_array, new_image, touched
from .colors import (
    ENTRIES,
    JACOBIAN_RANGE,
    jacobian_color_node,
    jacobian_legend,
    jacobian_rgba,
    name_colors,
    on_paper,
    spread_color_node,
    spread_legend,
    spread_rgba,
)
from .geometry import set_volume_grid
from .nodes import Node, Scene, add_node
from .spreads import SPREADS

LEGEND = "vtkMRMLColorLegendDisplayNode"
LEGEND_LETTER, LEGEND_HEIGHT = 0.012, 0.35
"""Parts of the view. Slicer makes the letters as large as the longest label fits in."""
LEGEND_PLACE = 0.98, 0.5
LEGEND_GROUND = 0.6
PAINTED = "painted"
BYTE = 255


@dataclass(frozen=True)
class OverlayStyle:
    """What an overlay shows.

    Args:
        role: of its nodes.
        name: of the volume.
        legend: title of the legend.
        value_range: values of the first and the last colour, before ``set_range``.
        make_colors: the colour table of the volume, for other views of it.
        rgba: 0 to 1 within the range (P,) → colour and opacity (P, 4), each 0 to 1.
        ticks: the range → part of it and text for each colour of the legend, from below.
    """

    role: str
    name: str
    legend: str
    value_range: tuple[float, float]
    make_colors: Callable[[Scene], Node]
    rgba: Callable[[np.ndarray], np.ndarray]
    ticks: Callable[[float, float], list[tuple[float, str]]]


def _jacobian_part(part: np.ndarray) -> np.ndarray:
    low, high = JACOBIAN_RANGE
    return jacobian_rgba(low + part * (high - low))


def _jacobian_ticks(low: float, high: float) -> list[tuple[float, str]]:
    return [
        ((value - low) / (high - low), text or f"{value:g}") for value, _, text in jacobian_legend()
    ]


def _spread_ticks(unit: str, low: float, high: float) -> list[tuple[float, str]]:
    steps = spread_legend(high, unit)
    return [((value - low) / (high - low), text) for value, _, text in steps]


def _spread_style(spread: str, role: str, name: str, legend: str) -> OverlayStyle:
    ticks = partial(_spread_ticks, SPREADS[spread].unit)
    return OverlayStyle(role, name, legend, (0.0, 1.0), spread_color_node, spread_rgba, ticks)


JACOBIAN = OverlayStyle(
    "jacobian",
    "Jacobian",
    "Volume",
    JACOBIAN_RANGE,
    jacobian_color_node,
    _jacobian_part,
    _jacobian_ticks,
)
SPREAD_STYLES = {
    "displacement": _spread_style(
        "displacement", "sensitivity", "Spread of the displacement", "Spread"
    ),
    "volume": _spread_style(
        "volume", "sensitivity.volume", "Spread of the volume change", "Volume spread"
    ),
}
"""By the names of ``SPREADS``."""


class Overlay:
    """One volume node with a colour table of its own, and how it is painted over the slices.

    3D Slicer shows a scalar volume either whole or not at all; only a volume of colours can be
    clearer where less is to be seen. Both are written in place, the colours only while visible.

    Args:
        scene: vtkMRMLScene.
        anchor: the transform node; it remembers the overlay's nodes, so that a saved scene gets
            no second ones.
        grid: of the values to come.
        style: what it shows.
        share: tells, once it is painted, how opaque each voxel may be, 0 to 1: (1, 1, *grid.shape).

    Attributes:
        node: scalar volume with the values.
        painted: volume with the colours, for the slice views.
    """

    def __init__(
        self,
        scene: Scene,
        anchor: Node,
        grid: Grid,
        style: OverlayStyle,
        share: Callable[[], torch.Tensor],
    ) -> None:
        self.scene = scene
        self.style = style
        self.node = _volume(scene, anchor, "ScalarVolume", style.name, style.role)
        role, name = f"{style.role}.{PAINTED}", f"{style.name} colours"
        self.painted = _volume(scene, anchor, "VectorVolume", name, role)
        self.painted.SetHideFromEditors(True)
        self._image = new_image(grid.shape, np.dtype(np.float32))
        self._colors = new_image(grid.shape, np.dtype(np.uint8), components=4)
        for node, image in ((self.node, self._image), (self.painted, self._colors)):
            set_volume_grid(node, grid)
            node.SetAndObserveImageData(image)
        self._low, self._high = style.value_range
        self._visible = False
        self._share_of = share
        self._table = _packed(style.rgba(np.linspace(0, 1, ENTRIES)))
        self._dress()
        self._dress_painted()

    @property
    def nodes(self) -> tuple[Node, Node]:
        """What it needs in the scene."""
        return self.node, self.painted

    @cached_property
    def _share(self) -> np.ndarray:
        """Of ``BYTE``, (K, J, I)."""
        return np.rint(BYTE * self._share_of()[0, 0].cpu().numpy()).astype(np.uint16)

    def write(self, values: torch.Tensor) -> None:
        """Show (1, 1, *grid.shape); nothing is allocated in the scene."""
        torch.from_numpy(image_array(self._image)).copy_(values.detach()[0, 0])
        touched(self._image)
        self._paint()

    def set_range(self, low: float, high: float) -> None:
        """Values of the first and the last colour."""
        self._low, self._high = low, high
        self.node.GetDisplayNode().SetWindowLevelMinMax(low, high)
        self._name_ticks()
        self._paint()

    def show(self, visible: bool) -> None:
        """Paint from now on, or no more; the legend comes and goes with it."""
        self._visible = visible
        self._paint()
        self._show_legend(visible)

    def _paint(self) -> None:
        if not self._visible:
            return
        scale = (ENTRIES - 1) / (self._high - self._low)
        # Upwards: the first entry, of folds, is for nothing above the low end.
        entry = np.ceil((image_array(self._image) - self._low) * scale)
        np.clip(entry, 0, ENTRIES - 1, out=entry)
        pixels = image_array(self._colors).view(np.uint32)[..., 0]
        np.take(self._table, entry.astype(np.uint8), out=pixels, mode="clip")
        opacity = image_array(self._colors)[..., 3]
        np.floor_divide(opacity * self._share, BYTE, out=opacity, casting="unsafe")
        touched(self._colors)

    def _show_legend(self, visible: bool) -> None:
        if not self.scene.IsNodeClassRegistered(LEGEND):
            self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
        logic = slicer.vtkSlicerColorLogic
        legend = logic.GetColorLegendDisplayNode(self.painted)
        if legend is None and visible:
            legend = logic.AddDefaultColorLegendDisplayNode(self.painted)
            legend.SetSaveWithScene(False)
            legend.SetTitleText(self.style.legend)
            legend.SetUseColorNamesForLabels(True)
            legend.SetLabelFormat("%s")
            legend.SetPosition(*LEGEND_PLACE)
            for letters in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
                letters.SetFontFamilyToArial()
                letters.SetBackgroundColor(0, 0, 0)  # readable over bone too
                letters.SetBackgroundOpacity(LEGEND_GROUND)
        if legend is not None:
            legend.SetSize(LEGEND_LETTER * max(map(len, self._tick_names())), LEGEND_HEIGHT)
            legend.SetVisibility(visible)

    def _dress(self) -> None:
        if self.node.GetDisplayNode() is not None:
            return
        self.node.CreateDefaultDisplayNodes()
        display = self.node.GetDisplayNode()
        display.SetAndObserveColorNodeID(self.style.make_colors(self.scene).GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*self.style.value_range)

    def _dress_painted(self) -> None:
        if self.painted.GetDisplayNode() is not None:
            return
        self.painted.CreateDefaultDisplayNodes()
        display = self.painted.GetDisplayNode()
        display.SetVisibility2D(True)  # without it the views show no legend
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0, BYTE)
        table = add_node(self.scene, "ColorTable", f"{self.style.name} legend", "colors")
        display.SetAndObserveColorNodeID(table.GetID())
        for node in (self.painted, display, table):
            node.SetSaveWithScene(False)  # made anew from the values
        table.SetHideFromEditors(True)
        self._name_ticks()

    def _tick_names(self) -> list[str]:
        return [text for _, text in self.style.ticks(self._low, self._high)]

    def _name_ticks(self) -> None:
        parts = np.array([part for part, _ in self.style.ticks(self._low, self._high)])
        table = self.painted.GetDisplayNode().GetColorNode()
        name_colors(table, on_paper(self.style.rgba(parts)), self._tick_names())


def _volume(scene: Scene, anchor: Node, kind: str, name: str, role: str) -> Node:
    """The volume that ``anchor`` remembers by ``role``, made where there is none."""
    node = anchor.GetNodeReference(role)
    if node is None:
        node = add_node(scene, kind, name, role)
        anchor.SetNodeReferenceID(role, node.GetID())
    return node


def _packed(rgba: np.ndarray) -> np.ndarray:
    """(P, 4) of 0 to 1 → one 32-bit number for the four bytes of each."""
    return np.rint(BYTE * rgba).astype(np.uint8).view(np.uint32)[:, 0]

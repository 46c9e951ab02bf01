"""A scalar field over the slice views: volume change, sensitivity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import torch

from ..types import Grid
from .arrays import image_array, new_image, touched
from .geometry import set_volume_grid
from .nodes import Node, Scene, add_node

LEGEND = "vtkMRMLColorLegendDisplayNode"
LEGEND_FORMAT = "%.1f"
TITLE_SIZE, LABEL_SIZE = 14, 12


@dataclass(frozen=True)
class OverlayStyle:
    """What an overlay shows: its role, the names people read, its colours and their range."""

    role: str
    name: str
    legend: str
    value_range: tuple[float, float]
    make_colors: Callable[[Scene], Node]


class Overlay:
    """One volume node with a colour table of its own, written in place.

    Args:
        scene: vtkMRMLScene.
        anchor: the transform node; it remembers the overlay's nodes, so that a saved scene gets
            no second ones.
        grid: of the values to come.
        style: what it shows.
    """

    def __init__(self, scene: Scene, anchor: Node, grid: Grid, style: OverlayStyle) -> None:
        self.scene = scene
        self.style = style
        self.node = anchor.GetNodeReference(style.role)
        if self.node is None:
            self.node = add_node(scene, "ScalarVolume", style.name, style.role)
            anchor.SetNodeReferenceID(style.role, self.node.GetID())
        image = new_image(grid.shape, np.dtype(np.float32))
        set_volume_grid(self.node, grid)
        self.node.SetAndObserveImageData(image)
        self._image, self._values = image, image_array(image)
        self._dress()

    @property
    def color_node(self) -> Node:
        """The colour table."""
        return self.node.GetDisplayNode().GetColorNode()

    def write(self, values: torch.Tensor) -> None:
        """Show (1, 1, *grid.shape); nothing is allocated."""
        torch.from_numpy(self._values).copy_(values.detach()[0, 0])
        touched(self._image)

    def set_range(self, low: float, high: float) -> None:
        """Values of the first and the last colour."""
        self.node.GetDisplayNode().SetWindowLevelMinMax(low, high)

    def show_legend(self, visible: bool) -> None:
        """Colour legend in the views that show the overlay."""
        if not self.scene.IsNodeClassRegistered(LEGEND):
            self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
        logic = slicer.vtkSlicerColorLogic
        legend = logic.GetColorLegendDisplayNode(self.node)
        if legend is None and visible:
            legend = logic.AddDefaultColorLegendDisplayNode(self.node)
            legend.SetTitleText(self.style.legend)
            legend.SetLabelFormat(LEGEND_FORMAT)
            legend.GetTitleTextProperty().SetFontSize(TITLE_SIZE)
            legend.GetLabelTextProperty().SetFontSize(LABEL_SIZE)
        if legend is not None:
            legend.SetVisibility(visible)

    def _dress(self) -> None:
        if self.node.GetDisplayNode() is not None:
            return
        self.node.CreateDefaultDisplayNodes()
        display = self.node.GetDisplayNode()
        display.SetAndObserveColorNodeID(self.style.make_colors(self.scene).GetID())
        display.SetVisibility2D(True)  # without it the views show no legend
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*self.style.value_range)

"""Arrows, cones and a bent grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch.nn.functional import avg_pool3d

from ..field import elastic_part, world_points
from ..types import Grid
from .glyph_style import GlyphStyle
from .nodes import Node, Scene, add_node
from .transforms import GridField

ROLE = "glyphs"
SPARSER = {"arrows": 2.0, "cones": 2.0, "grid": 3.0}
"""Distances in 3D, where all planes are seen at once, over those in a slice."""
SHORTEST = 1 / 15
"""Of the distance between two arrows: shorter ones are not drawn."""
BODY = 0.1
"""Share of a voxel and the mean about it: more at the skin, lest arrows are cut; less in noise."""
COLORS = ((0.0, (0.25, 0.4, 0.25)), (3.0, (0.3, 0.95, 0.3)), (20.0, (1.0, 0.95, 0.2)))
"""mm moved, and red, green, blue: dim, green, yellow, none of them a colour of an overlay."""


class Glyphs:
    """A hidden transform node that draws the deformation; it moves nothing.

    Slicer draws the way *to parent*, which of the live node is the inverse and slow to find. This
    node has the same grid the other way round, so arrows start at fixed points x and end at
    x + d(x) of φ(x) = A(x + d(x)): the frames of two scanners may lie so far apart that A would
    hide what is elastic. Around the grid nothing moves: beyond the volume nothing is drawn. Nor
    over air, where a field has nothing to go by; a grid alone is bent there too, to stay whole.

    Args:
        scene: vtkMRMLScene.
        live: grid transform node; remembers this one.
        region_node: volume over which is drawn; without one the 3D views stay empty.
        grid: of the displacements to come.
        initial: A, (4, 4) RAS mm.
        share: tells, once anything is drawn, how far a voxel is more than air, 0 to 1:
            (1, 1, *grid.shape).
    """

    def __init__(
        self,
        scene: Scene,
        live: Node,
        region_node: Node,
        grid: Grid,
        initial: np.ndarray,
        share: Callable[[], torch.Tensor],
    ) -> None:
        self.node = live.GetNodeReference(ROLE)
        if self.node is None:
            self.node = add_node(scene, "Transform", "Deformation", ROLE)
            self.node.SetHideFromEditors(True)
            self.node.SetSaveWithScene(False)
            live.SetNodeReferenceID(ROLE, self.node.GetID())
            self._dress(scene, region_node)
        self._grid, self._initial, self._share = grid, initial, share
        self._field = GridField(grid, rim=1)
        self.node.SetAndObserveTransformToParent(self._field.transform)
        self._u_mm: torch.Tensor | None = None
        self.style = GlyphStyle()
        self.draw(self.style)

    def write(self, u_mm: torch.Tensor) -> None:
        """Draw the elastic part of a whole map (1, 3, *grid.shape) RAS mm, once anything is drawn.

        Args:
            u_mm: φ(x) − x.
        """
        self._u_mm = u_mm
        if self.style.style != "off":
            points = world_points(self._grid, u_mm)
            d_mm = elastic_part(u_mm, points, self._initial)
            self._field.write(d_mm if self.style.style == "grid" else d_mm * self._body.to(d_mm))

    def draw(self, style: GlyphStyle) -> None:
        """Draw in another style, in 2D and 3D."""
        self.style = style
        if self._u_mm is not None:
            self.write(self._u_mm)
        sparser = SPARSER.get(style.style, 1.0)
        shown = style.style != "off"
        for number, factor in enumerate((1.0, sparser)):
            display = self.node.GetNthDisplayNode(number)
            was = display.StartModify()
            _arrange(display, style, factor * style.density_mm)
            display.SetVisibility(shown)
            display.SetVisibility2D(shown and number == 0)
            display.SetVisibility3D(shown and number == 1)
            display.EndModify(was)

    def hide(self) -> None:
        """Show nothing, for good; the style stays what it is."""
        for number in (0, 1):
            self.node.GetNthDisplayNode(number).SetVisibility(False)

    @cached_property
    def _body(self) -> torch.Tensor:
        """1 where arrows may start, (1, 1, *shape)."""
        share = self._share()
        around = avg_pool3d(share, 3, stride=1, padding=1, count_include_pad=False)
        return (torch.minimum(share, around) > BODY).float()

    def _dress(self, scene: Scene, region_node: Node) -> None:
        """A display node for the slices and one for 3D."""
        colors = add_node(scene, "ProceduralColor", "Deformation (mm)", "colors")
        colors.SetHideFromEditors(True)
        colors.SetSaveWithScene(False)
        ramp = colors.GetColorTransferFunction()
        ramp.RemoveAllPoints()
        for moved_mm, color in COLORS:
            ramp.AddRGBPoint(moved_mm, *color)
        for _ in range(2):
            display = add_node(scene, "TransformDisplay", "Deformation display", ROLE)
            display.SetSaveWithScene(False)
            display.SetAndObserveColorNodeID(colors.GetID())
            display.SetAndObserveRegionNode(region_node)
            self.node.AddAndObserveDisplayNodeID(display.GetID())


def _arrange(display: Node, style: GlyphStyle, distance_mm: float) -> None:
    """Shapes, distances and sizes of one display node."""
    cones, grid = style.style == "cones", style.style == "grid"
    display.SetGlyphType(display.GLYPH_TYPE_CONE if cones else display.GLYPH_TYPE_ARROW)
    display.SetVisualizationMode(display.VIS_MODE_GRID if grid else display.VIS_MODE_GLYPH)
    display.SetGlyphSpacingMm(distance_mm)
    display.SetGlyphScalePercent(100 * style.scale)
    display.SetGlyphDiameterMm(distance_mm / 4)
    display.SetGlyphDisplayRangeMinMm(SHORTEST * distance_mm / style.scale)
    display.SetGridSpacingMm(distance_mm)
    display.SetGridResolutionMm(distance_mm / 4)
    display.SetGridLineDiameterMm(distance_mm / 30)
    display.SetGridScalePercent(100 * style.scale)

"""Arrows, cones and a bent grid."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .nodes import Node, Scene, add_node

ROLE = "glyphs"
STYLES = ("off", "arrows", "cones", "grid")


@dataclass(frozen=True)
class GlyphStyle:
    """How the deformation is drawn.

    Args:
        style: ``off``, ``arrows``, ``cones`` or ``grid``.
        density_mm: distance between arrows, cones or grid lines.
        scale: length drawn per length moved; 1 is true to scale.

    Raises:
        InputError: an unknown style, a distance or scale that is not positive.
    """

    style: str = "off"
    density_mm: float = 15.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise InputError(f"the glyph style '{self.style}'", f"one of {', '.join(STYLES)}")
        if not (self.density_mm > 0 and self.scale > 0):
            raise InputError(
                f"glyphs every {self.density_mm:g} mm, {self.scale:g} times their length",
                "positive numbers",
            )


class Glyphs:
    """A hidden transform node that draws the deformation; it moves nothing.

    Slicer draws the way *to parent*, which of the live node is the inverse and slow to find. This
    node has the same grid the other way round, so arrows start at fixed points and end where they
    are in the moving image.

    Args:
        scene: vtkMRMLScene.
        live: grid transform node; remembers this one.
        region_node: volume over which is drawn; without one the 3D views stay empty.
    """

    def __init__(self, scene: Scene, live: Node, region_node: Node) -> None:
        self.node = live.GetNodeReference(ROLE)
        if self.node is None:
            self.node = add_node(scene, "Transform", "Deformation", ROLE)
            self.node.SetHideFromEditors(True)
            self.node.SetSaveWithScene(False)
            live.SetNodeReferenceID(ROLE, self.node.GetID())
        self.node.SetAndObserveTransformToParent(live.GetTransformFromParent())
        if self.node.GetDisplayNode() is None:
            self.node.CreateDefaultDisplayNodes()
            self.node.GetDisplayNode().SetSaveWithScene(False)
        self.node.GetDisplayNode().SetAndObserveRegionNode(region_node)
        self.style = GlyphStyle()
        self.draw(self.style)

    def draw(self, style: GlyphStyle) -> None:
        """Draw in another style, in 2D and 3D."""
        self.style = style
        display = self.node.GetDisplayNode()
        was = display.StartModify()
        cones, grid = style.style == "cones", style.style == "grid"
        display.SetGlyphType(display.GLYPH_TYPE_CONE if cones else display.GLYPH_TYPE_ARROW)
        display.SetVisualizationMode(display.VIS_MODE_GRID if grid else display.VIS_MODE_GLYPH)
        display.SetGlyphSpacingMm(style.density_mm)
        display.SetGlyphScalePercent(100 * style.scale)
        display.SetGlyphDiameterMm(style.density_mm / 4)
        display.SetGridSpacingMm(style.density_mm)
        display.SetGridResolutionMm(style.density_mm / 4)
        display.SetGridLineDiameterMm(style.density_mm / 15)
        display.SetGridScalePercent(100 * style.scale)
        for show in (display.SetVisibility, display.SetVisibility2D, display.SetVisibility3D):
            show(style.style != "off")
        display.EndModify(was)

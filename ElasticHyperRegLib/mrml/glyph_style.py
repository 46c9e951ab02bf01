"""How a deformation is drawn; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

STYLES = ("off", "arrows", "cones", "grid")


@dataclass(frozen=True)
class GlyphStyle:
    """How the deformation is drawn.

    Args:
        style: ``off``, ``arrows``, ``cones`` or ``grid``.
        density_mm: distance between arrows, cones or grid lines in a slice.
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

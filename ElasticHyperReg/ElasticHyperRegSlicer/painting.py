"""Pictures painted for the panel: the heat map of an estimate, the legend of volume change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from ElasticHyperRegLib.mrml.colors import eight_bits, score_rgb
from ElasticHyperRegLib.mrml.score_map import heat_map
from ElasticHyperRegLib.mrml.settings import Color

LEGEND_HEIGHT, BAR_HEIGHT = 40, 12
SIDE = 180
LEFT, TOP, BOTTOM, RIGHT = 44, 30, 36, 96
BLOCK = 3
"""Pixels of a side of the squares that the map is made of."""
CENTRE_TOP = int(qt.Qt.AlignHCenter) | int(qt.Qt.AlignTop)
RIGHT_MIDDLE = int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter)
LEFT_MIDDLE = int(qt.Qt.AlignLeft) | int(qt.Qt.AlignVCenter)


def legendPixmap(entries: Sequence[tuple[float, Color, str]], width: int, ink: Any) -> Any:
    """A bar of colours with what they mean below.

    Args:
        entries: value, colour, text (empty: none), from left to right.
        width: of the picture.
        ink: colour of the text, ``inkOf`` what it is shown on.
    """
    pixmap, painter = _canvas(width, LEGEND_HEIGHT, ink)
    step = width / len(entries)
    for index, (value, color, text) in enumerate(entries):
        left, right = round(index * step), round((index + 1) * step)
        painter.fillRect(left, 0, right - left, BAR_HEIGHT, qt.QColor(*color))
        label = f"{value:g}\n{text}" if text else f"{value:g}"
        height = LEGEND_HEIGHT - BAR_HEIGHT
        wide = right - left  # a text may reach over its neighbours, which have none or a short one
        painter.drawText(left - wide // 2, BAR_HEIGHT, 2 * wide, height, CENTRE_TOP, label)
    painter.end()
    return pixmap


def heatMapPixmap(surface: Any, ink: Any) -> Any:
    """Scores over λ (to the right) and μ (upwards), the chosen setting ringed.

    Every place has the colour of the nearest setting that was tried; a dot marks each of these.

    Args:
        surface: ``estimation.Surface``.
        ink: colour of axes and text, ``inkOf`` what it is shown on.
    """
    pixmap, painter = _canvas(LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM, ink)
    drawn = heat_map(surface, SIDE // BLOCK)
    for cell in drawn.cells:
        left, top = (round(place - BLOCK / 2) for place in _place(cell))
        painter.fillRect(left, top, BLOCK, BLOCK, qt.QColor(*cell.color))
    for setting in surface.settings:
        left, top = (round(place) - 1 for place in _place(setting))
        painter.fillRect(left, top, 2, 2, qt.QColor(0, 0, 0, 110))
    middle, height = _place(surface.chosen)
    for ring, color in ((7, "white"), (5, "black")):
        pen = qt.QPen(qt.QColor(color))
        pen.setWidth(2)
        painter.setPen(pen)
        painter.drawEllipse(round(middle - ring), round(height - ring), 2 * ring, 2 * ring)
    painter.setPen(qt.QPen(ink))
    _axes(painter)
    _scale(painter, drawn.low, drawn.high)
    painter.end()
    return pixmap


def inkOf(widget: Any) -> Any:
    """Text colour of a widget: readable in light and dark themes."""
    return widget.palette.color(qt.QPalette.WindowText)


def _place(setting: Any) -> tuple[float, float]:
    return LEFT + SIDE * setting.lam, TOP + SIDE * (1 - setting.mu)


def _axes(painter: Any) -> None:
    painter.drawLine(LEFT, TOP, LEFT, TOP + SIDE)
    painter.drawLine(LEFT, TOP + SIDE, LEFT + SIDE, TOP + SIDE)
    for tick in (0.0, 0.5, 1.0):
        x, y = round(LEFT + SIDE * tick), round(TOP + SIDE * (1 - tick))
        painter.drawText(x - 20, TOP + SIDE + 4, 40, 14, CENTRE_TOP, f"{tick:g}")
        painter.drawText(0, y - 8, LEFT - 16, 16, RIGHT_MIDDLE, f"{tick:g}")
    painter.drawText(LEFT, TOP + SIDE + 18, SIDE, 16, CENTRE_TOP, _("λ volume"))
    painter.drawText(LEFT - 30, 0, 80, 16, LEFT_MIDDLE, _("μ shape"))


def _scale(painter: Any, low: float, high: float) -> None:
    left, height = LEFT + SIDE + 16, SIDE // 2
    for line, rgb in enumerate(score_rgb(np.linspace(1, 0, height))):
        painter.fillRect(left, TOP + 20 + line, 10, 1, qt.QColor(*eight_bits(rgb)))
    painter.drawText(left, TOP, 80, 16, LEFT_MIDDLE, _("score"))
    painter.drawText(left + 14, TOP + 12, 66, 16, LEFT_MIDDLE, f"{high:.3g}")
    painter.drawText(left + 14, TOP + 12 + height, 66, 16, LEFT_MIDDLE, f"{low:.3g}")


def _canvas(width: int, height: int, ink: Any) -> tuple[Any, Any]:
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setPen(qt.QPen(ink))
    return pixmap, painter

"""Draws the icons of the 3D Slicer module from ``Resources/Icons/*.svg``.

``QT_QPA_PLATFORM=offscreen python -m scripts.icons``
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

ROOT = Path(__file__).resolve().parents[1]
SIDES = {"ElasticHyperReg": 128}
SMALL_SIDE = 48


def draw(drawing: Path, target: Path, side: int) -> None:
    """One picture of ``side`` × ``side`` pixels with a clear background."""
    image = QImage(side, side, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(drawing)).render(painter)
    painter.end()
    image.save(str(target))


def main() -> None:
    """Draw all of them into the module's ``Resources/Icons``."""
    application = QGuiApplication([])
    folder = ROOT / "ElasticHyperReg" / "Resources" / "Icons"
    for drawing in sorted((ROOT / "Resources" / "Icons").glob("*.svg")):
        side = SIDES.get(drawing.stem, SMALL_SIDE)
        draw(drawing, folder / f"{drawing.stem}.png", side)
    application.quit()


if __name__ == "__main__":
    main()

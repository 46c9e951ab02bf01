"""Section *Quality*: the figures of what is shown."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ElasticHyperRegLib.mrml.figures import percent

from .comparison import asTable, fitHeight, tableItem
from .live import LivePair


class QualitySection:
    """The table per tissue and the line below it.

    Args:
        ui: the panel's widgets.
        live: the live pair.
    """

    def __init__(self, ui: Any, live: LivePair) -> None:
        self.ui = ui
        self._live = live
        table = ui.qualityTable
        titles = [_("Tissue"), _("Dice"), _("HD95 (mm)"), _("Volume"), _("Folds")]
        titles += [_("Strain"), _("Stress"), _("Pull")]
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        for column, tip in enumerate(
            (
                "",
                _("Overlap before → after; 1 is perfect."),
                _("How far apart the borders are, before → after."),
                _("Change of volume, from fixed to moving."),
                _("Part of the tissue that is turned inside out; should be 0."),
                _("Mean change of shape: equivalent (von Mises) strain."),
                _("Mean von Mises stress, relative to the highest of all tissues."),
                _(
                    "How much of the tissue's shape the images alone hold: 0 where it rests in"
                    " elastic equilibrium, about 1 where nothing but the images shapes it (RMS of"
                    " div σ by RMS of ∇σ, two nodes of the field inside the tissue's border)."
                ),
            )
        ):
            table.horizontalHeaderItem(column).setToolTip(tip)
        font = table.font
        font.setStretch(qt.QFont.Condensed)  # else the names of tissues have no room
        table.font = font
        asTable(table, wide=0)
        ui.measureButton.connect("clicked()", lambda: live.do("measure"))
        live.listen("Measured", lambda event: self.show(event.quality))
        for event in ("Ready", "Closed"):
            live.listen(event, lambda event: self.clear())

    def clear(self) -> None:
        """Nothing has been measured."""
        self.ui.qualityTable.setRowCount(0)
        self.ui.qualitySummaryLabel.text = _("Measured when the sliders rest.")

    def refresh(self) -> None:
        """The button, when there is something to measure."""
        idle = "measure" not in self._live.busy
        self.ui.measureButton.enabled = self._live.display is not None and idle

    def show(self, quality: Any) -> None:
        """Show a ``Quality``."""
        table = self.ui.qualityTable
        table.setRowCount(len(quality.tissues))
        for row, tissue in enumerate(quality.tissues):
            texts = (
                tissue.name.replace("_", " "),
                _change(tissue.dice, 3),
                _change(tissue.hd95_mm, 1),
                f"{100 * tissue.volume_change:+.1f} %",
                percent(tissue.folds_fraction),
                f"{100 * tissue.strain:.1f} %",
                f"{tissue.stress:.2f}",
                "–" if tissue.residual_relative is None else f"{tissue.residual_relative:.2f}",
            )
            for column, text in enumerate(texts):
                table.setItem(row, column, tableItem(text))
            if tissue.residual is not None:
                text = _("Mean |div σ|: {force:.2g}, in the unit of μ per mm.")
                cell = table.item(row, len(texts) - 1)
                cell.setToolTip(text.format(force=tissue.residual))
        fitHeight(table)
        self.ui.qualitySummaryLabel.text = _summary(quality)


def _change(values: tuple[float, float] | None, digits: int) -> str:
    return "–" if values is None else f"{values[0]:.{digits}f} → {values[1]:.{digits}f}"


def _summary(quality: Any) -> str:
    lines = [_("Folds: {percent} of all voxels.").format(percent=percent(quality.folds_fraction))]
    there = quality.inverse_consistency_mm
    if there:
        text = _("There and back: {mean:.2f} mm off on average, {max:.2f} mm at most.")
        lines.append(text.format(mean=there["mean"], max=there["max"]))
    error = quality.tre_mm
    if error:
        text = _("Landmarks: {before:.2f} → {after:.2f} mm apart ({n} of them).")
        lines.append(text.format(before=error["before"], after=error["after"], n=error["n"]))
    return "\n".join(lines)

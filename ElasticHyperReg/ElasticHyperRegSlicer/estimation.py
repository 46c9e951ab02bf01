"""Section *Estimate subject parameters*: one button, then the heat map."""

from __future__ import annotations

from html import escape
from typing import Any

from slicer.i18n import tr as _

from .live import LivePair
from .painting import heatMapPixmap, inkOf

PER_CENT = 100


class EstimationSection:
    """Starts the search and shows what it found.

    Args:
        ui: the panel's widgets.
        live: the live pair.
    """

    def __init__(self, ui: Any, live: LivePair) -> None:
        self.ui = ui
        self._live = live
        self._estimate: Any = None
        self._objectives = {
            "dice": _("Overlap of the tissues (Dice)"),
            "soft-dice": _("Overlap of the tissues, soft Dice"),
            "tre": _("Landmark error"),
            "similarity": _("Likeness of the images"),
        }
        methods = {
            "grid": _("Grid: every setting in steps of 0.1"),
            "coarse-to-fine": _("Coarse to fine: fewer, finer steps"),
            "gradient": _("Gradient: all tissues at once; not by hard Dice"),
        }
        for name, text in methods.items():
            ui.methodComboBox.addItem(text, name)
        self._offer(tuple(self._objectives))
        ui.estimateButton.connect("clicked()", self.start)
        ui.cancelEstimateButton.connect("clicked()", lambda: live.do("cancel", "estimate"))
        ui.heatMapTissueComboBox.connect("currentIndexChanged(int)", self._showMap)
        live.listen("Progressed", self._onProgress)
        live.listen("Estimated", lambda event: self.showEstimate(event.estimate))
        live.listen("Surfaced", self._onSurfaced)
        live.listen("Failed", self._onFailed)
        live.listen("Ready", self._onReady)
        live.listen("Closed", lambda event: self.showEstimate(None))

    def start(self) -> None:
        """Look for the parameters of this pair."""
        self.ui.estimateProgressBar.value = 0
        self._live.do("estimate", self._objective(), self.ui.methodComboBox.currentData)

    def refresh(self) -> None:
        """Buttons that can be used now."""
        running = "estimate" in self._live.busy
        self.ui.estimateButton.enabled = self._live.display is not None and not running
        self.ui.cancelEstimateButton.enabled = running
        self.ui.estimateProgressBar.visible = running

    def showEstimate(self, estimate: Any) -> None:
        """What was found, in words and as a heat map; nothing for ``None``."""
        self._estimate = estimate
        tissues = [] if estimate is None else [surface.tissue for surface in estimate.surfaces]
        combo = self.ui.heatMapTissueComboBox
        wasBlocked = combo.blockSignals(True)
        combo.clear()
        for tissue in dict.fromkeys(tissues):
            combo.addItem(tissue.replace("_", " "), tissue)
        combo.setCurrentIndex(min(1, combo.count - 1))  # the first is all tissues together
        combo.blockSignals(wasBlocked)
        self.ui.heatMapFrame.visible = bool(tissues)
        self.ui.estimateResultLabel.visible = estimate is not None
        self.ui.estimateResultLabel.text = "" if estimate is None else _description(estimate)
        self.ui.estimateResultLabel.toolTip = "" if estimate is None else _warnings(estimate)
        self._showMap()

    def _objective(self) -> str:
        """What was chosen, or what was written: several objectives with weights."""
        combo = self.ui.objectiveComboBox
        chosen = combo.findText(combo.currentText)
        return combo.currentText if chosen < 0 else combo.itemData(chosen)

    def _onReady(self, event: Any) -> None:
        wanted = event.objective(self._objective())
        self._offer(event.objectives)
        combo = self.ui.objectiveComboBox
        if combo.findData(wanted) < 0:
            combo.setEditText(wanted)
        else:
            combo.setCurrentIndex(combo.findData(wanted))
        self.showEstimate(None)

    def _offer(self, objectives: tuple[str, ...]) -> None:
        """What the pair allows."""
        self.ui.objectiveComboBox.clear()
        for name, text in self._objectives.items():
            if name in objectives:
                self.ui.objectiveComboBox.addItem(text, name)

    def _onSurfaced(self, event: Any) -> None:
        """The surface of the whole comes first, while the tissues are still looked at."""
        if event.surface.tissue == "everywhere":
            self.ui.heatMapFrame.visible = True
            label = self.ui.heatMapLabel
            label.setPixmap(heatMapPixmap(event.surface, inkOf(label)))

    def _onFailed(self, event: Any) -> None:
        if event.what == "estimate":
            self.showEstimate(self._estimate)  # in place of the first surface

    def _showMap(self, *_arguments: Any) -> None:
        tissue = self.ui.heatMapTissueComboBox.currentData
        if self._estimate is not None and tissue:
            label, surface = self.ui.heatMapLabel, self._estimate.surface(tissue)
            label.setPixmap(heatMapPixmap(surface, inkOf(label)))

    def _onProgress(self, event: Any) -> None:
        if event.what == "estimate":
            self.ui.estimateProgressBar.value = round(PER_CENT * event.fraction)


def _description(estimate: Any) -> str:
    """The settings found, the score before and after, on what it rests, what to beware of."""
    cell = "<td style='padding-right:12px'>{}</td>"
    lines = []
    for tissue, value in estimate.elasticity.items():
        scores = estimate.scores.get(tissue, {})
        before, after = (_number(scores.get(key)) for key in ("before", "after"))
        change = f"{before} → {after}" if scores else ""
        name = escape(tissue.replace("_", " "))
        cells = (f"<b>{name}</b>", f"λ {value.lam:g}", f"μ {value.mu:g}", change)
        lines.append(f"<tr>{''.join(cell.format(text) for text in cells)}</tr>")
    title = ", ".join(estimate.objective)
    heading = _("Found (score: {objective}, before → after):").format(objective=escape(title))
    table = f"<table>{''.join(lines)}</table>"
    return f"{heading}{table}{escape(estimate.evidence)}{_warnings(estimate, 2)}"


def _warnings(estimate: Any, most: int | None = None) -> str:
    """What to beware of; the first ``most`` of them and how many more there are."""
    told = estimate.warnings[:most]
    lines = [f"<br>⚠ {escape(text)}" for text in told]
    more = len(estimate.warnings) - len(told)
    if more:
        lines.append("<br>" + _("… and {count} more: rest the mouse here.").format(count=more))
    return "".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

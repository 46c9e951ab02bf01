"""Section *Compare*: kept settings beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ElasticHyperRegLib.mrml.figures import percent

from .live import LivePair

ROW_HEIGHT = 22


class ComparisonSection:
    """Keeps settings as A, B or any name, and shows them again.

    Args:
        ui: the panel's widgets.
        live: the live pair.
        changed: called when something was kept or removed.
    """

    def __init__(self, ui: Any, live: LivePair, changed: Callable[[], None]) -> None:
        self.ui = ui
        self._live = live
        self._changed = changed
        self._shown = ""
        table = ui.keptTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Name"), _("λ, μ"), _("Mean Dice"), _("Folds")])
        asTable(table, wide=1)
        ui.keepAButton.connect("clicked()", lambda: self.keep("A"))
        ui.keepBButton.connect("clicked()", lambda: self.keep("B"))
        ui.switchButton.connect("clicked()", self.switch)
        ui.keepButton.connect("clicked()", self._onKeep)
        ui.showKeptButton.connect("clicked()", self._onShow)
        ui.forgetButton.connect("clicked()", self._onForget)
        table.connect("cellDoubleClicked(int,int)", lambda row, column: self._onShow())
        table.connect("itemSelectionChanged()", self.refresh)
        for event in ("Ready", "Closed"):
            live.listen(event, lambda event: self.fill())
        live.listen("Updated", self._onUpdated)

    def keep(self, name: str) -> None:
        """Keep what is shown under ``name``."""
        self._live.do("keep", name)
        self._shown = name
        self.fill()
        self._changed()

    def switch(self) -> None:
        """Show A, then B, then A."""
        self._shown = "A" if self._shown == "B" else "B"
        self._live.do("switch_to", self._shown)

    def fill(self) -> None:
        """The table of what is kept."""
        kept = self._kept()
        self.ui.keptTable.setRowCount(len(kept))
        for row, entry in enumerate(kept):
            metrics = entry.metrics
            dice = metrics.get("mean_dice", {}).get("after")
            folds = metrics.get("folds_fraction")
            texts = (
                entry.name,
                _settings(entry.elasticity),
                "–" if dice is None else f"{dice:.3f}",
                "–" if folds is None else percent(folds),
            )
            for column, text in enumerate(texts):
                self.ui.keptTable.setItem(row, column, tableItem(text))
        fitHeight(self.ui.keptTable)
        self.refresh()

    def _onUpdated(self, event: Any) -> None:
        if event.final:  # a kept setting may have waited for its figures
            self.fill()

    def refresh(self) -> None:
        """Buttons that can be used now."""
        ready = self._live.display is not None
        names = {entry.name for entry in self._kept()}
        for button in (self.ui.keepAButton, self.ui.keepBButton, self.ui.keepButton):
            button.enabled = ready
        self.ui.switchButton.enabled = ready and {"A", "B"} <= names
        chosen = bool(self._chosen())
        self.ui.showKeptButton.enabled = ready and chosen
        self.ui.forgetButton.enabled = ready and chosen

    def _kept(self) -> list[Any]:
        return list(self._live.controller.kept) if self._live.controller else []

    def _chosen(self) -> str:
        item = self.ui.keptTable.item(self.ui.keptTable.currentRow(), 0)
        return item.text() if item is not None else ""

    def _onKeep(self) -> None:
        name = self.ui.keepNameLineEdit.text.strip()
        if name:
            self.keep(name)
            self.ui.keepNameLineEdit.clear()

    def _onShow(self) -> None:
        name = self._chosen()
        if name:
            self._shown = name
            self._live.do("switch_to", name)

    def _onForget(self) -> None:
        name = self._chosen()
        if name:
            self._live.do("forget", name)
            self.fill()
            self._changed()


def asTable(table: Any, wide: int) -> None:
    """A table to be read: rows are chosen, nothing is typed, column ``wide`` takes what is left."""
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().setSectionResizeMode(wide, qt.QHeaderView.Stretch)
    fitHeight(table)


def fitHeight(table: Any) -> None:
    """As high as its rows, from three to ten of them."""
    rows = min(10, max(3, table.rowCount))
    table.setFixedHeight((rows + 1) * ROW_HEIGHT + 6)


def tableItem(text: str) -> Any:
    """A cell that tells its text in full when the mouse rests on it."""
    item = qt.QTableWidgetItem(text)
    item.setToolTip(text)
    return item


def _settings(elasticity: dict[str, Any]) -> str:
    """One setting in full, several as a list."""
    texts = [f"{value.lam:g}, {value.mu:g}" for value in elasticity.values()]
    if len(set(texts)) == 1:
        return texts[0]
    names = (name.replace("_", " ") for name in elasticity)
    return "; ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))

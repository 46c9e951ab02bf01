"""Section *Model*: what computes the deformation, and where."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import slicer.util
from slicer.i18n import tr as _

from .inputs import choose
from .live import LivePair


class ModelSection:
    """Choice of model and device, the card of the model, what is used.

    Args:
        ui: the panel's widgets.
        live: the live pair.
        changed: called when the user changes something.
        ready: tells whether everything is installed, without which no card can be read.
    """

    def __init__(
        self, ui: Any, live: LivePair, changed: Callable[[], None], ready: Callable[[], bool]
    ) -> None:
        self.ui = ui
        self._live = live
        self._ready = ready
        self._changed = changed
        self._cards: dict[str, Any] = {}
        self._showing = False
        ui.modelComboBox.addItem(_("Automatic"), "auto")
        ui.modelComboBox.addItem(_("None: the exact solver"), "none")
        for name, text in (
            ("auto", _("Automatic")),
            ("cpu", _("Processor (CPU)")),
            ("cuda", _("Graphics card (CUDA)")),
        ):
            ui.deviceComboBox.addItem(text, name)
        ui.modelComboBox.connect("currentIndexChanged(int)", self._onChanged)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._onChanged)
        ui.modelCollapsibleButton.connect("contentsCollapsed(bool)", self._onFolded)
        live.listen("Ready", self._onReady)
        live.listen("Updated", lambda event: self._showMemory())
        self._showCard()

    @property
    def model(self) -> str:
        """``auto``, ``none`` or a name."""
        return self.ui.modelComboBox.currentData

    @property
    def device(self) -> str:
        """``auto``, ``cpu`` or ``cuda``."""
        return self.ui.deviceComboBox.currentData

    def show(self, state: Any) -> None:
        """Show the choice of a ``PairState``."""
        self._showing = True
        if state.model not in self._names():
            self.ui.modelComboBox.addItem(state.model, state.model)
        choose(self.ui.modelComboBox, state.model)
        choose(self.ui.deviceComboBox, state.device)
        self._showing = False
        self._showCard()

    def _names(self) -> list[str]:
        return [self.ui.modelComboBox.itemData(i) for i in range(self.ui.modelComboBox.count)]

    def _onFolded(self, folded: bool) -> None:
        if not folded and self._ready():
            with slicer.util.WaitCursor():
                self.listModels()

    def listModels(self) -> None:
        """Offer the installed models; reads their cards, which needs what must be installed."""
        from ElasticHyperRegLib.weights import list_models

        self._cards = {card.name: card for card in list_models()}
        known = self._names()
        for name in self._cards:
            if name not in known:
                self.ui.modelComboBox.addItem(name, name)
        self._showCard()

    def _onChanged(self, _index: int) -> None:
        self._showCard()
        if not self._showing:
            self._changed()

    def _showCard(self) -> None:
        card = self._cards.get(self.model)
        if card is not None:
            text = _card(card)
        elif self.model == "none":
            text = _("The energy is minimised for this pair itself: exact, but slower.")
        elif self.model == "auto":
            text = _(
                "A trained model that fits the volumes; where there is none, the exact solver."
            )
        else:
            text = _("Nothing is known about this model yet.")
        self.ui.modelCardLabel.text = text

    def _onReady(self, event: Any) -> None:
        used = _("In use: {model} on {device}.")
        model = _("the exact solver") if event.model == "none" else event.model
        lines = [used.format(model=f"<b>{escape(model)}</b>", device=escape(event.device))]
        self.ui.modelCardLabel.text = "<br>".join([*lines, *map(escape, event.notes)])
        self._showMemory()

    def _showMemory(self) -> None:
        from ElasticHyperRegLib.engine.report import peak_memory_mib

        text = [f"{value:.0f} MiB" for value in peak_memory_mib().values()]
        self.ui.memoryValueLabel.text = text[0] if text else "–"


def _card(card: Any) -> str:
    """The card in a few lines of rich text."""
    expects = card.expects
    spacing = "×".join(f"{value:g}" for value in expects.spacing_mm)
    size = "×".join(str(value) for value in expects.size)
    rows = {
        _("Trained on"): f"{expects.modality}, {card.training.data}",
        _("Its grid"): _("{size} voxels of {spacing} mm").format(size=size, spacing=spacing),
        _("Tissues"): ", ".join(card.model.tissues) or _("one setting everywhere"),
        _("Licence"): card.licence,
    }
    return "<br>".join(f"<b>{escape(k)}:</b> {escape(v)}" for k, v in rows.items())

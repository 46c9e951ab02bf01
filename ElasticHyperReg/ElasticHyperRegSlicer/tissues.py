"""Section *Tissues*: a row a tissue with its sliders for λ and μ."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .live import LivePair

STEPS = 1000
DECIMALS = 3


class TissuesSection:
    """The table of sliders; follows the live pair.

    Args:
        ui: the panel's widgets.
        live: the live pair.
        icons: folder of the icons.
    """

    def __init__(self, ui: Any, live: LivePair, icons: str) -> None:
        self.ui = ui
        self._live = live
        self._icons = icons
        self._rows: dict[str, TissueRowWidgets] = {}
        self._layout = qt.QGridLayout(ui.tissueFrame)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setHorizontalSpacing(4)
        self._layout.setVerticalSpacing(2)
        self._layout.setColumnStretch(1, 1)
        self._layout.setColumnStretch(3, 1)
        ui.tissueHintLabel.text = _("The tissues appear when the pair has been registered.")
        ui.undoButton.connect("clicked()", lambda: live.do("undo"))
        ui.redoButton.connect("clicked()", lambda: live.do("redo"))
        ui.resetAllButton.connect("clicked()", lambda: live.do("reset"))
        ui.liveCheckBox.connect("toggled(bool)", lambda on: self._setLive())
        live.listen("Ready", lambda event: self._setLive())

    @property
    def rows(self) -> dict[str, TissueRowWidgets]:
        """Tissue → its widgets."""
        return dict(self._rows)

    def refresh(self) -> None:
        """Show the values of the live pair, in new rows where its tissues have changed."""
        controller = self._live.controller
        tissues = controller.tissues if controller and self._live.display else []
        if [tissue.name for tissue in tissues] != list(self._rows):
            self._rebuild(tissues)
        for tissue in tissues:
            self._rows[tissue.name].show(tissue)
        self.ui.tissueHintLabel.visible = not tissues
        self.ui.tissueFrame.visible = bool(tissues)
        self.ui.undoButton.enabled = bool(tissues) and controller.can_undo
        self.ui.redoButton.enabled = bool(tissues) and controller.can_redo
        self.ui.resetAllButton.enabled = bool(tissues)

    def _setLive(self) -> None:
        if self._live.controller is not None:
            self._live.controller.live = self.ui.liveCheckBox.checked

    def _rebuild(self, tissues: list[Any]) -> None:
        while self._layout.count():
            widget = self._layout.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        self._rows = {}
        if not tissues:
            return
        for column, (text, tip) in enumerate(_HEADERS()):
            label = qt.QLabel(text)
            label.toolTip = tip
            self._layout.addWidget(label, 0, column)
        for number, tissue in enumerate(tissues, start=1):
            row = TissueRowWidgets(tissue, self._live, self._icons)
            for column, widget in enumerate(row.widgets):
                self._layout.addWidget(widget, number, column)
            self._rows[tissue.name] = row


def _HEADERS() -> list[tuple[str, str]]:
    return [
        (_("Tissue"), ""),
        (_("λ volume"), _("The price of changing the tissue's volume.")),
        ("", ""),
        (_("μ shape"), _("The price of changing the tissue's shape.")),
        ("", ""),
        ("E", _("Young's modulus relative to the stiffest tissue of the table.")),
        ("ν", _("Poisson's ratio.")),
    ]


class TissueRowWidgets:
    """The widgets of one tissue.

    Attributes:
        lamSlider, lamBox, muSlider, muBox: λ and μ, dragged or typed.
        lockButton: keeps λ/μ.
        menuButton: its menu resets or takes a preset.
        widgets: all of them in the order of the columns.
    """

    def __init__(self, tissue: Any, live: LivePair, icons: str) -> None:
        self.name = tissue.name
        self._live = live
        self._showing = False
        self._tissue = tissue
        self.nameLabel = _nameLabel(tissue)
        self.lamSlider, self.lamBox = self._entry("lam", _("λ of {name}"))
        self.muSlider, self.muBox = self._entry("mu", _("μ of {name}"))
        self.youngLabel, self.poissonLabel = qt.QLabel(), qt.QLabel()
        self.lockButton = _toolButton(f"{icons}/lock.png", _("Keep the ratio of λ and μ."))
        self.lockButton.checkable = True
        self.lockButton.connect("toggled(bool)", self._onLock)
        self.menuButton = _toolButton(f"{icons}/presets.png", _("Reset, or take a preset."))
        self.menu = self._makeMenu()
        self.menuButton.setMenu(self.menu)
        self.menuButton.popupMode = qt.QToolButton.InstantPopup
        self.widgets = [
            self.nameLabel,
            self.lamSlider,
            self.lamBox,
            self.muSlider,
            self.muBox,
            self.youngLabel,
            self.poissonLabel,
            self.lockButton,
            self.menuButton,
        ]

    def _entry(self, which: str, tip: str) -> tuple[Any, Any]:
        """Slider and box for λ or μ."""
        slider, box = qt.QSlider(qt.Qt.Horizontal), qt.QDoubleSpinBox()
        slider.maximum = STEPS
        slider.pageStep = STEPS // 20
        slider.setMinimumWidth(60)
        box.decimals = DECIMALS
        box.singleStep = 0.01
        box.maximum = 1.0
        box.keyboardTracking = False
        box.buttonSymbols = qt.QAbstractSpinBox.NoButtons
        box.setMaximumWidth(46)
        for widget in (slider, box):
            widget.toolTip = tip.format(name=self.name)
        slider.connect("valueChanged(int)", lambda value: self._onSlider(which, value))
        slider.connect("sliderReleased()", lambda: self._live.do("settle"))
        box.connect("valueChanged(double)", lambda value: self._onBox(which, value))
        return slider, box

    def _makeMenu(self) -> Any:
        from ElasticHyperRegLib.tissues import presets

        menu = qt.QMenu(self.menuButton)
        reset = menu.addAction(_("Reset"))
        reset.connect("triggered(bool)", lambda checked: self._live.do("reset", self.name))
        menu.addSeparator()
        for preset in presets().values():
            value = preset.elasticity
            action = menu.addAction(f"{preset.title}  (λ {value.lam:g}, μ {value.mu:g})")
            action.toolTip = preset.hint
            action.connect("triggered(bool)", self._presetSetter(preset.name))
        return menu

    def _presetSetter(self, preset: str) -> Any:
        return lambda checked: self._live.do("set_preset", self.name, preset)

    def show(self, tissue: Any) -> None:
        """Show the values; the slider under the user's finger stays where it is."""
        from ElasticHyperRegLib.tissues import value_to_slider

        self._showing = True
        self._tissue = tissue
        for slider, box, which in (
            (self.lamSlider, self.lamBox, "lam"),
            (self.muSlider, self.muBox, "mu"),
        ):
            value, most = getattr(tissue, which), tissue.most(which)
            if not slider.sliderDown and self._valueOf(slider, most) != round(value, DECIMALS):
                slider.value = round(STEPS * value_to_slider(value, most))
            box.maximum = most
            if round(box.value, DECIMALS) != round(value, DECIMALS):
                box.value = value
        self.youngLabel.text = f"{tissue.young:.2f}"
        self.poissonLabel.text = f"{tissue.poisson:.2f}"
        self.lockButton.checked = tissue.locked
        for widget in self.widgets:
            widget.enabled = tissue.present
        self._showing = False

    def _valueOf(self, slider: Any, most: float) -> float:
        from ElasticHyperRegLib.tissues import slider_to_value

        return round(slider_to_value(slider.value / STEPS, most), DECIMALS)

    def _onSlider(self, which: str, position: int) -> None:
        if self._showing:
            return
        slider = self.lamSlider if which == "lam" else self.muSlider
        value = self._valueOf(slider, self._tissue.most(which))
        self._move(which, value, settled=not slider.sliderDown)

    def _onBox(self, which: str, value: float) -> None:
        if not self._showing:
            self._move(which, round(value, DECIMALS), settled=True)

    def _move(self, which: str, value: float, settled: bool) -> None:
        values = (value, None) if which == "lam" else (None, value)
        self._live.do("set_elasticity", self.name, *values)
        if settled:
            self._live.do("settle")

    def _onLock(self, locked: bool) -> None:
        if not self._showing:
            self._live.do("lock_ratio", self.name, locked)


def _nameLabel(tissue: Any) -> Any:
    red, green, blue = tissue.color
    label = qt.QLabel()
    swatch = f'<span style="color:rgb({red},{green},{blue})">■</span>'
    label.text = f"{swatch} {tissue.name.replace('_', ' ')}"
    label.toolTip = "" if tissue.present else _("Not in this segmentation.")
    return label


def _toolButton(icon: str, tip: str) -> Any:
    button = qt.QToolButton()
    button.icon = qt.QIcon(icon)
    button.autoRaise = True
    button.toolTip = tip
    return button

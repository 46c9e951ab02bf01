"""Section *Display*: what the views show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ElasticHyperRegLib.mrml.figures import percent
from ElasticHyperRegLib.mrml.spreads import OFF, SPREADS

from .inputs import choose
from .live import LivePair
from .painting import inkOf, legendPixmap

LEGEND_WIDTH = 300


class DisplaySection:
    """What the views show, as a ``DisplayState`` and back.

    Args:
        ui: the panel's widgets.
        live: the live pair.
        changed: called when the user changes something.
    """

    def __init__(self, ui: Any, live: LivePair, changed: Callable[[], None]) -> None:
        self.ui = ui
        self._live = live
        self._changed = changed
        self._showing = False
        self._means: dict[str, dict[str, float]] | None = None
        self._fillCombos()
        ui.displayModeComboBox.connect("currentIndexChanged(int)", self._onChanged)
        ui.blendSlider.connect("valueChanged(double)", self._onChanged)
        ui.jacobianCheckBox.connect("toggled(bool)", self._onJacobian)
        ui.jacobianOpacitySlider.connect("valueChanged(double)", self._onChanged)
        ui.glyphComboBox.connect("currentIndexChanged(int)", self._onChanged)
        ui.glyphDensitySlider.connect("valueChanged(double)", self._onChanged)
        ui.glyphScaleSlider.connect("valueChanged(double)", self._onChanged)
        ui.sensitivityCheckBox.connect("toggled(bool)", self._onSensitivity)
        ui.spreadComboBox.connect("currentIndexChanged(int)", lambda index: self._showSpread())
        live.listen("Ready", self._onReady)
        live.listen("Updated", self._onUpdated)
        live.listen("Sensed", self._onSensed)
        live.listen("Unsensed", lambda event: self._forgetSpread())
        live.listen("Failed", self._onFailed)
        live.listen("Closed", self._onClosed)

    def _fillCombos(self) -> None:
        for text, name in (
            (_("Warped moving volume"), "warped"),
            (_("Fixed volume"), "fixed"),
            (_("Blend of both"), "blend"),
            (_("Checkerboard"), "checkerboard"),
            (_("Flicker between both"), "flicker"),
            (_("Difference"), "difference"),
        ):
            self.ui.displayModeComboBox.addItem(text, name)
        for text, name in (
            (_("Not drawn"), "off"),
            (_("Arrows"), "arrows"),
            (_("Cones"), "cones"),
            (_("Bent grid"), "grid"),
        ):
            self.ui.glyphComboBox.addItem(text, name)
        for text, name in (
            (_("Displacement (mm)"), "displacement"),
            (_("Volume change"), "volume"),
        ):
            self.ui.spreadComboBox.addItem(text, name)

    def state(self) -> Any:
        """``DisplayState`` of the controls."""
        from ElasticHyperRegLib.mrml.pair_state import DisplayState

        return DisplayState(
            mode=self.ui.displayModeComboBox.currentData,
            blend=self.ui.blendSlider.value / 100,
            jacobian=self.ui.jacobianCheckBox.checked,
            overlay_opacity=self.ui.jacobianOpacitySlider.value / 100,
            glyphs=self.ui.glyphComboBox.currentData,
            glyph_density_mm=self.ui.glyphDensitySlider.value,
            glyph_scale=self.ui.glyphScaleSlider.value,
        )

    def show(self, state: Any) -> None:
        """Show a ``DisplayState`` in the controls, and in the views of a live pair."""
        self._showing = True
        choose(self.ui.displayModeComboBox, state.mode)
        self.ui.blendSlider.value = 100 * state.blend
        self.ui.jacobianCheckBox.checked = state.jacobian
        self.ui.jacobianOpacitySlider.value = 100 * state.overlay_opacity
        choose(self.ui.glyphComboBox, state.glyphs)
        self.ui.glyphDensitySlider.value = state.glyph_density_mm
        self.ui.glyphScaleSlider.value = state.glyph_scale
        self._showing = False
        self.apply()

    def apply(self) -> None:
        """Bring the controls' state to the views."""
        from ElasticHyperRegLib.mrml import GlyphStyle

        state = self.state()
        shows = self._live.display is not None
        if shows and self._live.display.mode != state.mode:
            self._live.show("show", state.mode)
        self._live.show("set_blend", state.blend)
        self._live.show("set_jacobian", state.jacobian, state.overlay_opacity)
        self._showSpread()
        style = GlyphStyle(state.glyphs, state.glyph_density_mm, state.glyph_scale)
        self._live.show("set_glyphs", style)

    def refresh(self) -> None:
        """Controls that mean something now."""
        state = self.state()
        self.ui.blendSlider.enabled = state.mode == "blend"
        self.ui.jacobianOpacitySlider.enabled = (
            state.jacobian or self.ui.sensitivityCheckBox.checked
        )
        self.ui.jacobianLegendLabel.visible = state.jacobian
        self.ui.legendCaptionLabel.visible = state.jacobian
        self.ui.glyphDensitySlider.enabled = state.glyphs != "off"
        self.ui.glyphScaleSlider.enabled = state.glyphs != "off"
        self.ui.sensitivityCheckBox.enabled = self._live.display is not None
        self.ui.spreadComboBox.enabled = self.ui.sensitivityCheckBox.checked
        self.ui.sensitivityLabel.visible = (
            self.ui.sensitivityCheckBox.checked and self._means is not None
        )

    def _onChanged(self, *_arguments: Any) -> None:
        if not self._showing:
            self.apply()
            self.refresh()
            self._changed()

    def _onJacobian(self, wanted: bool) -> None:
        if wanted:
            self.ui.sensitivityCheckBox.checked = False  # one overlay at a time
        self._onChanged()

    def _onSensitivity(self, wanted: bool) -> None:
        if wanted:
            self.ui.jacobianCheckBox.checked = False
        if wanted and self._means is None:
            self._live.do("sensitivity")
        else:
            self._showSpread()

    def _showSpread(self) -> None:
        shown = OFF
        if self._means is not None and self.ui.sensitivityCheckBox.checked:
            shown = self.ui.spreadComboBox.currentData
            self.ui.sensitivityLabel.text = spreadText(self._means, shown)
        self._live.show("set_sensitivity", None, shown, self.state().overlay_opacity)
        self.refresh()

    def _onReady(self, event: Any) -> None:
        from ElasticHyperRegLib.mrml import jacobian_legend

        self._means = None
        label = self.ui.jacobianLegendLabel
        label.setPixmap(legendPixmap(jacobian_legend(), LEGEND_WIDTH, inkOf(label)))
        self.apply()

    def _onUpdated(self, event: Any) -> None:
        folds = event.metrics.get("folds_fraction")
        self.ui.foldsLabel.text = foldsText(folds)

    def _onFailed(self, event: Any) -> None:
        if event.what == "sensitivity":
            self._forgetSpread()

    def _onClosed(self, event: Any) -> None:
        self.ui.foldsLabel.text = "–"
        self._forgetSpread()

    def _forgetSpread(self) -> None:
        self._means = None
        self.ui.sensitivityCheckBox.checked = False

    def _onSensed(self, event: Any) -> None:
        self._means = event.sensitivity.means
        self._showSpread()


def spreadText(means: dict[str, dict[str, float]], spread: str) -> str:
    """How far each tissue changes with the settings alone, the most uncertain first; plain text.

    Args:
        means: of the ``Sensitivity``.
        spread: one of ``SPREADS``.
    """
    shown = SPREADS[spread]
    values = {name: found[shown.key] for name, found in means.items()}
    order = sorted(values, key=lambda name: -values[name])
    return ", ".join(f"{name.replace('_', ' ')} {shown.text(values[name])}" for name in order)


def foldsText(fraction: float | None) -> str:
    """Part of the voxels where tissue is turned inside out, in words."""
    if fraction is None:
        return "–"
    if fraction == 0:
        return _("none")
    return _("⚠ {percent} of the voxels, magenta in the views").format(percent=percent(fraction))

"""Display switches → the nodes that show the pair."""

from __future__ import annotations

import math
from typing import Any

from trame_server.state import State

from ElasticHyperRegLib.mrml import (
    GlyphStyle,
    Ready,
    RegistrationDisplay,
    Sensed,
    Unsensed,
    spread_legend,
)
from ElasticHyperRegLib.mrml.display import MODES
from ElasticHyperRegLib.mrml.glyph_style import STYLES as GLYPHS
from ElasticHyperRegLib.mrml.grey import Window, usual_windows
from ElasticHyperRegLib.mrml.spreads import OFF, SPREADS

from .live import Live, told

GLYPH_KEYS = ("glyphs", "glyph_spacing_mm", "glyph_scale")


class DisplayLogic:
    """Blend, volume change, arrows, sensitivity.

    Args:
        state: of the page.
        live: the open pair.
    """

    def __init__(self, state: State, live: Live) -> None:
        self._state = state
        self._live = live
        state.change("mode", "blend")(self._show_mode)
        state.change("grey_window")(self._show_grey)
        state.change("jacobian", "jacobian_opacity")(self._show_jacobian)
        state.change(*GLYPH_KEYS)(self._show_glyphs)
        state.change("sensitivity", "spread")(self._show_sensitivity)
        live.on(Ready, self._show_all)
        live.on(Sensed, self._take_sensitivity)
        live.on(Unsensed, self._drop_sensitivity)

    @property
    def _display(self) -> RegistrationDisplay | None:
        controller = self._live.controller
        return None if controller is None else controller.display

    def next_glyphs(self) -> None:
        """The next kind of arrows."""
        self._state.glyphs = GLYPHS[(GLYPHS.index(self._state.glyphs) + 1) % len(GLYPHS)]

    @told
    def sense(self) -> None:
        """Compute the sensitivity of what is shown."""
        self._live.now.sensitivity()

    @told
    def set_window(self, name: str) -> None:
        """One of the usual windows, or ``auto``."""
        display = self._live.now.display
        if display is not None:
            display.set_grey_window(usual_windows(display.values).get(name))
            self._tell_grey()

    def _show_all(self, _event: Ready) -> None:
        self._tell_grey()
        self._show_mode()
        self._show_jacobian()
        self._show_glyphs()

    @told
    def _show_mode(self, **_: Any) -> None:
        if self._display and self._state.mode in MODES:
            self._display.set_blend(float(self._state.blend) / 100)
            self._display.show(self._state.mode)

    def _tell_grey(self) -> None:
        """What there is to choose from, and what is shown."""
        if self._display:
            values, shown = self._display.values, self._display.grey_window
            usual = usual_windows(values)
            # The slider would cut off what lies beyond its ends.
            lows, highs = zip(values, shown, *usual.values(), strict=True)
            self._state.update(
                {
                    "grey_window": _rounded(shown, values),
                    "grey_range": _rounded((min(lows), max(highs)), values),
                    "grey_step": 10.0 ** -_digits(values),
                    "grey_windows": ["auto", *usual],
                }
            )

    @told
    def _show_grey(self, grey_window: list[float], **_: Any) -> None:
        if self._display is None:
            return
        low, high = sorted(map(float, grey_window))
        shown = _rounded(self._display.grey_window, self._display.values)
        if [low, high] != shown:  # else the page was told of it
            self._display.set_grey_window((low, max(high, low + self._state.grey_step)))

    @told
    def _show_jacobian(self, **_: Any) -> None:
        if self._display:
            opacity = float(self._state.jacobian_opacity) / 100
            self._display.set_jacobian(bool(self._state.jacobian), opacity)
        if self._state.jacobian:  # one overlay at a time
            self._state.sensitivity = False

    @told
    def _show_glyphs(self, **_: Any) -> None:
        if self._display:
            state = self._state
            spacing, scale = float(state.glyph_spacing_mm), float(state.glyph_scale)
            self._display.set_glyphs(GlyphStyle(state.glyphs, spacing, scale))

    def _take_sensitivity(self, event: Sensed) -> None:
        found = event.sensitivity
        self._state.sensitivity_rows = [
            {
                "name": name.replace("_", " "),
                **{kind: spread.text(means[spread.key]) for kind, spread in SPREADS.items()},
            }
            for name, means in found.means.items()
        ]
        self._state.sensitivity_legend = {
            kind: [
                {"value": text, "color": f"rgb{color}"}
                for _, color, text in spread_legend(spread.most(found), spread.unit)
            ]
            for kind, spread in SPREADS.items()
        }
        self._state.sensitivity_note = f"over {found.settings} settings"
        self._state.update({"sensitivity_known": True, "sensitivity": True, "jacobian": False})
        self._show_sensitivity()  # it may have been on already

    def _drop_sensitivity(self, _event: Unsensed) -> None:
        self._state.update({"sensitivity_known": False, "sensitivity": False})

    @told
    def _show_sensitivity(self, **_: Any) -> None:
        if self._display and self._state.sensitivity_known:
            shown = self._state.spread if self._state.sensitivity else OFF
            self._display.set_sensitivity(None, shown)
        if self._state.sensitivity:
            self._state.jacobian = False


def _rounded(window: Window, values: Window) -> list[float]:
    """A window in steps of ``_digits``."""
    return [round(value, _digits(values)) for value in window]


def _digits(values: Window) -> int:
    """Decimals of a step, of which the range of values has a hundred to a thousand."""
    return 2 - math.floor(math.log10(max(values[1] - values[0], 1e-6)))

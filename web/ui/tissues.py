"""The tissue table."""

from __future__ import annotations

from trame.ui.html import DivLayout
from trame.widgets import html
from trame.widgets import vuetify3 as vuetify
from trame_server import Server

from ..logic.tissues import TissueLogic
from .parts import icon_button, shows

TEMPLATE = "tissues"
STEP = 0.005
GREEK = {"lam": "λ", "mu": "μ"}
FULL = "; the other takes all there is: lower it first"
MEANING = {"lam": "resistance to change of volume", "mu": "resistance to change of shape"}


class TissueTable:
    """One row a tissue: λ, μ, preset, lock, reset. Built anew when a pair is opened.

    Args:
        server: of the page.
        logic: what the controls do.
    """

    def __init__(self, server: Server, logic: TissueLogic) -> None:
        self._server = server
        self._logic = logic
        self._rows = -1
        self.build(0)

    def build(self, rows: int) -> None:
        """Make the table with so many rows, unless it has them."""
        if rows == self._rows:
            return
        self._rows = rows
        with DivLayout(self._server, TEMPLATE) as layout:
            for index in range(rows):
                self._row(index)
            layout.flush_content()

    def _row(self, index: int) -> None:
        row = f"row_{index}"
        with html.Div(
            classes=(f"['tissue', {{absent: !{row}.present}}]",),
            raw_attrs=[f':data-tissue="{row}.name"'],
        ):
            with html.Div(classes="tissue-head"):
                html.Span(classes="swatch", style=(f"{{background: {row}.color}}",))
                html.Span(shows(f"{row}.title"), classes="tissue-name")
                html.Span(
                    f"E rel. {shows(row + '.young')}  ν {shows(row + '.poisson')}",
                    classes="moduli",
                    title="Young's modulus relative to the stiffest tissue, Poisson's ratio",
                )
                self._buttons(row)
            with html.Div(classes="weights"):
                for name in GREEK:
                    self._slider(index, name)

    def _buttons(self, row: str) -> None:
        icon_button(
            (f"{row}.locked ? 'mdi-lock' : 'mdi-lock-open-variant-outline'",),
            "Keep the ratio of λ and μ",
            click=(self._logic.lock, f"[{row}.name, !{row}.locked]"),
        )
        with (
            icon_button("mdi-tune-variant", "Presets"),
            vuetify.VMenu(activator="parent", max_height=420, max_width=430),
            vuetify.VList(density="compact", lines="two"),
        ):
            vuetify.VListItem(
                v_for="preset in presets",
                key="preset.value",
                title=("preset.title",),
                subtitle=("preset.hint",),
                click=(self._logic.set_preset, f"[{row}.name, preset.value]"),
                raw_attrs=[':data-preset="preset.value"'],
            )
        icon_button(
            "mdi-restore", "Back to the start values", click=(self._logic.reset, f"[{row}.name]")
        )

    def _slider(self, index: int, name: str) -> None:
        row, letter = f"row_{index}", GREEK[name]
        full = f"{row}.full.includes('{name}')"
        reach = f"'{MEANING[name]}, 0 to ' + {row}.most.{name} + ({full} ? '{FULL}' : '')"
        label = f":aria-label=\"{row}.title + ' {letter}'\""
        # A slider runs as far as the other weight lets it: one scale for all is drawn below it.
        scale = f"{{'--at': {row}.{name}, '--most': {row}.most.{name}}}"
        with html.Div(classes="weight", title=(reach,), style=(scale,)):
            html.Span(letter, classes="letter")
            with html.Div(
                classes="track",
                keyup=(self._logic.settle, f"[{index}, '{name}', {name}_{index}]"),
            ):
                vuetify.VSlider(
                    v_model=(f"{name}_{index}",),
                    min=0,
                    max=1,
                    step=STEP,
                    disabled=(full,),
                    end=(self._logic.settle, f"[{index}, '{name}', $event]"),
                    density="compact",
                    hide_details=True,
                    ripple=False,
                    color="primary",
                    thumb_size=16,
                    track_size=3,
                    # What is read aloud: the weight, not the place on the scale.
                    raw_attrs=[label, f':aria-valuetext="{row}.{name}" data-weight="{name}"'],
                )
            html.Input(
                classes="value",
                change=(self._logic.enter, f"[{index}, '{name}', $event.target.value]"),
                blur=f"$event.target.value = {row}.{name}",
                raw_attrs=[label, f':value="{row}.{name}" inputmode="decimal"'],
            )

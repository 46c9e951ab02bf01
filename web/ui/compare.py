"""Kept settings."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify

from ..logic.compare import CompareLogic
from .parts import icon_button


def build(logic: CompareLogic) -> None:
    """The tab Compare."""
    vuetify.VBtn(
        "Keep what is shown",
        click=logic.keep,
        prepend_icon="mdi-pin-outline",
        size="small",
        variant="tonal",
        disabled=("!pair_ready || !answer.number",),
        raw_attrs=['data-action="keep"'],
    )
    html.P(
        "Keep a setting, move the sliders, keep another; then switch between them here or with "
        "Shift+1, Shift+2 …",
        v_if=("!kept.length",),
        classes="note",
    )
    with html.Div(
        v_for="one in kept",
        key="one.name",
        classes=("['kept', {shown: one.name === shown_kept}]",),
        raw_attrs=[':data-kept="one.name"'],
    ):
        vuetify.VBtn(
            "{{ one.name }}",
            click=(logic.switch_to, "[one.name]"),
            size="small",
            color=("one.name === shown_kept ? 'primary' : undefined",),
            variant="flat",
            title="Show it again",
        )
        with html.Div(classes="kept-text"):
            html.Div("{{ v.name }}: {{ v.text }}", v_for="v in one.values", key="v.name")
            with html.Div(classes="note"):
                html.Span("Dice {{ one.dice }}  ", v_if=("one.dice",))
                html.Span("folds {{ one.folds }}", v_if=("one.folds",))
        icon_button("mdi-close", "Forget it", click=(logic.forget, "[one.name]"))

"""Display switches."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify

from ElasticHyperRegLib.mrml.display import MODES
from ElasticHyperRegLib.mrml.glyph_style import STYLES as GLYPHS

from ..logic.display import DisplayLogic
from .parts import choice, shows, slider

MODE_ICONS = dict(
    zip(
        MODES,
        (
            "mdi-image-outline",
            "mdi-image-move",
            "mdi-layers-outline",
            "mdi-checkerboard",
            "mdi-minus-box-multiple-outline",
            "mdi-lightning-bolt-outline",
        ),
        strict=True,
    )
)

SPREAD_TEXTS = {
    "displacement": ("displacement", "How far a point's place depends on the settings"),
    "volume": ("volume change", "How far the local volume change depends on the settings"),
}
"""By the names of the library's ``SPREADS``."""


def build(logic: DisplayLogic) -> None:
    """The tab Display."""
    with choice("mode", classes="modes"):
        for number, mode in enumerate(MODES, start=1):
            vuetify.VBtn(
                mode,
                value=mode,
                prepend_icon=MODE_ICONS[mode],
                size="small",
                title=f"{mode} (key {number})",
                raw_attrs=[f'data-mode="{mode}"'],
            )
    slider("Blend, fixed to warped", "blend", (0, 100, 1), v_if=("mode === 'blend'",))
    _grey(logic)
    with html.Div(classes="switch-row"):
        _switch("jacobian", "Volume change (Jacobian)")
        slider("Opacity", "jacobian_opacity", (10, 100, 5), v_if=("jacobian",), classes="short")
    _legend("jacobian", "legend")
    _glyphs()
    with html.Div(classes="switch-row"):
        _switch("sensitivity", "Sensitivity", disabled=("!sensitivity_known",))
        html.Div(classes="grow")
        vuetify.VBtn(
            "Compute",
            click=logic.sense,
            raw_attrs=['data-action="sense"'],
            size="small",
            variant="tonal",
            disabled=("!pair_ready || busy.includes('sensitivity')",),
            title="How far the result depends on the settings",
        )
    _spread_choice()
    _legend("sensitivity", "sensitivity_legend[spread]")
    _spread_table()


def _grey(logic: DisplayLogic) -> None:
    """Brightness and contrast."""
    with html.Div(classes="switch-row", v_if=("grey_windows.length",)):
        html.Span("Window", classes="row-label", title="Values shown from black to white")
        vuetify.VBtn(
            "{{ name }}",
            v_for="name in grey_windows",
            key="name",
            click=(logic.set_window, "[name]"),
            size="small",
            variant="tonal",
            raw_attrs=[':data-window="name"'],
        )
    with html.Div(classes="window", v_if=("grey_windows.length",)):
        html.Span(shows("grey_window[0]"), classes="value")
        vuetify.VRangeSlider(
            v_model=("grey_window",),
            min=("grey_range[0]",),
            max=("grey_range[1]",),
            step=("grey_step",),
            density="compact",
            hide_details=True,
            color="primary",
            thumb_size=14,
            track_size=3,
            raw_attrs=['aria-label="Values shown from black to white"', 'data-slider="grey"'],
        )
        html.Span(shows("grey_window[1]"), classes="value")


def _spread_choice() -> None:
    """Which of the spreads is painted."""
    with html.Div(classes="switch-row", v_if=("sensitivity",)):
        html.Span("Spread of the", title="Standard deviation over the settings compared")
        with choice("spread"):
            for kind, (name, meaning) in SPREAD_TEXTS.items():
                vuetify.VBtn(
                    name,
                    value=kind,
                    size="small",
                    title=meaning,
                    raw_attrs=[f'data-spread="{kind}"'],
                )


def _spread_table() -> None:
    """Standard deviations by tissue."""
    with html.Table(classes="figures", v_if=("sensitivity",), raw_attrs=['data-table="spread"']):
        with html.Thead(), html.Tr():
            html.Th("{{ sensitivity_note }}")
            for name, _ in SPREAD_TEXTS.values():
                html.Th(name, title=f"standard deviation of the {name}, mean over the tissue")
        with html.Tbody(), html.Tr(v_for="row in sensitivity_rows", key="row.name"):
            html.Th("{{ row.name }}")
            for kind in SPREAD_TEXTS:
                html.Td(shows(f"row.{kind}"))


def _switch(name: str, label: str, **kwargs: object) -> None:
    vuetify.VSwitch(
        v_model=(name,),
        label=label,
        color="primary",
        density="compact",
        hide_details=True,
        raw_attrs=[f'data-switch="{name}"'],
        **kwargs,
    )


def _legend(shown: str, steps: str) -> None:
    """The colours of an overlay while it is ``shown``; the views have no legend of their own."""
    with (
        html.Div(v_if=(shown,), classes="legend", raw_attrs=[f'data-legend="{shown}"']),
        html.Div(v_for=f"step in {steps}", key="step.value", classes="legend-step"),
    ):
        html.Div(classes="legend-color", style=("{background: step.color}",))
        html.Span("{{ step.value }}")
        html.Span("{{ step.text }}")


def _glyphs() -> None:
    with html.Div(classes="switch-row"):
        html.Span("Deformation", classes="row-label", title="Without the initial alignment")
        with choice("glyphs"):
            for style in GLYPHS:
                vuetify.VBtn(style, value=style, size="small", raw_attrs=[f'data-glyphs="{style}"'])
    with html.Div(v_if=("glyphs !== 'off'",)):
        slider("Distance ${glyph_spacing_mm} mm", "glyph_spacing_mm", (5, 40, 1))
        slider("Length × ${glyph_scale}", "glyph_scale", (0.5, 5, 0.5))

"""Finding the parameters, and the heat map of the answer."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify
from trame_client.widgets.core import HtmlElement

from ..logic.estimate import EstimateLogic
from .parts import select, shows

HINT = "`or weights: ${objectives[0]}=1, ${objectives[0] === 'dice' ? 'similarity' : 'folds'}=0.5`"
FRAME = (
    'viewBox="-0.2 -0.06 1.28 1.2" class="heat-map" role="img" aria-label="Score over λ and μ" '
    'font-size="0.075" fill="currentColor"'
)
TICKS = (0, 0.5, 1)
CELL = (
    'v-for="(c, n) in surface.cells" :key="n" :fill="c.color" '
    'shape-rendering="crispEdges" :x="c.lam - surface.side / 2" :y="1 - c.mu - surface.side / 2" '
    ':width="surface.side" :height="surface.side"'
)
TRIED = (
    'v-for="(t, n) in surface.tried" :key="n" :cx="t.lam" :cy="1 - t.mu" r="0.012" '
    'fill="#000" fill-opacity="0.45" data-tried="1"'
)
CHOSEN = (
    ':cx="surface.lam" :cy="1 - surface.mu" r="0.026" fill="#fff" stroke="#000" '
    'stroke-width="0.012" data-chosen="1"'
)


def build(logic: EstimateLogic) -> None:
    """The tab Estimate."""
    with html.Div(classes="two"):
        _judge()
        select("Search", "method", ("methods",))
    with html.Div(classes="switch-row"):
        vuetify.VBtn(
            "Estimate λ and μ",
            click=logic.start,
            color="primary",
            size="small",
            disabled=("!pair_ready || busy.includes('estimate')",),
            raw_attrs=['data-action="estimate"'],
        )
        vuetify.VBtn(
            "Cancel",
            click=logic.cancel,
            size="small",
            variant="tonal",
            v_if=("busy.includes('estimate')",),
            raw_attrs=['data-action="cancel"'],
        )
        html.Span("{{ progress }} %", v_if=("busy.includes('estimate')",), classes="value")
    with html.Div(v_if=("estimate.rows",), classes="estimate"):
        html.P("{{ estimate.evidence }}", classes="note")
        _heat_map()
        _scores()
        with html.Details(v_if=("estimate.warnings.length",)):
            html.Summary("Not determined by the evidence: {{ estimate.warnings.length }}")
            html.P("{{ line }}", v_for="line in estimate.warnings", key="line", classes="note")
        html.P(
            "{{ estimate.fields }} fields in {{ estimate.seconds }} s. The values are set; "
            "undo brings yours back.",
            v_if=("estimate.rows.length",),
            classes="note",
        )


def _judge() -> None:
    """One objective, or several with weights in words."""
    vuetify.VCombobox(
        label="Judge by",
        v_model=("objective",),
        items=("objectives",),
        density="compact",
        variant="outlined",
        hint=(HINT,),
        persistent_hint=True,
        raw_attrs=['data-field="objective"'],
    )


def _heat_map() -> None:
    with html.Div(v_if=("surface.cells",), classes="heat"):
        select("Tissue", "surface_tissue", ("estimate.tissues",), v_if=("estimate.tissues.length",))
        with HtmlElement("svg", raw_attrs=[FRAME]):
            HtmlElement("rect", raw_attrs=[CELL])
            with HtmlElement("circle", raw_attrs=[TRIED]):
                HtmlElement("title", "{{ t.text }}")
            HtmlElement("circle", raw_attrs=[CHOSEN])
            for tick in TICKS:
                below = f'x="{tick}" y="1.1" text-anchor="middle"'
                beside = f'x="-0.05" y="{1 - tick + 0.025:g}" text-anchor="end"'
                for place in (below, beside):
                    HtmlElement("text", f"{tick:g}", raw_attrs=[place])
            HtmlElement("text", "λ", raw_attrs=['x="0.75" y="1.1" text-anchor="middle"'])
            HtmlElement("text", "μ", raw_attrs=['x="-0.05" y="0.27" text-anchor="end"'])
        with html.Div(classes="heat-scale"):
            html.Span("{{ surface.low }}")
            html.Div(classes="ramp", style=("{background: surface.ramp}",))
            html.Span("{{ surface.high }}")


def _scores() -> None:
    with html.Table(classes="figures", v_if=("estimate.rows.length",)):
        with html.Thead(), html.Tr():
            for title in ("", "λ", "μ", "before", "after"):
                html.Th(title)
        with html.Tbody(), html.Tr(v_for="row in estimate.rows", key="row.name"):
            html.Th("{{ row.name }}")
            for name in ("lam", "mu", "before", "after"):
                html.Td(shows(f"row.{name}"))

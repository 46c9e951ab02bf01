"""The table of figures."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify

from ..logic.quality import QualityLogic
from .parts import shows

COLUMNS = (
    ("dice", "Dice", "overlap of the labels, before → after"),
    ("hd95", "HD95 mm", "distance of the borders but for the worst 5 %, before → after"),
    ("volume", "volume", "mean change of volume from fixed to moving"),
    ("folds", "folds", "voxels turned inside out"),
    ("strain", "strain", "mean change of shape: equivalent (von Mises) strain"),
    ("stress", "stress", "mean von Mises stress, relative to the highest of all tissues"),
    (
        "pull",
        "pull",
        "how much of the tissue's shape the images alone hold: 0 where it rests in elastic"
        " equilibrium, about 1 where nothing but the images shapes it (RMS of div σ by RMS of ∇σ,"
        " two nodes of the field inside the tissue's border; empty where none is)",
    ),
)


def build(logic: QualityLogic) -> None:
    """The tab Quality."""
    with html.Div(classes="switch-row"):
        vuetify.VBtn(
            "Measure again",
            click=logic.measure,
            size="small",
            variant="tonal",
            disabled=("!pair_ready || busy.includes('measure')",),
        )
        html.Span("out of date", v_if=("quality.stale",), classes="note warning")
    html.P("The figures appear when the sliders rest.", v_if=("!quality.rows",), classes="note")
    with html.Div(v_if=("quality.rows",), classes=("{stale: quality.stale}",)):
        with html.Table(classes="figures", raw_attrs=['data-table="quality"']):
            with html.Thead(), html.Tr():
                html.Th("")
                for _, title, meaning in COLUMNS:
                    html.Th(title, title=meaning)
            with html.Tbody(), html.Tr(v_for="row in quality.rows", key="row.name"):
                html.Th("{{ row.name }}")
                for name, _, _ in COLUMNS:
                    html.Td(shows(f"row.{name}"), title=(f"row.titles.{name}",))
        html.P("{{ line }}", v_for="line in quality.lines", key="line", classes="note")

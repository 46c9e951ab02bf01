"""The page as a whole: bar, panel, views, dialogs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as vuetify
from trame_server import Server

from ..logic.compare import CompareLogic
from ..logic.display import DisplayLogic
from ..logic.estimate import EstimateLogic
from ..logic.opening import OpeningLogic
from ..logic.quality import QualityLogic
from ..logic.tissues import TissueLogic
from ..scene import Views
from ..state import TABS
from . import compare, display, estimate, help, opening, quality
from .parts import icon_button
from .tissues import TEMPLATE


@dataclass(frozen=True, eq=False)
class Logics:
    """What the parts of the page call."""

    tissues: TissueLogic
    display: DisplayLogic
    estimate: EstimateLogic
    compare: CompareLogic
    quality: QualityLogic
    opening: OpeningLogic
    demo: Callable[[], Awaitable[None]]


def build(server: Server, views: Views, logics: Logics) -> None:
    """Make the page."""
    with VAppLayout(server) as layout:
        layout.root.theme = ("theme",)
        _bar(logics)
        with vuetify.VMain(), html.Div(classes="page"):
            with html.Div(classes="panel", raw_attrs=['aria-label="Settings"']):
                _panel(logics)
            with html.Div(classes="views"):
                views.layout.initialize_layout_grid(layout)
                html.Div("{{ status }}", v_if=("!pair_ready",), classes="curtain")
        opening.build(logics.opening, logics.demo)
        help.build()
        with (
            vuetify.VSnackbar(
                "{{ message }}",
                v_model=("message_open",),
                timeout=("message_bad ? -1 : 5000",),
                color=("message_bad ? 'error' : undefined",),
                multi_line=True,
                raw_attrs=['data-message="1"', 'role="status"'],
            ),
            vuetify.Template(v_slot_actions=True),
        ):
            vuetify.VBtn("Close", click="message_open = false", variant="text")
        # Also when the page comes back: it may have been ready while the connection was lost.
        client.ClientStateChange(
            value="download",
            change="window.elasticHyperReg.download(download)",
            trigger_on_create=True,
        )


def _bar(logics: Logics) -> None:
    with vuetify.VAppBar(density="compact", flat=True, border="b"):
        html.Div("ElasticHyperReg", classes="brand")
        html.Div("Research use only", classes="research")
        html.Div("{{ pair_title }}", classes="pair-title")
        vuetify.VSpacer()
        _progress(logics)
        icon_button("mdi-folder-open-outline", "Open a pair (O)", click="open_dialog = true")
        icon_button("mdi-undo", "Undo (Ctrl+Z)", click=logics.tissues.undo, disabled=("!can_undo",))
        icon_button("mdi-redo", "Redo (Ctrl+Y)", click=logics.tissues.redo, disabled=("!can_redo",))
        icon_button(
            "mdi-download-outline",
            "Register at full resolution, and download the result folder (D)",
            click=logics.quality.export,
            disabled=("!pair_ready || busy.includes('register')",),
        )
        icon_button(
            "mdi-theme-light-dark",
            "Dark or light (T)",
            click="theme = theme === 'dark' ? 'light' : 'dark'",
        )
        icon_button("mdi-keyboard-outline", "Keyboard (?)", click="help_open = true")


def _progress(logics: Logics) -> None:
    """What goes on, and a way to stop it."""
    with html.Div(classes="doing", raw_attrs=['aria-live="polite"']):
        html.Span("{{ status }}", classes="status", title=("status",))
        long = "busy.some(b => ['prepare', 'estimate', 'sensitivity', 'register'].includes(b))"
        vuetify.VProgressLinear(
            v_if=(long,),
            model_value=("progress",),
            indeterminate=("busy.includes('prepare')",),
            color="primary",
            height=4,
            rounded=True,
        )
        vuetify.VBtn(
            "Cancel",
            v_if=("busy.some(b => ['estimate', 'sensitivity', 'register'].includes(b))",),
            click=logics.estimate.cancel,
            size="x-small",
            variant="tonal",
        )


def _panel(logics: Logics) -> None:
    with html.Div(classes="panel-head"):
        html.H2("Tissues")
        html.Span(
            "{{ model_line }}",
            classes="note model-line",
            title=("model_line",),
        )
        vuetify.VCheckbox(
            v_model=("live",),
            label="live",
            density="compact",
            hide_details=True,
            title="Update while a slider moves; otherwise when it is let go",
        )
        icon_button(
            "mdi-restore",
            "All back to the start values",
            click=(logics.tissues.reset, "[null]"),
            disabled=("!pair_ready",),
        )
    with html.Div(classes="tissue-list", v_show=("pair_ready",)):
        client.ServerTemplate(name=TEMPLATE)
    html.P("{{ note }}", v_for="note in notes", key=("note",), classes="note")
    _answer()
    with vuetify.VTabs(v_model=("tab",), density="compact", grow=True, color="primary", height=36):
        for name in TABS:
            vuetify.VTab(name, value=name, raw_attrs=[f'data-tab="{name}"'])
    builders = {
        "display": lambda: display.build(logics.display),
        "estimate": lambda: estimate.build(logics.estimate),
        "compare": lambda: compare.build(logics.compare),
        "quality": lambda: quality.build(logics.quality),
    }
    for name in TABS:
        with html.Div(v_show=(f"tab === '{name}'",), classes="tab"):
            builders[name]()


def _answer() -> None:
    """How the picture came about; how fast stands in the bar."""
    with html.Div(classes="answer", v_if=("answer.number",), raw_attrs=['data-answer="1"']):
        html.Span(
            "{{ answer.stage }}",
            classes=("['stage', {final: answer.final}]",),
            raw_attrs=[':data-number="answer.number"'],
        )
        html.Span("Dice {{ answer.dice }}", v_if=("answer.dice",))
        html.Span("folds {{ answer.folds }}", v_if=("answer.folds",))
        html.Span("J {{ answer.jacobian }}", v_if=("answer.jacobian",))

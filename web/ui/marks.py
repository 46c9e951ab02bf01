"""Which way a slice looks, where it lies and how large it is, drawn by the browser over it."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_server import Server

from ..views import EDGES, FlatView
from .parts import shows


def build(server: Server, view_id: str, view: FlatView) -> None:
    """Letters at the edges, position and ruler of one slice; they cost its drawing nothing."""
    name = f"{view_id}_marks"

    def tell(*_: Any) -> None:
        server.state[name] = view.marks

    view.modified.connect(tell)
    tell()
    with html.Div(classes="marks", v_if=("pair_ready",), raw_attrs=[f'data-marks="{view_id}"']):
        for edge in EDGES:
            html.Span(shows(f"{name}.{edge}"), classes=f"edge {edge}")
        html.Span(shows(f"{name}.position"), classes="position")
        with html.Div(classes="ruler", style=(f"{{width: {name}.ruler_part}}",)):
            html.Span(shows(f"{name}.ruler"))

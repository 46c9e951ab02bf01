"""What the keys do."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify

KEYS = (
    ("1 … 6", "fixed, warped, blend, checkerboard, difference, flicker"),
    ("J", "volume change on and off"),
    ("G", "deformation without the initial alignment: off, arrows, cones, grid"),
    ("K", "keep what is shown"),
    ("Shift+1, 2 …", "show a kept setting"),
    ("Q W, A S, Z X", "step through the axial, coronal, sagittal slices"),
    ("Ctrl+Z, Ctrl+Y", "undo, redo"),
    ("E, Esc", "estimate, cancel"),
    ("O, D", "open a pair, download the result"),
    ("T, ?", "dark or light, this list"),
    ("Tab, arrows", "from slider to slider, and along it"),
)


def build() -> None:
    """The dialog."""
    with (
        vuetify.VDialog(v_model=("help_open",), max_width=520),
        vuetify.VCard(title="Keyboard"),
        vuetify.VCardText(),
        html.Table(classes="keys"),
        html.Tbody(),
    ):
        for key, meaning in KEYS:
            with html.Tr():
                html.Th(key)
                html.Td(meaning)

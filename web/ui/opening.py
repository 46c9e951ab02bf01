"""The dialog in which a pair is chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trame.widgets import html
from trame.widgets import vuetify3 as vuetify

from ..inputs import ACCEPTED
from ..logic.opening import OpeningLogic
from .parts import icon_button, select, shows

TITLES = {
    "fixed": "Fixed scan, which stays",
    "moving": "Moving scan, which is deformed",
    "fixed_labels": "Tissue labels of the fixed scan (optional)",
    "moving_labels": "Tissue labels of the moving scan (optional)",
}


SIMILARITIES = (
    "[{title: 'automatic', value: 'auto'}, {title: 'within one modality', value: 'ncc'}, "
    "{title: 'across modalities', value: 'mind'}]"
)


def build(logic: OpeningLogic, demo: Callable[[], Awaitable[None]]) -> None:
    """The dialog."""
    with (
        vuetify.VDialog(v_model=("open_dialog",), max_width=720, scrollable=True),
        vuetify.VCard(title="Open a pair of scans", classes="open-dialog"),
    ):
        with vuetify.VCardText():
            _notes()
            for role, title in TITLES.items():
                _file(logic, role, title)
            with html.Div(classes="three"):
                select(
                    "Initial alignment",
                    "initial_alignment",
                    ("['none', 'translation', 'rigid', 'affine']",),
                )
                select("Tissue names", "scheme", ("schemes",), clearable=True)
                select("Model", "model", ("models",))
                select("Similarity", "similarity", (SIMILARITIES,))
        with vuetify.VCardActions():
            vuetify.VBtn(
                "Open the demo", click=demo, variant="text", raw_attrs=['data-action="demo"']
            )
            vuetify.VSpacer()
            vuetify.VBtn("Close", click="open_dialog = false", v_if=("pair_ready",))
            vuetify.VBtn(
                "Register",
                click=logic.start,
                color="primary",
                variant="flat",
                disabled=("!given.fixed || !given.moving || uploading.length > 0",),
                raw_attrs=['data-action="start"'],
            )


def _notes() -> None:
    html.P(
        "NIfTI, NRRD or MetaImage files, or a zip archive with the slices of one "
        "DICOM series. Files stay on this server only while the page is open.",
        classes="note",
    )
    html.P(
        "Another pair takes the place of the open one, whose kept settings, estimate and "
        "steps of undo go with it.",
        v_if=("pair_ready",),
        classes="note",
    )


def _file(logic: OpeningLogic, role: str, title: str) -> None:
    with html.Div(classes="file", raw_attrs=[f'data-role="{role}"']):
        html.Div(title, classes="file-title")
        with html.Div(classes="file-row"):
            html.Input(
                type="file",
                raw_attrs=[
                    f'accept="{",".join(ACCEPTED)},.gz" aria-label="{title}" '
                    f"@change=\"window.elasticHyperReg.upload('{role}', $event)\""
                ],
            )
            vuetify.VProgressCircular(
                v_if=(f"uploading.includes('{role}')",),
                indeterminate=True,
                size=20,
                width=2,
                raw_attrs=['data-uploading aria-label="uploading"'],
            )
            html.Span("✓ " + shows(f"given.{role}"), v_if=(f"given.{role}",), classes="given")
            icon_button(
                "mdi-close",
                f"Take back: {title}",
                v_if=(f"given.{role}",),
                click=(logic.remove, f"['{role}']"),
            )
        vuetify.VAutocomplete(
            v_if=("data_names.length",),
            label="or from the server's folder",
            items=("data_names",),
            density="compact",
            variant="outlined",
            hide_details=True,
            update_modelValue=(logic.take_from_folder, f"['{role}', $event]"),
        )
        html.P(
            shows(f"problems.{role}"),
            v_if=(f"problems.{role}",),
            classes="note problem",
            raw_attrs=['role="alert"'],
        )

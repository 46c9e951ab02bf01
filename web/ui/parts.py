"""Small pieces that several parts of the page use."""

from __future__ import annotations

from typing import Any

from trame.widgets import vuetify3 as vuetify


def shows(expression: str) -> str:
    """Text of the page that follows a state expression."""
    return "{{ " + expression + " }}"


def icon_button(icon: str | tuple[str], title: str, **kwargs: Any) -> vuetify.VBtn:
    """A button that shows an icon (or one by an expression), with ``title`` for everyone."""
    button = vuetify.VBtn(
        icon=True,
        variant="text",
        density="comfortable",
        size="small",
        title=title,
        raw_attrs=[f'aria-label="{title}"'],
        **kwargs,
    )
    with button:
        vuetify.VIcon(icon=icon)
    return button


def choice(name: str, **kwargs: Any) -> vuetify.VBtnToggle:
    """Buttons side by side, to be put into it, of which one is chosen: the state ``name``."""
    return vuetify.VBtnToggle(
        v_model=(name,),
        mandatory=True,
        density="compact",
        variant="outlined",
        divided=True,
        **kwargs,
    )


def select(label: str, name: str, items: Any, **kwargs: Any) -> vuetify.VSelect:
    """A compact drop-down bound to the state ``name``."""
    return vuetify.VSelect(
        label=label,
        v_model=(name,),
        items=items,
        density="compact",
        variant="outlined",
        hide_details=True,
        **kwargs,
    )


def slider(label: str, name: str, limits: tuple[float, float, float], **kwargs: Any) -> None:
    """A labelled slider bound to the state ``name``; ``limits`` are least, most and step.

    The label may name the value as ``${name}``.
    """
    least, most, step = limits
    vuetify.VSlider(
        label=(f"`{label}`",),
        v_model=(name,),
        min=least,
        max=most,
        step=step,
        density="compact",
        hide_details=True,
        color="primary",
        thumb_size=14,
        track_size=3,
        raw_attrs=[f':aria-label="`{label}`"'],
        **kwargs,
    )

"""What the keys do; the browser sends their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trame_server.state import State

from ElasticHyperRegLib.mrml.display import MODES

from .scene import Views
from .ui.layout import Logics

SLICE_KEYS = (("Q", "W"), ("A", "S"), ("Z", "X"))


class Keys:
    """Keys → what the controls of the page do.

    Args:
        state: of the page.
        views: whose slices are stepped through.
        logics: what else is called.
    """

    def __init__(self, state: State, views: Views, logics: Logics) -> None:
        self._actions: dict[str, Callable[[], object]] = {
            "KeyJ": partial(self._toggle, "jacobian"),
            "KeyG": logics.display.next_glyphs,
            "KeyK": logics.compare.keep,
            "KeyE": logics.estimate.start,
            "Escape": logics.estimate.cancel_if_busy,
            "KeyO": partial(self._toggle, "open_dialog"),
            "KeyD": logics.quality.export,
            "KeyT": self._swap_theme,
            "?": partial(self._toggle, "help_open"),
            "ctrl+KeyZ": logics.tissues.undo,
            "ctrl+KeyY": logics.tissues.redo,
            "ctrl+shift+KeyZ": logics.tissues.redo,
        }
        self._state = state
        for place, mode in enumerate(MODES):
            self._actions[f"Digit{place + 1}"] = partial(self._set, "mode", mode)
            show = partial(logics.compare.switch_to_number, place)
            self._actions[f"shift+Digit{place + 1}"] = show
        for view, (back, forth) in enumerate(SLICE_KEYS):
            self._actions[f"Key{back}"] = partial(views.step, view, -1)
            self._actions[f"Key{forth}"] = partial(views.step, view, 1)

    def press(self, name: str) -> None:
        """A key was pressed; others than ours do nothing."""
        action = self._actions.get(name)
        if action is not None:
            action()

    def _toggle(self, name: str) -> None:
        self._state[name] = not self._state[name]

    def _set(self, name: str, value: str) -> None:
        self._state[name] = value

    def _swap_theme(self) -> None:
        self._state.theme = "light" if self._state.theme == "dark" else "dark"

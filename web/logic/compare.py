"""Settings that are kept to be compared, A, B and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame_server.state import State

from ElasticHyperRegLib.mrml import Kept, Ready, Updated, free_name, percent

from .live import Live, told


class CompareLogic:
    """Keeps what is shown, and shows it again.

    Args:
        state: of the page.
        live: the open pair.
        show_settings: has the table of tissues stand as they are.
    """

    def __init__(self, state: State, live: Live, show_settings: Callable[[], None]) -> None:
        self._state = state
        self._live = live
        self._show_settings = show_settings
        live.on(Ready, self._refresh)
        live.on(Updated, self._answered)

    @told
    def keep(self) -> None:
        """Keep what is shown under the next free letter."""
        self._live.now.keep(free_name([kept.name for kept in self._live.now.kept]))
        self._refresh()

    @told
    def switch_to(self, name: str) -> None:
        """Show a kept setting again."""
        self._live.now.switch_to(name)
        self._show_settings()
        self._mark()

    @told
    def switch_to_number(self, number: int) -> None:
        """Show the kept setting of that place in the list, from 0."""
        kept = self._live.now.kept
        if number < len(kept):
            self.switch_to(kept[number].name)

    @told
    def forget(self, name: str) -> None:
        """Remove a kept setting."""
        self._live.now.forget(name)
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        controller = self._live.controller
        self._state.kept = [] if controller is None else [shown(kept) for kept in controller.kept]
        self._mark()

    def _answered(self, event: Updated) -> None:
        """A final answer may be that of a setting which was kept before it was there."""
        if event.final:
            self._refresh()
        else:
            self._mark()

    def _mark(self, *_: Any) -> None:
        controller = self._live.controller
        self._state.shown_kept = "" if controller is None else controller.shown_kept


def shown(kept: Kept) -> dict[str, Any]:
    """A kept setting as a row of the list."""
    metrics = kept.metrics
    dice = metrics.get("mean_dice", {}).get("after")
    folds = metrics.get("folds_fraction")
    return {
        "name": kept.name,
        "values": [
            {
                "name": name.replace("_", " "),
                "text": f"λ {value.lam:.3f}  μ {value.mu:.3f}",
            }
            for name, value in kept.elasticity.items()
        ],
        "dice": "" if dice is None else f"{dice:.3f}",
        "folds": "" if folds is None else percent(folds),
    }

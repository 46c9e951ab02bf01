"""The tissue table: sliders ↔ λ and μ."""

from __future__ import annotations

from functools import partial
from typing import Any

from trame_server.state import State

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml import Estimated, Ready, TissueRow
from ElasticHyperRegLib.tissues import slider_to_value, value_to_slider

from .live import Live, told

NAMES = ("lam", "mu")
DIGITS = 3


class TissueLogic:
    """Sliders of every tissue, presets, locks, reset, undo.

    State, for row ``i``: ``lam_i`` and ``mu_i`` are the sliders' positions (0 to 1) and
    ``row_i`` what else its row shows.

    Args:
        state: of the page.
        live: the open pair.
    """

    def __init__(self, state: State, live: Live) -> None:
        self._state = state
        self._live = live
        self._written: dict[str, float] = {}
        self._watched = 0
        state.change("live")(self._set_live)
        live.on(Ready, self._begin)
        live.on(Estimated, self.refresh)

    @property
    def rows(self) -> list[TissueRow]:
        """The table as it stands."""
        controller = self._live.controller
        return [] if controller is None else controller.tissues

    @told
    def settle(self, index: int, name: str, position: float) -> None:
        """A slider was let go at a position, which the page may not have been sent yet."""
        self._move(index, name, position)
        self._live.now.settle()

    @told
    def enter(self, index: int, name: str, text: str) -> None:
        """A value was typed."""
        row = self.rows[index]
        try:
            value = float(text.replace(",", "."))
        except ValueError as error:
            expected = f"a number from 0 to {row.most(name):.3f}"
            raise InputError(f"'{text}' for a weight of {row.name}", expected) from error
        self._live.now.set_elasticity(row.name, **{name: value})
        self._live.now.settle()
        self.refresh()

    @told
    def set_preset(self, tissue: str, preset: str) -> None:
        """A preset was chosen."""
        self._live.now.set_preset(tissue, preset)
        self.refresh()

    @told
    def reset(self, tissue: str | None = None) -> None:
        """Back to the start, one tissue or all."""
        self._live.now.reset(tissue)
        self.refresh()

    @told
    def lock(self, tissue: str, locked: bool) -> None:
        """Keep λ/μ, or let it go."""
        self._live.now.lock_ratio(tissue, locked)
        self.refresh()

    @told
    def undo(self) -> None:
        """One step back."""
        self._live.now.undo()
        self.refresh()

    @told
    def redo(self) -> None:
        """One step forward again."""
        self._live.now.redo()
        self.refresh()

    def _begin(self, _event: Ready) -> None:
        self._set_live()
        self.refresh()

    def _set_live(self, **_: Any) -> None:
        """Update while a slider moves, or only once it rests."""
        if self._live.controller is not None:
            self._live.controller.live = bool(self._state.live)

    def _watch(self, count: int) -> None:
        for index in range(self._watched, count):
            for name in NAMES:
                self._state.change(f"{name}_{index}")(partial(self._moved, index, name))
        self._watched = max(self._watched, count)

    @told
    def _moved(self, index: int, name: str, **_: Any) -> None:
        """The browser moved a slider."""
        self._move(index, name, self._state[f"{name}_{index}"])

    def _move(self, index: int, name: str, position: float) -> None:
        """Set λ or μ; a position that the page wrote itself is left alone."""
        key, rows = f"{name}_{index}", self.rows
        if position == self._written.get(key) or index >= len(rows):
            return
        row = rows[index]
        value = slider_to_value(float(position), row.most(name))
        self._live.now.set_elasticity(row.name, **{name: value})
        self._written[key] = position
        self.refresh(moving=key)

    def refresh(self, *_: Any, moving: str = "") -> None:
        """Show λ and μ as they are set, but for a slider that is ``moving``."""
        rows = self.rows
        self._watch(len(rows))
        for index, row in enumerate(rows):
            self._state[f"row_{index}"] = shown(row)
            for name in NAMES:
                key = f"{name}_{index}"
                if key == moving:  # under the user's hand: it must not jump
                    continue
                position = value_to_slider(getattr(row, name), row.most(name))
                self._written[key] = position
                self._state[key] = position


def shown(row: TissueRow) -> dict[str, Any]:
    """What a row shows beside its sliders."""
    red, green, blue = row.color
    return {
        "name": row.name,
        "title": row.name.replace("_", " "),
        "color": f"rgb({red},{green},{blue})",
        "lam": f"{row.lam:.{DIGITS}f}",
        "mu": f"{row.mu:.{DIGITS}f}",
        "young": f"{row.young:.2f}",
        "poisson": f"{row.poisson:.2f}",
        "present": row.present,
        "locked": row.locked,
        "most": {name: round(row.most(name), DIGITS) for name in NAMES},
        "full": [name for name in NAMES if row.most(name) == 0],
    }

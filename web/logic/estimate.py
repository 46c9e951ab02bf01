"""Finding the parameters of the pair, and the picture of how well they are determined."""

from __future__ import annotations

from typing import Any

from trame_server.state import State

from ElasticHyperRegLib.engine.elasticity import EVERYWHERE
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.estimation.options import parse_objective
from ElasticHyperRegLib.estimation.surface import Surface
from ElasticHyperRegLib.mrml import Estimated, Failed, Ready, Surfaced

from .live import Live, told

CELLS = 24
"""Of the heat map along each axis."""
VIRIDIS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")


class EstimateLogic:
    """Starts and stops estimation; keeps its answer for the heat map.

    Args:
        state: of the page.
        live: the open pair.
    """

    def __init__(self, state: State, live: Live) -> None:
        self._state = state
        self._live = live
        self._found: Any = None
        live.on(Estimated, self._show)
        live.on(Surfaced, self._show_first)
        live.on(Failed, self._drop_first)
        live.on(Ready, self._forget)
        state.change("surface_tissue")(self._show_surface)

    @told
    def start(self) -> None:
        """Find λ and μ for this pair; by what was chosen, or by weights in words."""
        self._state.progress = 0
        self._live.now.estimate(self._state.objective or "", self._state.method)

    @told
    def cancel(self) -> None:
        """Stop whatever takes long."""
        self._live.now.cancel()

    def cancel_if_busy(self) -> None:
        """Stop what takes long, where something does."""
        if {"estimate", "sensitivity", "register"} & set(self._state.busy):
            self.cancel()

    def _forget(self, event: Ready) -> None:
        self._found = None
        state = self._state
        state.update({"estimate": {}, "surface": {}, "surface_tissue": ""})
        state.objectives = list(event.objectives)
        if not set(_named(state.objective or "")) <= set(event.objectives):
            state.objective = event.objectives[0]

    def _show_first(self, event: Surfaced) -> None:
        """The surface of the whole, which comes first, coarse and then finer."""
        if event.surface.tissue == EVERYWHERE:
            tried = len(event.surface.settings)
            words = (
                f"{tried} settings tried so far, the same everywhere; tissue by tissue after that …"
            )
            self._state.estimate = {"evidence": words, "warnings": [], "tissues": [], "rows": []}
            self._state.surface = heat_map(event.surface)

    def _drop_first(self, event: Failed) -> None:
        if event.what != "estimate":
            return
        if self._found is None:
            self._state.update({"estimate": {}, "surface": {}})
        else:
            self._show_found(self._found)

    def _show(self, event: Estimated) -> None:
        self._found = event.estimate
        self._show_found(event.estimate)

    def _show_found(self, found: Any) -> None:
        tissues = list(dict.fromkeys(surface.tissue for surface in found.surfaces))
        self._state.estimate = {
            "evidence": found.evidence,
            "warnings": list(found.warnings),
            "fields": found.fields,
            "seconds": f"{found.seconds:.1f}",
            "tissues": tissues,
            "rows": [
                {
                    "name": name.replace("_", " "),
                    "lam": f"{value.lam:.2f}",
                    "mu": f"{value.mu:.2f}",
                    "before": _number(found.scores.get(name, {}).get("before")),
                    "after": _number(found.scores.get(name, {}).get("after")),
                }
                for name, value in found.elasticity.items()
            ],
        }
        self._state.surface_tissue = tissues[0] if tissues else ""
        self._show_surface()

    def _show_surface(self, **_: Any) -> None:
        tissue = self._state.surface_tissue
        if self._found is not None and tissue:
            self._state.surface = heat_map(self._found.surface(tissue))


def _named(objective: str) -> list[str]:
    """Objectives of a choice, or of weights in words."""
    try:
        return list(parse_objective(objective))
    except InputError:
        return []


def heat_map(surface: Surface) -> dict[str, Any]:
    """The triangle λ + μ ≤ 1 for the page to draw: every cell in the colour of the nearest score.

    ``tried`` are the settings that the colours come from.
    """
    low, high = min(surface.scores), max(surface.scores)
    colors = [shade((s - low) / (high - low) if high > low else 0.5) for s in surface.scores]
    return {
        "low": _number(low),
        "high": _number(high),
        "side": 1 / CELLS,
        "lam": surface.chosen.lam,
        "mu": surface.chosen.mu,
        "cells": [
            {"lam": a / CELLS, "mu": b / CELLS, "color": colors[_nearest(surface, a, b)]}
            for a in range(CELLS + 1)
            for b in range(CELLS + 1 - a)
        ],
        "tried": [
            {
                "lam": setting.lam,
                "mu": setting.mu,
                "text": f"λ {setting.lam:.2f}, μ {setting.mu:.2f}: {score:.4f}",
            }
            for setting, score in zip(surface.settings, surface.scores, strict=True)
        ],
    }


def _nearest(surface: Surface, a: int, b: int) -> int:
    """Which setting lies nearest to cell (a, b)."""
    distances = [(s.lam - a / CELLS) ** 2 + (s.mu - b / CELLS) ** 2 for s in surface.settings]
    return distances.index(min(distances))


def shade(fraction: float) -> str:
    """Colour of a fraction, dark for 0 and bright for 1."""
    place = fraction * (len(VIRIDIS) - 1)
    index = min(int(place), len(VIRIDIS) - 2)
    one, two = (_channels(VIRIDIS[index + i]) for i in (0, 1))
    mixed = (a + (b - a) * (place - index) for a, b in zip(one, two, strict=True))
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"

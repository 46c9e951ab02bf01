"""Finding the parameters of the pair, and the picture of how well they are determined."""

from __future__ import annotations

from typing import Any

import numpy as np
from trame_server.state import State

from ElasticHyperRegLib.engine.elasticity import EVERYWHERE
from ElasticHyperRegLib.estimation.surface import Surface
from ElasticHyperRegLib.mrml import Estimated, Failed, Ready, Surfaced, heat_map, score_rgb
from ElasticHyperRegLib.mrml.colors import eight_bits

from .live import Live, told

CELLS = 24
"""Of the heat map along each axis."""


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
        state.objectives = list(event.objectives)
        state.objective = event.objective(state.objective or "")

    def _show_first(self, event: Surfaced) -> None:
        """The surface of the whole, which comes first, coarse and then finer."""
        if event.surface.tissue == EVERYWHERE:
            tried = len(event.surface.settings)
            words = (
                f"{tried} settings tried so far, the same everywhere; tissue by tissue after that …"
            )
            self._state.estimate = {"evidence": words, "warnings": [], "tissues": [], "rows": []}
            self._state.surface = drawn(event.surface)

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
            self._state.surface = drawn(self._found.surface(tissue))


def drawn(surface: Surface) -> dict[str, Any]:
    """The heat map for the page to draw; ``tried`` are the settings that the colours come from."""
    found = heat_map(surface, CELLS)
    return {
        "low": _number(found.low),
        "high": _number(found.high),
        "ramp": f"linear-gradient(90deg, {', '.join(map(_css, score_rgb(np.linspace(0, 1, 9))))})",
        "side": found.side,
        "lam": surface.chosen.lam,
        "mu": surface.chosen.mu,
        "cells": [
            {"lam": cell.lam, "mu": cell.mu, "color": f"rgb{cell.color}"} for cell in found.cells
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


def _css(rgb: np.ndarray) -> str:
    return f"rgb{eight_bits(rgb)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"

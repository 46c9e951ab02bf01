"""Heat maps of the response surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError
from .result import Estimate
from .surface import Surface

_BACKGROUND, _TEXT, _QUIET = "#ffffff", "#1a1a1a", "#666666"
_WIDTH, _HEIGHT, _HEADER, _DPI, _MOST_COLUMNS = 3.3, 2.7, 0.7, 120, 4
_CHOSEN = "#d62728"


def plot_surfaces(estimate: Estimate, path: str | Path) -> None:
    """Draw the last surface of every tissue as one PNG.

    λ to the right, μ upwards; between the settings tried the colour is interpolated. A cross marks
    the choice, small circles what is as good as far as the evidence can tell.

    Raises:
        InputError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    surfaces = list({surface.tissue: surface for surface in estimate.surfaces}.values())
    columns = min(_MOST_COLUMNS, len(surfaces))
    rows = -(-len(surfaces) // columns)
    figure = _figure_class()(
        figsize=(columns * _WIDTH, rows * _HEIGHT + _HEADER),
        facecolor=_BACKGROUND,
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, surface in zip(axes, surfaces, strict=False):
        _draw(figure, panel, surface)
    for panel in axes[len(surfaces) :]:
        panel.set_axis_off()
    objective = " + ".join(_weighted(*item) for item in estimate.objective.items())
    figure.suptitle(
        f"{objective} by λ and μ  ·  {estimate.answered_by}",
        fontsize=10,
        color=_TEXT,
        x=0.02,
        ha="left",
    )
    figure.supxlabel(
        "× chosen   ○ as good, as far as the evidence can tell   ·   Research use only",
        fontsize=8,
        color=_QUIET,
    )
    figure.savefig(path, format="png", dpi=_DPI, facecolor=_BACKGROUND)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "matplotlib is not installed, the heat map needs it",
            action='pip install "elastic-hyperreg[cli]"',
        ) from error
    return Figure


def _draw(figure: Any, axes: Any, surface: Surface) -> None:
    lam, mu = ([getattr(s, key) for s in surface.settings] for key in ("lam", "mu"))
    colours = axes.tripcolor(lam, mu, surface.scores, shading="gouraud", cmap="viridis")
    bar = figure.colorbar(colours, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=7, colors=_QUIET)
    axes.plot([0, 1], [1, 0], color=_QUIET, linewidth=0.8)
    good = [(s.lam, s.mu) for s in surface.plausible]
    axes.scatter(
        *zip(*good, strict=True), s=24, facecolors=_BACKGROUND, edgecolors=_TEXT, clip_on=False
    )
    axes.scatter(
        surface.chosen.lam, surface.chosen.mu, s=70, marker="x", color=_CHOSEN, clip_on=False
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("λ", fontsize=9, color=_TEXT)
    axes.set_ylabel("μ", fontsize=9, color=_TEXT)
    axes.tick_params(labelsize=7, colors=_QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    chosen = f"λ {surface.chosen.lam:.3g}, μ {surface.chosen.mu:.3g}"
    axes.set_title(f"{surface.tissue}: {chosen}", fontsize=9, color=_TEXT, loc="left")


def _weighted(name: str, weight: float) -> str:
    return name if weight == 1 else f"{weight:g} {name}"

"""The drawing of single panels; axes are millimetres, R, A and S growing left- and upwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from .content import PlaneContent
from .planes import Plane

FIXED_COLOUR, MOVING_COLOUR, FOLD_COLOUR = "#35d0ff", "#ffd23f", "#ff00ff"
UNSEEN_COLOUR = "#2e3338"
_TEXT = "#f2f2f2"
_MOST_LABELS = 8
_GRID_LINES = 22
_SQUARES = 8
_SMALLEST_RANGE, _LARGEST_RANGE = 1.25, 4.0
_TISSUE = 0.5
_JACOBIAN_COLOURS = ("#08306b", "#2f7fbc", "#ffffff", "#d6453d", "#67000d")


def draw_image(axes: Any, plane: Plane, values: np.ndarray, **style: Any) -> Any:
    """Show ``values`` (rows, columns) in millimetres, radiological orientation, no frame."""
    rows, columns = values.shape
    across, up = plane.spacing
    extent = (-across / 2, (columns - 0.5) * across, -up / 2, (rows - 0.5) * up)
    shown = axes.imshow(values, origin="lower", extent=extent, aspect="equal", **style)
    axes.set_xlim(extent[1], extent[0])
    axes.set_ylim(extent[2], extent[3])
    axes.set_axis_off()
    return shown


def draw_grey(axes: Any, plane: Plane, values: np.ndarray) -> None:
    """A grey value image with its orientation letters."""
    draw_image(axes, plane, values, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    alignments = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, place, (across, up) in zip(plane.letters, places, alignments, strict=True):
        text = axes.text(
            *place, letter, transform=axes.transAxes, ha=across, va=up, color=_TEXT, fontsize=8
        )
        text.set_path_effects([_outline()])


def draw_labels(axes: Any, plane: Plane, labels: np.ndarray | None, colour: str) -> None:
    """Outlines of the largest labels."""
    if labels is None:
        return
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    x, y = _coordinates(plane, labels.shape)
    for value in values[np.argsort(-counts)][:_MOST_LABELS]:
        axes.contour(x, y, labels == value, levels=[0.5], colors=colour, linewidths=0.8)


def draw_difference(
    axes: Any, content: PlaneContent, second: np.ndarray, unseen: np.ndarray
) -> Any:
    """Fixed − ``second``; mid-grey where they agree, nothing to see where ``unseen``."""
    from matplotlib import colormaps

    colours = colormaps["gray"].with_extremes(bad=UNSEEN_COLOUR)
    values = np.ma.masked_array(content.fixed - second, unseen)
    return draw_image(
        axes, content.plane, values, cmap=colours, vmin=-1, vmax=1, interpolation="nearest"
    )


def draw_checkerboard(
    axes: Any, content: PlaneContent, second: np.ndarray, unseen: np.ndarray
) -> None:
    """Fixed and ``second`` in turn: of two modalities edges can be compared, values cannot."""
    plane = content.plane
    x, y = _coordinates(plane, second.shape)
    side = max(x[-1], y[-1]) / _SQUARES
    own = (x // side)[None, :] + (y // side)[:, None]
    values = np.where(own % 2 == 0, content.fixed, np.where(unseen, 0.0, second))
    draw_image(axes, plane, values, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def jacobian_norm(contents: list[PlaneContent]) -> Any:
    """Logarithmic colour scale around 1, wide enough for 99 % of the tissue shown."""
    from matplotlib.colors import LogNorm

    kept = [c.tissue > _TISSUE for c in contents]
    if not any(mask.any() for mask in kept):
        kept = [np.ones_like(mask) for mask in kept]
    shown = zip(contents, kept, strict=True)
    positive = np.concatenate([c.jacobian[(c.jacobian > 0) & mask] for c, mask in shown])
    spread = float(np.exp(np.percentile(np.abs(np.log(positive)), 99))) if positive.size else 1.0
    largest = min(max(spread, _SMALLEST_RANGE), _LARGEST_RANGE)
    return LogNorm(1 / largest, largest)


def draw_jacobian(axes: Any, content: PlaneContent, norm: Any) -> Any:
    """Volume ratio: blue shrinks, white keeps its volume, red grows, magenta folds.

    Clear over air, where a field has nothing to go by.
    """
    from matplotlib.colors import LinearSegmentedColormap

    unbroken = LinearSegmentedColormap.from_list("volume", _JACOBIAN_COLOURS)
    colours = unbroken.with_extremes(bad=FOLD_COLOUR)
    unfolded = np.ma.masked_less_equal(content.jacobian, 0)
    alpha = np.where(np.ma.getmaskarray(unfolded), 1.0, content.tissue)
    look = {"cmap": colours, "norm": norm, "interpolation": "nearest", "alpha": alpha}
    return draw_image(axes, content.plane, unfolded, **look)


def draw_deformation(axes: Any, content: PlaneContent, largest_mm: float) -> Any:
    """The fixed image, the elastic displacement in colour and the grid that moved with it.

    The lines are those of a square grid on the aligned moving image, warped as that image is:
    level lines of x + d(x), so they lie on the anatomy that is shown.
    """
    plane = content.plane
    draw_image(axes, plane, content.fixed, cmap="gray", vmin=0, vmax=1)
    shown = draw_image(
        axes, plane, content.elastic_mm, cmap="viridis", vmin=0, vmax=largest_mm, alpha=0.55
    )
    x, y = _coordinates(plane, content.fixed.shape)
    pitch = max(x[-1], y[-1]) / _GRID_LINES
    mesh = np.meshgrid(x, y)
    for start, moved in zip(mesh, content.elastic, strict=True):
        levels = np.arange(start.min() + pitch / 2, start.max() + pitch, pitch)
        axes.contour(x, y, start + moved, levels=levels, colors=_TEXT, linewidths=0.6)
    return shown


def _coordinates(plane: Plane, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    across, up = plane.spacing
    return np.arange(shape[1]) * across, np.arange(shape[0]) * up


def _outline() -> Any:
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=2, foreground="black")

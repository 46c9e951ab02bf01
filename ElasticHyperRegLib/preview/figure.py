"""The whole figure: three planes by seven panels, colour bars, title and footer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..similarity import MIND
from . import panels
from .content import PlaneContent, intensity_windows, plane_content, slice_weight
from .planes import choose_planes

if TYPE_CHECKING:
    from ..engine.request import RegistrationResult

_BACKGROUND, _TEXT, _QUIET = "#121212", "#f2f2f2", "#a8a8a8"
_PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 2.2, 0.5, 0.15, 1.3, 0.95, 0.08
_FLATTEST, _TALLEST = 0.25, 1.35
_DPI = 110
_SMALLEST_MM = 1.0
_COLUMNS = 7
_ALIGNMENTS = {
    "none": "as scanned",
    "translation": "after translation",
    "rigid": "after rigid alignment",
    "affine": "after affine alignment",
}
_DIFFERENCES = ("Difference before", "fixed − moving"), ("Difference after", "fixed − warped")
_SQUARES = ("Checkerboard before", "fixed and moving"), ("Checkerboard after", "fixed and warped")


def render_preview(result: RegistrationResult, path: str | Path) -> None:
    """Draw a result as one PNG.

    Three planes (one for 2D images) in radiological convention through the labels, the mask or
    the largest movement; fixed, moving after the initial alignment, warped, the differences
    before and after, local volume change and elastic deformation.

    Args:
        result: what the registration found.
        path: PNG file to write.

    Raises:
        InputError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure_class = _figure_class()
    windows = intensity_windows(result.request.fixed, result.request.moving)
    planes = choose_planes(result.displacement.grid, slice_weight(result))
    contents = [plane_content(result, plane, windows) for plane in planes]
    figure, axes = _layout(figure_class, contents)
    across = result.metrics.get("similarity") == MIND
    bars = _draw_rows(axes, contents, across)
    _name_columns(axes[0], result, across)
    _name_rows(axes[:, 0], contents)
    _add_bars(figure, axes[-1], bars)
    _add_words(figure, result, contents, across)
    with warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes, and that is all.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(path, format="png", dpi=_DPI, facecolor=_BACKGROUND)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "matplotlib is not installed, the preview needs it",
            action='pip install "elastic-hyperreg[cli]"',
        ) from error
    return Figure


def _layout(figure_class: Any, contents: list[PlaneContent]) -> tuple[Any, np.ndarray]:
    """An empty figure with one row of panels a plane, each as tall as its image needs."""
    heights = [_PANEL * _height_ratio(content) for content in contents]
    width = _LEFT + _COLUMNS * (_PANEL + _GAP) + _RIGHT
    height = _TOP + sum(heights) + _GAP * len(heights) + _BOTTOM
    figure = figure_class(figsize=(width, height), facecolor=_BACKGROUND)
    axes = figure.subplots(
        len(contents),
        _COLUMNS,
        squeeze=False,
        gridspec_kw={
            "left": _LEFT / width,
            "right": 1 - _RIGHT / width,
            "bottom": _BOTTOM / height,
            "top": 1 - _TOP / height,
            "wspace": _GAP / _PANEL,
            "hspace": _GAP * len(heights) / sum(heights),
            "height_ratios": heights,
        },
    )
    return figure, axes


def _height_ratio(content: PlaneContent) -> float:
    (rows, columns), (across, up) = content.fixed.shape, content.plane.spacing
    return min(max(rows * up / (columns * across), _FLATTEST), _TALLEST)


def _draw_rows(axes: np.ndarray, contents: list[PlaneContent], across: bool) -> dict[int, Any]:
    """Draw every panel; returns by column what needs a colour bar.

    Between modalities (``across``) checkerboards take the place of differences.
    """
    norm = panels.jacobian_norm(contents)
    moved = np.concatenate([content.elastic_mm.ravel() for content in contents])
    largest = max(float(np.percentile(moved, 99.5)), _SMALLEST_MM)
    bars: dict[int, Any] = {}
    for row, content in zip(axes, contents, strict=True):
        plane = content.plane
        for panel, values, own, colour in (
            (row[0], content.fixed, None, ""),
            (row[1], content.moving, content.moving_labels, panels.MOVING_COLOUR),
            (row[2], content.warped, content.warped_labels, panels.MOVING_COLOUR),
        ):
            panels.draw_grey(panel, plane, values)
            panels.draw_labels(panel, plane, own, colour)
            panels.draw_labels(panel, plane, content.fixed_labels, panels.FIXED_COLOUR)
        pairs = (content.moving, content.unseen_moving), (content.warped, content.unseen_warped)
        if across:
            for panel, pair in zip(row[3:5], pairs, strict=True):
                panels.draw_checkerboard(panel, content, *pair)
        else:
            panels.draw_difference(row[3], content, *pairs[0])
            bars[4] = panels.draw_difference(row[4], content, *pairs[1])
        bars[5] = panels.draw_jacobian(row[5], content, norm)
        panels.draw_labels(row[5], plane, content.fixed_labels, "black")
        bars[6] = panels.draw_deformation(row[6], content, largest)
    return bars


def _name_columns(axes: np.ndarray, result: RegistrationResult, across: bool) -> None:
    aligned = _ALIGNMENTS.get(str(result.request.options.initial), "after the given alignment")
    names = (
        ("Fixed", "stays as it is"),
        ("Moving", aligned),
        ("Warped", "moving, after registration"),
        *(_SQUARES if across else _DIFFERENCES),
        ("Volume change", "moving relative to fixed"),
        ("Elastic deformation", "beyond the alignment"),
    )
    for axis, (name, explanation) in zip(axes, names, strict=True):
        place = axis.get_subplotspec().get_position(axis.figure)
        middle, inches = (place.x0 + place.x1) / 2, axis.figure.get_figheight()
        for text, above, colour, size in ((name, 0.24, _TEXT, 11), (explanation, 0.08, _QUIET, 8)):
            y = place.y1 + above / inches
            axis.figure.text(middle, y, text, ha="center", color=colour, fontsize=size)


def _name_rows(axes: np.ndarray, contents: list[PlaneContent]) -> None:
    for axis, content in zip(axes, contents, strict=True):
        place = axis.get_subplotspec().get_position(axis.figure)
        plane, style = content.plane, {"rotation": 90, "ha": "center", "va": "center"}
        x, y = 0.28 / axis.figure.get_figwidth(), (place.y0 + place.y1) / 2
        name = f"{plane.name}\nslice {plane.index + 1}"
        axis.figure.text(x, y, name, color=_TEXT, fontsize=8, **style)


def _add_bars(figure: Any, axes: np.ndarray, bars: Mapping[int, Any]) -> None:
    names = {
        4: "difference (fraction of the grey window)",
        5: "local volume change (ratio)",
        6: "elastic displacement (mm)",
    }
    for column, shown in bars.items():
        place = axes[column].get_subplotspec().get_position(figure)
        inches = figure.get_figheight()
        box = (place.x0 + 0.08 * place.width, 0.62 / inches, 0.84 * place.width, 0.1 / inches)
        bar = figure.colorbar(shown, cax=figure.add_axes(box), orientation="horizontal")
        bar.set_label(names[column], color=_TEXT, fontsize=8, labelpad=2)
        bar.ax.tick_params(colors=_TEXT, labelsize=7, length=2)
        bar.outline.set_edgecolor(_QUIET)
        if column == 5:
            _ratio_ticks(bar)
        bar.solids.set(alpha=1)


def _ratio_ticks(bar: Any) -> None:
    largest = float(bar.vmax)
    middle = float(np.sqrt(largest))
    ticks = [1 / largest, 1 / middle, 1.0, middle, largest]
    bar.set_ticks(ticks, labels=[f"{tick:.2f}" for tick in ticks])
    bar.ax.minorticks_off()


def _add_words(
    figure: Any, result: RegistrationResult, contents: list[PlaneContent], across: bool
) -> None:
    inches = figure.get_figheight()
    x = _LEFT / figure.get_figwidth()
    request = result.request
    title = f"{request.moving.name}  →  {request.fixed.name}"
    look = {"color": _TEXT, "fontsize": 13, "va": "center", "weight": "bold"}
    figure.text(x, 1 - 0.32 / inches, title, parse_math=False, **look)  # names may have a $
    figure.text(x, 1 - 0.6 / inches, summary(result.metrics), color=_TEXT, fontsize=10, va="center")
    notes = ["Radiological convention: the patient's right is on the left."]
    if request.fixed_labels is not None:
        notes.append("Blue outlines: fixed labels, yellow: moving labels.")
    unseen = any(c.unseen_moving.any() or c.unseen_warped.any() for c in contents)
    if unseen and not across:
        notes.append("Dark grey in the differences: one of the scans shows nothing there.")
    if bool((result.jacobian <= 0).any()):
        notes.append("Magenta: folds.")
    # Two lines: the colour bars begin at half of the width.
    lines = "\n".join("  ".join(notes[at : at + 2]) for at in range(0, len(notes), 2))
    figure.text(x, 0.72 / inches, lines, color=_QUIET, fontsize=8, va="center")
    figure.text(x, 0.32 / inches, "Research use only. Not for diagnosis.", color=_TEXT, fontsize=9)


def summary(metrics: Mapping[str, Any]) -> str:
    """The metrics that are there, before → after, in one line."""
    parts = []
    for key, name, unit in (
        ("ncc", "NCC", ""),
        ("mean_dice", "mean Dice", ""),
        ("tre_mm", "landmark error", " mm"),
    ):
        found = metrics.get(key, {})
        if "before" in found and "after" in found:
            parts.append(f"{name} {found['before']:.2f} → {found['after']:.2f}{unit}")
    if "folds_fraction" in metrics:
        parts.append(f"folds {100 * metrics['folds_fraction']:.2g} %")
    return "   ·   ".join(parts)

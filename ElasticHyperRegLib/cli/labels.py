"""Labels in any format, matched to tissues by a tissue scheme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from ..engine.sliding import OTHERS, SlidingBorder
from ..errors import InputError
from ..io import read_segmentation
from ..tissues import TissueScheme, on_voxels_of
from ..types import Elasticity, Grid, LabelMap
from .faults import NAME


def read_any_labels(path: Path, grid: Grid | None = None) -> LabelMap:
    """Read labels in any format; what had to be resolved is told on standard error.

    Args:
        path: as for ``read_segmentation``.
        grid: of the scan that they belong to, where that is known. Segmentations that were cut to
            what is drawn are put onto it.

    Raises:
        InputError: as ``read_segmentation``.
    """
    labels = _as_in_file(path, grid)
    return labels if grid is None else on_voxels_of(grid, labels)


def _as_in_file(path: Path, grid: Grid | None = None) -> LabelMap:
    """On the grid of the file; outlines on ``grid``."""
    labels, remarks = read_segmentation(path, grid)
    for remark in remarks:
        typer.echo(f"{NAME}: {path.name}: {remark}.", err=True)
    return labels


def read_named_labels(
    path: Path, scheme: TissueScheme | None, grid: Grid | None = None
) -> LabelMap:
    """Labels as ``read_any_labels`` reads them, named by ``scheme``; the values stay.

    Raises:
        InputError: as ``read_any_labels``; a label belongs to no tissue of the scheme.
    """
    return _named(read_any_labels(path, grid), path, scheme)


def _named(labels: LabelMap, path: Path, scheme: TissueScheme | None) -> LabelMap:
    """Named by ``scheme``; what it does not know by name is told on standard error."""
    if scheme is None:
        return labels
    told = scheme.left_over(labels)
    if told:
        typer.echo(f"{NAME}: {path.name}: {told}.", err=True)
    return scheme.named(labels)


def read_label_pair(
    fixed: Path, warped: Path, scheme: TissueScheme | None
) -> tuple[LabelMap, LabelMap]:
    """Fixed and warped labels, named by ``scheme``, on the fixed grid if that is possible.

    Where one of them was cut to what is drawn, it is put onto the grid of the other.

    Raises:
        InputError: as ``read_named_labels``.
    """
    other = _as_in_file(warped)
    own = _as_in_file(fixed, other.grid)
    whole = on_voxels_of(own.grid, other)
    if whole.grid.same_as(own.grid):
        other = whole
    else:
        own = on_voxels_of(other.grid, own)
    pair = _named(own, fixed, scheme), _named(other, warped, scheme)
    tell_nameless(*pair)
    return pair


def tell_nameless(fixed: LabelMap, moving: LabelMap) -> None:
    """Say on standard error that tissues are matched by number where one map has no names."""
    for own, other in ((fixed, moving), (moving, fixed)):
        if other.names and not own.names:
            line = f"{own.name} has no names: its labels are matched to the numbers of {other.name}"
            typer.echo(f"{NAME}: {line}.", err=True)


def present_tissues(
    values: Mapping[str, Elasticity], scheme: TissueScheme, labels: LabelMap
) -> dict[str, Elasticity]:
    """``values`` without the tissues that the scheme knows but these labels do not show."""
    absent = {tissue.name for tissue in scheme.tissues} - set(labels.names.values())
    return {name: value for name, value in values.items() if name not in absent}


def tell_absent(typed: Iterable[str], values: Mapping[str, Elasticity]) -> None:
    """Say on standard error which tissues of an option ``present_tissues`` has left out."""
    if absent := [name for name in typed if name not in values]:
        line = f"the labels show no {', '.join(absent)}, whose λ and μ are left out"
        typer.echo(f"{NAME}: {line}.", err=True)


def scheme_borders(
    scheme: TissueScheme | None, labels: LabelMap | None
) -> tuple[SlidingBorder, ...]:
    """The borders that ``scheme`` marks as sliding, of the tissues that these labels show.

    Raises:
        InputError: there is no scheme, no label map, or the scheme marks none.
    """
    if scheme is None or labels is None or not scheme.slides:
        raise InputError(
            "--sliding scheme without a tissue scheme that marks sliding borders",
            "--tissues with such a scheme, and --fixed-labels",
            "name the borders, as lung:rest",
        )
    shown = {*labels.names.values(), OTHERS}
    found = tuple(SlidingBorder(a, b) for a, b in scheme.slides if {a, b} <= shown)
    if not found:
        typer.echo(f"{NAME}: the labels show no border that slides in {scheme.name}.", err=True)
    return found

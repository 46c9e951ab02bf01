"""Label maps whose labels are matched to tissues by a tissue scheme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..engine.sliding import OTHERS, SlidingBorder
from ..errors import InputError
from ..io import read_labels
from ..tissues import TissueScheme
from ..types import Elasticity, LabelMap


def read_named_labels(path: Path, scheme: TissueScheme | None) -> LabelMap:
    """Read a label map and name its labels by ``scheme``; the values stay what they are.

    Raises:
        InputError: as ``read_labels``; a label belongs to no tissue of the scheme.
    """
    labels = read_labels(path)
    if scheme is None:
        return labels
    names = {label: tissue.name for label, tissue in scheme.assignment(labels).items()}
    return LabelMap(labels.data, labels.grid, names, labels.name)


def present_tissues(
    values: Mapping[str, Elasticity], scheme: TissueScheme, labels: LabelMap
) -> dict[str, Elasticity]:
    """``values`` without the tissues that the scheme knows but these labels do not show."""
    absent = {tissue.name for tissue in scheme.tissues} - set(labels.names.values())
    return {name: value for name, value in values.items() if name not in absent}


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
    return tuple(SlidingBorder(a, b) for a, b in scheme.slides if {a, b} <= shown)

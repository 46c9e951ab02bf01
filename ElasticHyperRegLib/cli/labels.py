"""Label maps whose labels are matched to tissues by a tissue scheme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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

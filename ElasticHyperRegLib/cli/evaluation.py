"""Measures of a result that lies in files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import max_pool3d

from ..errors import InputError
from ..field import jacobian_determinant
from ..io import (
    apply_to_points,
    covered,
    covers_points,
    read_points,
    read_transform,
    transform_displacement,
)
from ..io.result import finite_only
from ..metrics import (
    check_common_tissue,
    dice,
    folds_fraction,
    jacobian_by_tissue,
    jacobian_summary,
    mean_dice,
    surface_distances,
    tre_mm,
    tre_summary,
)
from ..tissues import load_scheme
from ..types import LabelMap
from .labels import read_label_pair

Record = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """The files that are measured; labels and points come in pairs."""

    fixed_labels: Path | None = None
    warped_labels: Path | None = None
    transform: Path | None = None
    fixed_points: Path | None = None
    moving_points: Path | None = None


def evaluate_files(evidence: Evidence, tissues: str | None = None) -> Record:
    """Everything that can be measured; what cannot is absent.

    Args:
        evidence: what there is.
        tissues: tissue scheme that names the labels.

    Raises:
        InputError: nothing to measure, half of a pair, files at fault or that do not fit.
    """
    labels = (evidence.fixed_labels, evidence.warped_labels)
    points = (evidence.fixed_points, evidence.moving_points)
    for pair, names in (
        (labels, "fixed-labels warped-labels"),
        (points, "fixed-points moving-points"),
    ):
        if (pair[0] is None) != (pair[1] is None):
            first, second = names.split()
            raise InputError(f"only one of --{first} and --{second}", "both")
    if labels[0] is None and points[0] is None:
        raise InputError("nothing to measure", "label maps, landmarks or both")
    if tissues is not None and labels[0] is None:
        raise InputError("--tissues without labels", "--fixed-labels and --warped-labels")
    return finite_only({**_on_labels(evidence, tissues), **_on_points(evidence)})


def _on_labels(evidence: Evidence, tissues: str | None) -> Record:
    """Overlap and surfaces; regularity of the transform on the grid of the fixed labels."""
    if evidence.fixed_labels is None or evidence.warped_labels is None:
        return {}
    scheme = None if tissues is None else load_scheme(tissues)
    fixed, warped = read_label_pair(evidence.fixed_labels, evidence.warped_labels, scheme)
    check_common_tissue(fixed, warped)
    scores = dice(fixed, warped)
    surfaces = surface_distances(fixed, warped)
    record: Record = {
        "dice": scores,
        "mean_dice": mean_dice(scores),
        "hd95_mm": {name: found.hd95 for name, found in surfaces.items()},
        "surface_distance_mm": {name: found.mean for name, found in surfaces.items()},
    }
    if evidence.transform is None:
        return record
    named = replace(fixed, names=fixed.names or warped.names)  # as the overlaps are told
    return record | _regularity(evidence.transform, named)


def _regularity(transform: Path, fixed: LabelMap) -> Record:
    """Of where the transform is defined; ``covered_fraction`` tells, where that is not all."""
    phi = read_transform(transform)
    found = transform_displacement(phi, fixed.grid)
    jacobian = jacobian_determinant(found.u_mm, fixed.grid)
    inside = covered(phi, fixed.grid)
    share = float(inside.double().mean())
    if share < 1:  # its end is no fold: what looks beyond it is left out too
        inside = max_pool3d((~inside).float(), 3, stride=1, padding=1) == 0
    if not inside.any():
        raise InputError(
            f"{transform}, which is defined nowhere on the labels",
            "a transform of the same scans",
            "check that they belong together",
        )
    tissues = replace(fixed, data=torch.where(inside, fixed.data, 0))
    return {
        "folds_fraction": folds_fraction(jacobian, inside),
        "jacobian": jacobian_summary(jacobian, inside),
        "jacobian_by_tissue": jacobian_by_tissue(jacobian, tissues),
        **({} if share == 1 else {"covered_fraction": share}),
    }


def _on_points(evidence: Evidence) -> Record:
    """``tre_mm``, with the fixed points carried by the transform where there is one.

    Those that lie beyond its end are left out, and counted as ``outside``.
    """
    if evidence.fixed_points is None or evidence.moving_points is None:
        return {}
    fixed, moving = read_points(evidence.fixed_points), read_points(evidence.moving_points)
    errors = tre_mm(fixed, moving)
    if evidence.transform is not None:
        phi = read_transform(evidence.transform)
        inside = covers_points(phi, fixed)
        errors = tre_mm(apply_to_points(phi, fixed), moving)[inside]
    if not len(errors) and evidence.fixed_labels is None:
        raise InputError(
            f"{evidence.transform}, which is defined at none of the landmarks",
            "a transform of the same scans",
            "check that they belong together",
        )
    lost = {} if len(errors) == len(fixed) else {"outside": len(fixed) - len(errors)}
    measured = tre_summary(errors) if len(errors) else {}
    return {"tre_mm": {**measured, "n": len(errors), **lost}}

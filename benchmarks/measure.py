"""The same measures for every program, read from the field it wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from ElasticHyperRegLib.field import jacobian_determinant, transform_points, warp_labels
from ElasticHyperRegLib.io import read_points, read_transform, transform_displacement
from ElasticHyperRegLib.io.itk import grid_of
from ElasticHyperRegLib.metrics import dice, folds_fraction, jacobian_summary, mean_dice, tre_mm
from ElasticHyperRegLib.types import Displacement, LabelMap

from .cases import Case


def measure(case: Case, transform: Path | None) -> dict[str, float]:
    """Dice, landmark errors, error against the truth, folds.

    Args:
        case: the pair and what is known about it.
        transform: displacement field, fixed → moving; ``None`` measures the unregistered pair.
    """
    grid = grid_of(sitk.ReadImage(case.fixed))
    if transform is None:
        found = Displacement(torch.zeros(1, grid.ndim, *grid.shape), grid)
    else:
        found = transform_displacement(read_transform(transform), grid)
    jacobian = jacobian_determinant(found.u_mm, grid)
    measures = {
        "folds [%]": 100 * folds_fraction(jacobian),
        "SD log J": jacobian_summary(jacobian)["std_log"],
    }
    for group, (fixed, moving) in case.points.items():
        predicted = transform_points(read_points(fixed), found.u_mm, grid)
        errors = tre_mm(predicted, read_points(moving))
        measures[f"TRE {group} median [mm]"] = float(np.median(errors))
        measures[f"TRE {group} mean [mm]"] = float(np.mean(errors))
    if case.labels:
        measures["Dice"] = _mean_dice(case.labels, found)
    if case.truth:
        error = found.u_mm - torch.from_numpy(np.load(case.truth))
        measures["error median [mm]"] = float(error.norm(dim=1).median())
    return measures


def _mean_dice(labels: tuple[Path, Path], found: Displacement) -> float:
    fixed, moving = (_read_labels(path) for path in labels)
    warped = warp_labels(moving.data, found.u_mm, fixed.grid, moving.grid)
    return mean_dice(dice(fixed, LabelMap(warped, fixed.grid)))


def _read_labels(path: Path) -> LabelMap:
    """2D as well as 3D, which the package's own reader does not take."""
    image = sitk.ReadImage(path, sitk.sitkInt32)
    return LabelMap(torch.from_numpy(sitk.GetArrayFromImage(image))[None, None], grid_of(image))

"""A small pair of scans of a made-up body whose deformation is known, in memory and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ElasticHyperRegLib import Grid, Image, LabelMap, RegistrationRequest
from ElasticHyperRegLib.io import write_image, write_labels, write_points
from Testing.conftest import make_oblique_grid

CENTRE = np.array([-31.0, 47.0, 113.0]) + 30
STRETCH = np.diag([1.06, 0.95, 1.04])
SHIFT = np.array([3.0, -4.0, 2.0])


class PairOnDisk(NamedTuple):
    """Files of one pair."""

    fixed: Path
    moving: Path
    fixed_labels: Path
    moving_labels: Path
    fixed_points: Path
    moving_points: Path


def to_moving(points: np.ndarray) -> np.ndarray:
    """The truth: fixed points (P, 3) → moving points."""
    return (points - CENTRE) @ STRETCH.T + CENTRE + SHIFT


def to_fixed(points: np.ndarray) -> np.ndarray:
    return (points - SHIFT - CENTRE) @ np.linalg.inv(STRETCH).T + CENTRE


def small_request(dim: int = 3, **more) -> Any:
    """``RegistrationRequest`` on different oblique grids; labels and landmarks are there."""
    fixed_grid = _centred(make_oblique_grid((18, 22, 24)[3 - dim :], (3.1, 2.6, 3.6), 20), dim)
    moving_grid = _centred(make_oblique_grid((20, 24, 25)[3 - dim :], (3.0, 2.8, 3.5), -10), dim)
    points = CENTRE + np.array([[0, 0, 0], [9, 4, -6], [-8, -7, 5], [3, -9, -4.0]])
    given = {
        "fixed_labels": _labels(fixed_grid, lambda p: p, "fixed labels"),
        "moving_labels": _labels(moving_grid, to_fixed, "moving labels"),
        "fixed_points": points,
        "moving_points": to_moving(points),
    }
    if dim == 2:
        given = {key: value for key, value in given.items() if "labels" in key}
    return RegistrationRequest(
        fixed=_scan(fixed_grid, lambda p: p, "fixed"),
        moving=_scan(moving_grid, to_fixed, "moving"),
        **{**given, **more},
    )


def write_pair(folder: Path) -> PairOnDisk:
    """``small_request`` as files in ``folder``."""
    request = small_request()
    files = PairOnDisk(
        *(folder / f"{side}.nii.gz" for side in ("fixed", "moving")),
        *(folder / f"{side}_labels.nrrd" for side in ("fixed", "moving")),
        *(folder / f"{side}_points.csv" for side in ("fixed", "moving")),
    )
    for side in ("fixed", "moving"):
        write_image(getattr(request, side), getattr(files, side))
        labels = getattr(request, f"{side}_labels")
        write_labels(LabelMap(labels.data, labels.grid), getattr(files, f"{side}_labels"))
        write_points(getattr(request, f"{side}_points"), getattr(files, f"{side}_points"))
    return files


def _centred(grid: Grid, dim: int) -> Grid:
    matrix = grid.ijk_to_ras.copy()
    middle = matrix[:dim, :dim] @ ((np.asarray(grid.size) - 1) / 2)
    matrix[:dim, dim] = CENTRE[:dim] - middle
    return Grid(grid.shape, matrix)


def _world(grid: Grid) -> np.ndarray:
    """(voxels, 3) RAS mm; a slice lies at the height of the centre."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1], -1)
    points = index.reshape(-1, grid.ndim) @ grid.ijk_to_ras[:-1, :-1].T + grid.origin
    return np.hstack([points, np.full((len(points), 3 - grid.ndim), CENTRE[2])])


def _radius(points: np.ndarray, axes: tuple[float, ...]) -> np.ndarray:
    return np.linalg.norm((points - CENTRE) / axes, axis=1)


def _scan(grid: Grid, back, name: str) -> Image:
    """HU: air, a soft body, a dense organ, and texture to hold on to."""
    points = back(_world(grid))
    soft = 1 / (1 + np.exp(12 * (_radius(points, (26, 22, 24)) - 1)))
    organ = 1 / (1 + np.exp(10 * (_radius(points, (11, 12, 10)) - 1)))
    texture = np.sin((points - CENTRE) / 3.5).sum(axis=1)
    values = -1000 + soft * (1000 + 60 * texture) + 350 * organ
    data = torch.from_numpy(values.round().reshape(1, 1, *grid.shape).astype(np.float32))
    return Image(data, grid, name, "int16")


def _labels(grid: Grid, back, name: str) -> LabelMap:
    points = back(_world(grid))
    values = (_radius(points, (26, 22, 24)) < 1).astype(np.int32)
    values[_radius(points, (11, 12, 10)) < 1] = 2
    data = torch.from_numpy(values.reshape(1, 1, *grid.shape))
    return LabelMap(data, grid, {1: "body", 2: "organ"}, name)

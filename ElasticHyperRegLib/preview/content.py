"""What the panels of one plane show, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
import torch

from ..engine.air import tissue_share
from ..engine.intensity import field_of_view
from ..field import elastic_part
from ..grid import apply_matrix, coarser, lengths, resample, resize, sample
from ..types import Grid, Image
from .planes import Plane

if TYPE_CHECKING:
    from ..engine.request import RegistrationResult

Window = tuple[float, float]

_MOST = 0.5
"""A pixel of which less lies in the moving scan is not shown by it."""
SHARE_VOXELS = 2**20
_SAME_KIND = 0.25
"""Windows that differ by less than this part of their width are made one."""


@dataclass(frozen=True)
class PlaneContent:
    """Arrays (rows, columns) of one plane; grey values are fractions of the intensity window.

    ``unseen_moving`` and ``unseen_warped`` mark pixels that one of the two scans does not show;
    ``tissue`` is how far the fixed one shows more than air, 0 to 1.
    """

    plane: Plane
    fixed: np.ndarray
    moving: np.ndarray
    warped: np.ndarray
    unseen_moving: np.ndarray
    unseen_warped: np.ndarray
    jacobian: np.ndarray
    tissue: np.ndarray
    elastic: tuple[np.ndarray, np.ndarray]
    elastic_mm: np.ndarray
    fixed_labels: np.ndarray | None
    moving_labels: np.ndarray | None
    warped_labels: np.ndarray | None


def plane_content(
    result: RegistrationResult, plane: Plane, windows: tuple[Window, Window]
) -> PlaneContent:
    """Cut everything that is shown of ``result`` along ``plane``.

    Args:
        windows: intensity windows of the fixed and of the moving image.
    """
    request = result.request
    u_mm = torch.from_numpy(
        np.stack([plane.cut(c) for c in result.displacement.u_mm[0].detach().cpu().numpy()])
    )[None]
    elastic = elastic_part(u_mm, plane.points, result.initial)
    moving = _aligned(request.moving.data, plane, result, "bilinear")
    aligned = apply_matrix(result.initial, plane.points)
    labels = request.moving_labels
    return PlaneContent(
        plane=plane,
        fixed=_grey(_cut(request.fixed.data, plane), windows[0]),
        moving=_grey(moving, windows[1]),
        warped=_grey(_cut(result.warped.data, plane), windows[1]),
        unseen_moving=_unseen(result, plane, aligned),
        unseen_warped=_unseen(result, plane, plane.points + u_mm),
        jacobian=_cut(result.jacobian, plane),
        tissue=_tissue_in(request.fixed, plane),
        elastic=plane.in_plane(elastic),
        elastic_mm=lengths(elastic)[0].numpy(),
        fixed_labels=None
        if request.fixed_labels is None
        else _cut(request.fixed_labels.data, plane),
        moving_labels=None if labels is None else _aligned(labels.data, plane, result, "nearest"),
        warped_labels=None
        if result.warped_labels is None
        else _cut(result.warped_labels.data, plane),
    )


def slice_weight(result: RegistrationResult) -> np.ndarray:
    """What makes a slice worth showing, (*grid.shape): labels, the mask, or tissue that moved.

    The outer tenth along each axis counts only where there is nothing further in.
    """
    request = result.request
    regions = request.fixed_labels or request.fixed_mask
    if regions is not None:
        weight = (regions.data[0, 0] > 0).cpu().numpy()
    else:
        moved = result.displacement.u_mm.detach()
        spatial = tuple(range(2, moved.ndim))
        weight = lengths(moved - moved.mean(dim=spatial, keepdim=True))[0].cpu().numpy()
        shown = weight * resize(_solid(request.fixed), request.fixed.grid.shape)[0, 0].numpy()
        weight = shown if shown.any() else weight
    inner = tuple(slice(n // 10, n - n // 10) for n in weight.shape)
    inside = np.zeros_like(weight)
    inside[inner] = weight[inner]
    return inside if inside.any() else weight


def _tissue(image: Image) -> tuple[torch.Tensor, Grid]:
    """How far ``image`` shows more than air, on a grid that is no finer than a picture needs."""
    coarsening = max(1.0, (image.grid.voxels / SHARE_VOXELS) ** (1 / image.grid.ndim))
    grid = coarser(image.grid, tuple(side * coarsening for side in image.grid.spacing))
    return tissue_share(image, grid), grid


def _solid(image: Image) -> torch.Tensor:
    """How bright the tissue is, 0 to 1 on the grid of ``_tissue``.

    Foam and cushions that move along are no reason to look at them.
    """
    share, grid = _tissue(image)
    low, high = _window(image)
    grey = (resample(image.data.float(), image.grid, grid) - low) / (high - low)
    return share * grey.clamp(0, 1)


def _tissue_in(image: Image, plane: Plane) -> np.ndarray:
    share, grid = _tissue(image)
    voxels = apply_matrix(grid.ras_to_ijk, plane.points)
    found = sample(share, _lifted(voxels, grid)).reshape(voxels.shape[2:])
    cut = found.clamp(0, 1).numpy()  # weights may add up to a little more than 1
    # What tissue encloses is no air around it, dark as a lung may be.
    whole = sitk.BinaryFillhole(sitk.GetImageFromArray((cut > _MOST).astype(np.uint8)))
    return np.maximum(cut, sitk.GetArrayFromImage(whole))


def intensity_windows(fixed: Image, moving: Image) -> tuple[Window, Window]:
    """Robust windows of both images; one for both where they are of the same kind."""
    a, b = _window(fixed), _window(moving)
    width = max(a[1] - a[0], b[1] - b[0])
    if max(abs(a[0] - b[0]), abs(a[1] - b[1])) < _SAME_KIND * width:
        a = b = (min(a[0], b[0]), max(a[1], b[1]))
    return a, b


def _window(image: Image) -> Window:
    """1st and 99.5th percentile of what is not padding (the lowest value)."""
    values = image.data.detach().cpu().numpy().ravel()
    values = values[:: max(1, values.size // 200_000)]
    inside = values[values > values.min()]
    low, high = np.percentile(inside if inside.size else values, (1, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _cut(data: torch.Tensor, plane: Plane) -> np.ndarray:
    return plane.cut(data.detach().cpu().numpy()[0, 0])


def _aligned(data: torch.Tensor, plane: Plane, result: RegistrationResult, mode: str) -> np.ndarray:
    """Moving ``data`` on ``plane`` after the initial alignment alone; its lowest value outside."""
    grid = result.request.moving.grid
    values = data.detach().cpu().float()
    positions = apply_matrix(grid.ras_to_ijk @ result.initial, plane.points)
    found = sample(values, _lifted(positions, grid), mode, fill=float(values.min()))
    return found.reshape(positions.shape[2:]).numpy()


def _unseen(result: RegistrationResult, plane: Plane, moved: torch.Tensor) -> np.ndarray:
    """Pixels that the fixed scan does not show, or that land where the moving one shows nothing.

    Args:
        moved: where the pixels land, (1, D, rows, columns) RAS mm.
    """
    fixed, moving = result.request.fixed, result.request.moving
    grid = moving.grid
    shown = torch.ones_like(moving.data) if (s := field_of_view(moving)) is None else s.float()
    voxels = apply_matrix(grid.ras_to_ijk, moved)
    unseen = sample(shown, _lifted(voxels, grid), fill=0.0).reshape(moved.shape[2:]).numpy() < _MOST
    seen_fixed = field_of_view(fixed)
    return unseen if seen_fixed is None else unseen | ~_cut(seen_fixed, plane)


def _lifted(voxels: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Positions (1, D, rows, columns) as ``sample`` takes them on a grid of D axes."""
    rows, columns = voxels.shape[2:]
    return voxels.reshape(1, -1, *([1] * (grid.ndim - 2)), rows, columns)


def _grey(values: np.ndarray, window: Window) -> np.ndarray:
    return np.clip((values - window[0]) / (window[1] - window[0]), 0, 1)

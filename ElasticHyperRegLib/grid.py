"""What is done with grids: points, coarser grids, resampling, image pyramids.

References: anti-aliasing before decimation, Lindeberg, Scale-Space Theory (1994).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import nibabel as nib
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional

from .trilinear import suits, trilinear
from .types import Grid, LabelMap

SIDEWAYS, SAME = 1e-3, 1e-6
"""Voxels that an axis may drift along another one and still be taken for straight, and that voxels
may lie apart and still be the same."""


def precise(device: torch.device) -> torch.dtype:
    """float64, or what comes nearest to it on ``device``: Apple's mps has none."""
    return torch.float32 if device.type == "mps" else torch.float64


def full_precision(like: torch.Tensor) -> torch.autocast:
    """Context without autocast: for geometry, likeness and slider values, which it would round."""
    return torch.autocast(like.device.type, enabled=False)


def voxel_points(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Voxel indices of every voxel, (1, D, *shape), channels in the order i, j, k."""
    axes = [torch.arange(n, device=like.device, dtype=like.dtype) for n in shape]
    mesh = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(mesh[::-1])[None]


def lengths(vectors: torch.Tensor) -> torch.Tensor:
    """|v| of vectors held in channels, (N, D, ...) → (N, ...); ``norm`` takes far longer."""
    return torch.linalg.vecdot(vectors, vectors, dim=1).sqrt()


def constant(values: ArrayLike, like: torch.Tensor) -> torch.Tensor:
    """``values`` of any shape, in the type and on the device of ``like``; not to be written to.

    Kept from call to call: the copy of a few numbers to a GPU waits for all that it still does.
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    found = _kept(array.tobytes(), array.shape, like.dtype, like.device)
    used = _used.get()
    if used is not None:
        used.append(found)
    return found


_used: ContextVar[list[torch.Tensor] | None] = ContextVar("used", default=None)


@contextmanager
def constants_used() -> Iterator[list[torch.Tensor]]:
    """What ``constant`` gives within, for whoever needs it to stay where it is."""
    used: list[torch.Tensor] = []
    token = _used.set(used)
    try:
        yield used
    finally:
        _used.reset(token)


@lru_cache(maxsize=1024)
def _kept(
    raw: bytes, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    with torch.inference_mode(False):  # made within it, it would be of no use to autograd later
        return torch.from_numpy(np.frombuffer(raw).reshape(shape).copy()).to(dtype).to(device)


def apply_matrix(matrix: np.ndarray, points: torch.Tensor) -> torch.Tensor:
    """Homogeneous (D+1, D+1) ``matrix`` on points held in channels, (N, D, ...)."""
    dim = points.shape[1]
    m = constant(matrix, points)
    moved = torch.einsum("ab,nb...->na...", m[:dim, :dim], points)
    return moved + m[:dim, dim].view(1, dim, *([1] * (points.ndim - 2)))


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Homogeneous (D+1, D+1) ``matrix`` on a list of points, (P, D) → (P, D)."""
    mapped: np.ndarray = points @ matrix[:-1, :-1].T + matrix[:-1, -1]
    return mapped


def lie_in(grid: Grid, indices: np.ndarray) -> np.ndarray:
    """Which voxel ``indices`` (P, D), i, j, k, fall into a voxel of ``grid``: (P,) bool."""
    beside = (indices < -0.5) | (indices > np.asarray(grid.size) - 0.5)
    return ~np.asarray(beside.any(axis=1))


def sample(
    data: torch.Tensor, points_vox: torch.Tensor, mode: str = "bilinear", fill: float | None = None
) -> torch.Tensor:
    """Sample ``data`` (N, C, *shape) at voxel positions (N, D, ...), channels i, j, k.

    Args:
        mode: ``bilinear`` (linear in 3D too) or ``nearest``.
        fill: value outside the grid; ``None`` continues the border value outwards.

    Returns:
        (N, C, ...) with the spatial shape of ``points_vox``.
    """
    positions = fractions(points_vox, data.shape[2:])
    if data.shape[0] != positions.shape[0]:
        data = data.expand(positions.shape[0], *data.shape[1:])
    if fill is None:
        return sample_fractions(data, positions, mode, "border")
    return sample_fractions(data - fill, positions, mode, "zeros") + fill


def fractions(points_vox: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Voxel positions (N, D, ...) on a grid of ``shape`` as ``sample_fractions`` takes them."""
    size = constant(shape[::-1], points_vox)
    return torch.addcmul(1 / size - 1, points_vox.movedim(1, -1), 2 / size)


def sample_fractions(
    data: torch.Tensor, positions: torch.Tensor, mode: str, padding: str
) -> torch.Tensor:
    """PyTorch's ``grid_sample``, on all cores for a single volume too.

    On a processor PyTorch shares the work among the members of a batch, so that a volume alone
    would be sampled by one core; here its slices are the members. What a gradient follows is
    sampled by ``trilinear`` where it can be, two to four times as fast and hardly less exact.

    Args:
        data: (N, C, *shape).
        positions: (N, ..., D), −1 to 1 from face to face of ``data``, components i, j, k.
        mode: ``bilinear`` or ``nearest``.
        padding: ``border`` or ``zeros``.

    Returns:
        (N, C, ...).
    """
    followed = torch.is_grad_enabled() and (data.requires_grad or positions.requires_grad)
    if followed and (mode, padding) == ("bilinear", "border") and suits(data, positions):
        return trilinear(data, positions)
    alone = positions.ndim == 5 and positions.shape[0] == 1 and data.device.type == "cpu"
    # Each slice would have a gradient for the whole of the data.
    split = alone and not data.requires_grad and torch.get_num_threads() > 1
    if split:
        positions = positions[0, :, None]
        data = data.expand(len(positions), *data.shape[1:])
    values = functional.grid_sample(
        data, positions, mode=mode, padding_mode=padding, align_corners=False
    )
    return values[:, :, 0].movedim(0, 1)[None].contiguous() if split else values


def coarser(grid: Grid, spacing_mm: tuple[float, ...]) -> Grid:
    """Grid of about ``spacing_mm`` (i, j, k) over the same extent, voxel faces kept in place."""
    extent = np.asarray(grid.size) * np.asarray(grid.spacing)
    size = np.maximum(1, np.round(extent / np.asarray(spacing_mm))).astype(int)
    spacing = extent / size
    first = (spacing / np.asarray(grid.spacing) - 1) / 2
    matrix = grid.ijk_to_ras.copy()
    dim = grid.ndim
    matrix[:dim, :dim] = grid.direction * spacing
    matrix[:dim, dim] = (grid.ijk_to_ras @ np.append(first, 1))[:dim]
    return Grid(tuple(int(n) for n in size[::-1]), matrix)


def pyramid(grid: Grid, levels: int, smallest: int = 16) -> list[Grid]:
    """Grids from coarse to fine, ending with ``grid`` itself.

    Each level doubles the finest spacing of the next and leaves an axis alone that is already
    coarser than that (a 4 mm axis is not halved while a 1.4 mm axis is) or that would fall under
    ``smallest`` voxels.
    """
    grids = [grid]
    extent = np.asarray(grid.size) * np.asarray(grid.spacing)
    for level in range(1, levels):
        target = min(grid.spacing) * 2**level
        wanted = np.maximum(np.asarray(grid.spacing), target)
        wanted = np.maximum(np.minimum(wanted, extent / smallest), grid.spacing)
        level_grid = coarser(grid, tuple(wanted))
        if level_grid.shape == grids[0].shape:
            break
        grids.insert(0, level_grid)
    return grids


def outer_corners(grid: Grid) -> np.ndarray:
    """Voxel indices of the corners of all that ``grid`` covers, (2^D, D), i, j, k."""
    return np.array(list(np.ndindex(*[2] * grid.ndim))) * np.asarray(grid.size) - 0.5


def window(grid: Grid, first: np.ndarray, shape: tuple[int, ...]) -> Grid:
    """``shape`` voxels of the lattice of ``grid`` from index ``first`` (i, j, k) on."""
    matrix = grid.ijk_to_ras.copy()
    matrix[:-1, -1] += matrix[:-1, :-1] @ first
    return Grid(shape, matrix)


def nearest_axes(grid: Grid) -> tuple[list[int], list[int]]:
    """Index axis nearest to each of R, A, S, and whether it runs along (1) or against it (−1)."""
    affine = np.eye(4)
    affine[: grid.ndim, : grid.ndim] = grid.direction
    orientation = nib.io_orientation(affine)
    nearest = [int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in range(3)]
    return nearest, [int(orientation[axis, 1]) for axis in nearest]


def gaussian_smooth(data: torch.Tensor, sigma_vox: tuple[float, ...]) -> torch.Tensor:
    """Separable Gaussian of ``sigma_vox`` (i, j, k) voxels, borders continued; 0 leaves an axis.

    One small matrix an axis, which takes a tenth of the time of PyTorch's convolutions of a volume
    on a processor.
    """
    for axis, sigma in enumerate(reversed(sigma_vox), start=2):
        if sigma > 0:
            data = mixed(data, axis, _gaussian(data, data.shape[axis], sigma))
    return data


def _gaussian(like: torch.Tensor, length: int, sigma: float) -> torch.Tensor:
    """Weights (length, length) of a Gaussian of ``sigma`` voxels."""
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=like.device)
    kernel = torch.exp(-0.5 * (offsets.to(like.dtype) / sigma) ** 2)
    rows = torch.arange(length, device=like.device)[:, None]
    weights = like.new_zeros(length, length)
    places = (rows + offsets).clamp(0, length - 1)
    return weights.scatter_add_(1, places, (kernel / kernel.sum()).expand(length, -1))


def grid_to_grid(source: Grid, target: Grid) -> np.ndarray:
    """(D+1, D+1): voxel of ``source`` → voxel of ``target`` at the same world position."""
    return target.ras_to_ijk @ source.ijk_to_ras


def anti_aliased(
    data: torch.Tensor, source: Grid, direction: np.ndarray, spacing: tuple[float, ...]
) -> torch.Tensor:
    """``data`` on ``source`` smoothed for voxels of ``spacing`` mm, axes in the columns."""
    return gaussian_smooth(data, _blur(source, direction, spacing))


def _blur(source: Grid, direction: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Of ``anti_aliased``, standard deviations in voxels (i, j, k); 0 where only rounding grew."""
    axes = np.abs(source.direction.T @ direction)
    wanted = axes @ np.asarray(spacing) / axes.sum(axis=1)
    ratio = wanted / np.asarray(source.spacing)
    ratio = np.where(ratio < 1 + SAME, 1, ratio)
    return tuple(float(s) for s in np.sqrt((ratio**2 - 1) / 12) * 1.5)


def resample(
    data: torch.Tensor,
    source: Grid,
    target: Grid,
    mode: str = "bilinear",
    fill: float | None = None,
) -> torch.Tensor:
    """Image ``data`` on ``source``, all of it finite → (N, C, *target.shape).

    Where ``target`` is coarser the data is first smoothed by the Gaussian that takes a box of one
    source voxel to a box of one target voxel, so that nothing aliases. Labels
    (``mode='nearest'``) are not smoothed. Where the axes of both run alike both is done axis by
    axis, the first of which already leaves less for the next.
    """
    if source.shape == target.shape and np.allclose(source.ijk_to_ras, target.ijk_to_ras):
        return data
    if mode != "nearest" and fill is None and _run_alike(source, target):
        with full_precision(data):
            for axis, weights in _axis_weights(data, source, target):
                data = mixed(data, axis, weights)
        return data
    if mode != "nearest":
        data = anti_aliased(data, source, target.direction, target.spacing)
    points = apply_matrix(grid_to_grid(target, source), voxel_points(target.shape, data))
    return sample(data, points.expand(data.shape[0], *points.shape[1:]), mode, fill)


def _run_alike(source: Grid, target: Grid) -> bool:
    """Whether moving along one axis of ``target`` is moving along the same one of ``source``."""
    linear = grid_to_grid(target, source)[:-1, :-1]
    sideways = np.abs(linear - np.diag(np.diag(linear))) @ np.asarray(target.size)
    return bool(sideways.max() < SIDEWAYS)


def _axis_weights(
    like: torch.Tensor, source: Grid, target: Grid
) -> Iterator[tuple[int, torch.Tensor]]:
    """Axes of (N, C, *source.shape) and what makes them those of ``target``, (new, old)."""
    matrix = grid_to_grid(target, source)
    blur = _blur(source, target.direction, target.spacing)
    for number in sorted(range(source.ndim), key=lambda a: target.size[a] / source.size[a]):
        old, new = source.size[number], target.size[number]
        scale, first = matrix[number, number], matrix[number, -1]
        blurred = blur[number] > 0
        if not blurred and new == old and abs(first) + old * abs(scale - 1) < SAME:
            continue
        weights = _linear(like, scale * _counted(new, like) + first, old)
        if blurred:
            weights = weights @ _gaussian(like, old, blur[number])
        yield 1 + source.ndim - number, weights


def _counted(length: int, like: torch.Tensor) -> torch.Tensor:
    """0, 1, 2, … as exact as the device of ``like`` can."""
    return torch.arange(length, dtype=precise(like.device), device=like.device)


def _linear(like: torch.Tensor, places: torch.Tensor, length: int) -> torch.Tensor:
    """Weights (P, length) of linear interpolation at ``places`` (P,) among so many voxels."""
    places = places.clamp(0, length - 1)
    lower = places.long().clamp_max(max(length - 2, 0))
    share = (places - lower).to(like.dtype)[:, None]
    weights = like.new_zeros(len(places), length).scatter_(1, lower[:, None], 1 - share)
    return weights.scatter_add_(1, (lower[:, None] + 1).clamp_max(length - 1), share)


def resample_labels(labels: LabelMap, grid: Grid, fill: float | None = None) -> LabelMap:
    """``labels`` on ``grid``, nearest neighbour; beyond theirs ``fill``, or as at the border."""
    if labels.grid.same_as(grid):
        return LabelMap(labels.data, grid, labels.names, labels.name)
    # In double precision every label value is a whole number still.
    data = resample(labels.data.double(), labels.grid, grid, "nearest", fill)
    return LabelMap(data.round().to(labels.data.dtype), grid, labels.names, labels.name)


def resize(
    data: torch.Tensor, shape: tuple[int, ...], part: tuple[slice, ...] | None = None
) -> torch.Tensor:
    """Linear interpolation onto ``shape`` voxels over the same extent (faces in place).

    One small matrix an axis: faster than sampling point by point, with the same derivative on
    every device. Meant for grids of ``coarser``; borders continue outwards.

    Args:
        data: (N, C, *shape before).
        shape: of the whole.
        part: of it that is wanted, by axis; ``None`` for all.
    """
    for axis, length in enumerate(shape, start=2):
        old = data.shape[axis]
        rows = slice(0, length) if part is None else part[axis - 2]
        if old == length:
            data = data.narrow(axis, rows.start, rows.stop - rows.start)
            continue
        eye = torch.eye(old, dtype=data.dtype, device=data.device)[None]
        weights = functional.interpolate(eye, size=length, mode="linear")[0].T
        data = mixed(data, axis, weights[rows])
    return data


def mixed(data: torch.Tensor, axis: int, weights: torch.Tensor) -> torch.Tensor:
    """Along one axis of (N, C, *shape) each new voxel a weighted sum of the old ones.

    Args:
        weights: (new, old).
    """
    if axis == data.ndim - 1:
        return data @ weights.T
    tail = data.shape[axis + 1 :]
    rows = data.reshape(-1, data.shape[axis], tail.numel())
    return (weights @ rows).reshape(*data.shape[:axis], len(weights), *tail)

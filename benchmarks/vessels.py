"""Landmarks of two CTs of a lung, where nobody has set any: what stands out, matched locally.

Voxels of a lung that stand out in all directions (bifurcations of vessels, mostly) are looked for
in the other scan by a patch about them that is only shifted, near where a registration has them.
Kept is what is alike there, nowhere else nearby, and found again the other way round. Exact to
about half a millimetre; the more a registration bends tissue, the less it can be like the shifted
patches, so that they favour no program that follows noise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.grid import gaussian_smooth, map_points, resample, resample_labels, sample
from ElasticHyperRegLib.types import Displacement, Grid, Image, LabelMap

VOXEL_MM = 1.0
WINDOW_HU = (-1024.0, 600.0)
MOST = 1500
APART = 7
"""Side of the box, in voxels, in which one landmark stands at most."""
INSIDE = 3
"""Voxels from the edge of the lung."""
NOISE, NEIGHBOURHOOD = 1.4, 2.0
"""Standard deviations of the Gaussians of slopes and of their products, in voxels."""
RADIUS, PATCH_SIGMA = 7, 3.0
REACH = 10
"""How far from where it is expected a patch is looked for, in voxels."""
ALIKE, AHEAD, ELSEWHERE, BACK_MM = 0.8, 0.12, 4.0, 0.8
"""Least correlation; by how much the best place leads those farther than ``ELSEWHERE`` voxels;
largest distance between a landmark and where its match is found again."""


def matched_vessels(
    fixed: Image, moving: Image, lungs: LabelMap, guess: Displacement
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of both scans, (P, 3) RAS mm each.

    Args:
        fixed: CT.
        moving: likewise.
        lungs: of the fixed one, all that is not 0.
        guess: a registration, fixed → moving, right to within ``REACH`` voxels.
    """
    scans = [_isotropic(image) for image in (fixed, moving)]
    here, there = (scan.grid for scan in scans)
    inside = (resample_labels(lungs, here, fill=0).data > 0).float()
    places = _distinct(scans[0].data, inside)
    world = map_points(here.ijk_to_ras, places)
    expected = map_points(there.ras_to_ijk, transform_points(world, guess.u_mm, guess.grid))
    found, clear = _match(scans[0].data, scans[1].data, places, expected)
    again, _ = _match(scans[1].data, scans[0].data, found, places)
    clear &= np.linalg.norm(again - places, axis=1) * VOXEL_MM < BACK_MM
    return world[clear], map_points(there.ijk_to_ras, found[clear])


def _isotropic(image: Image) -> Image:
    """With voxels of ``VOXEL_MM``, in the window."""
    scale = VOXEL_MM / np.asarray(image.grid.spacing)
    finer = np.diag([*scale, 1.0])
    finer[:3, 3] = (scale - 1) / 2  # the outer faces stay
    shape = np.ceil(np.asarray(image.grid.shape) / scale[::-1]).astype(int)
    grid = Grid(tuple(shape.tolist()), image.grid.ijk_to_ras @ finer)
    return Image(resample(image.data.float().clamp(*WINDOW_HU), image.grid, grid), grid)


def _distinct(data: torch.Tensor, inside: torch.Tensor) -> np.ndarray:
    """Voxels (P, 3), i, j, k, by 1 / trace of the inverse structure tensor (Förstner)."""
    smooth = gaussian_smooth(data, (NOISE,) * 3)
    slopes = torch.gradient(smooth, dim=(4, 3, 2))

    def product(a: int, b: int) -> torch.Tensor:
        return gaussian_smooth(slopes[a] * slopes[b], (NEIGHBOURHOOD,) * 3)

    xx, yy, zz, xy, xz, yz = (
        product(a, b) for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    )
    minors = torch.stack([yy * zz - yz**2, xx * zz - xz**2, xx * yy - xy**2])
    determinant = xx * minors[0] - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    score = determinant / minors.sum(0).clamp_min(1e-6)
    deep = -functional.max_pool3d(-inside, 2 * INSIDE + 1, 1, INSIDE) > 0
    score = torch.where(deep, score, 0)
    peak = (score == functional.max_pool3d(score, APART, 1, APART // 2)) & (score > 0)
    places = peak[0, 0].nonzero()
    best = score[0, 0][peak[0, 0]].argsort(descending=True)[:MOST]
    return places[best].flip(1).double().numpy()


def _match(
    source: torch.Tensor, target: torch.Tensor, places: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the patches about ``places`` are in ``target``, and whether that is clear.

    All positions (P, 3) in voxels, i, j, k.
    """
    offsets = torch.stack(torch.meshgrid(*[torch.arange(-RADIUS, RADIUS + 1)] * 3, indexing="ij"))
    weights = torch.exp(-offsets.square().sum(0) / (2 * PATCH_SIGMA**2))
    weights = weights / weights.sum()
    border = RADIUS + REACH + 1
    padded = functional.pad(target, [border] * 6, mode="replicate")[0, 0]
    last = np.asarray(target.shape[:1:-1]) - 1
    found, clear = np.empty_like(places), np.empty(len(places), bool)
    for number, (place, centre) in enumerate(zip(places, expected, strict=True)):
        points = torch.from_numpy(place).float().view(1, 3, 1, 1, 1) + offsets.flip(0)[None]
        patch = sample(source, points)[0, 0]
        corner = np.clip(np.round(centre), 0, last).astype(int)
        i, j, k = (slice(first + 1, first + 2 * border) for first in corner)
        likeness = _correlation(padded[k, j, i], patch, weights)
        shift, clear[number] = _peak(likeness)
        found[number] = corner + shift
    return found, clear


def _correlation(part: torch.Tensor, patch: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted correlation of ``patch`` with every box of its size in ``part``."""
    part, patch = part - part.mean(), patch - (patch * weights).sum()
    patch = patch / ((patch**2 * weights).sum() + 1e-3).sqrt()
    kernels = torch.stack([weights, weights * patch])[:, None]
    mean, covariance = functional.conv3d(part[None, None], kernels)[0]
    square = functional.conv3d(part[None, None] ** 2, kernels[:1])[0, 0]
    return covariance / ((square - mean**2).clamp_min(0) + 1e-3).sqrt()


def _peak(likeness: torch.Tensor) -> tuple[np.ndarray, bool]:
    """How far its highest value is from the middle, i, j, k, and whether it stands alone there."""
    values = likeness.double().numpy()
    place = np.array(np.unravel_index(values.argmax(), values.shape))
    best = values[tuple(place)]
    away = np.linalg.norm(np.moveaxis(np.indices(values.shape), 0, -1) - place, axis=-1)
    lonely = best > ALIKE and best - values[away > ELSEWHERE].max() > AHEAD
    if (place == 0).any() or (place == np.array(values.shape) - 1).any():
        return (place - REACH)[::-1].astype(float), False
    exact = place.astype(float)
    for axis, step in enumerate(np.eye(3, dtype=int)):  # the vertex of a parabola
        before, after = values[tuple(place - step)], values[tuple(place + step)]
        exact[axis] += (before - after) / (2 * (before - 2 * best + after))
    return (exact - REACH)[::-1], bool(lonely)

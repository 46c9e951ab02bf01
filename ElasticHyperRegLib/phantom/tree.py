"""Branching tubes (vessels, airways) that fill a region of space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..grid import gaussian_smooth
from ..types import Grid
from .shapes import Lattice, capsule, coverage, positions

REACH = 0.6
TAPER = 0.85


@dataclass(frozen=True)
class Branch:
    """One tube: end points (3,) mm and radii in mm at both."""

    start: np.ndarray
    end: np.ndarray
    radii: tuple[float, float]


def grow_tree(
    root: np.ndarray, targets: np.ndarray, radii: tuple[float, float], smallest: int = 2
) -> list[Branch]:
    """Tree from ``root`` that supplies ``targets`` (P, 3) mm.

    Each branch runs most of the way to the centroid of its targets, which are then shared between
    two daughters by the plane across their longest extent. Radii follow Murray's law,
    r³ ∝ targets.

    Args:
        radii: radius of the root and smallest radius, mm.
        smallest: no branch is grown for this many targets or fewer.

    Reference: volume-filling growth, Tawhai et al., Ann. Biomed. Eng. 28 (2000).
    """
    branches: list[Branch] = []
    pending = [(np.asarray(root, dtype=np.float64), targets)]
    while pending:
        start, supplied = pending.pop()
        radius = max(radii[1], radii[0] * (len(supplied) / len(targets)) ** (1 / 3))
        centroid = supplied.mean(axis=0)
        end = start + REACH * (centroid - start)
        branches.append(Branch(start, end, (radius, TAPER * radius)))
        offsets = supplied - centroid
        side = offsets @ np.linalg.eigh(offsets.T @ offsets)[1][:, -1] > 0
        for half in (supplied[side], supplied[~side]):
            if len(half) > smallest:
                pending.append((end, half))
    return branches


def tube_fraction(branches: list[Branch], grid: Grid, width: float) -> Lattice:
    """Fraction of a voxel of ``width`` mm that lies in a tube; ``grid`` has world axes."""
    edge = float(np.mean(grid.spacing))
    inside = torch.zeros(grid.shape)
    points = positions(grid)
    spacing = np.asarray(grid.spacing)
    for branch in branches:
        ends = (np.stack([branch.start, branch.end]) - grid.origin) / spacing
        margin = (edge + max(branch.radii)) / spacing
        first = np.clip(np.floor(ends.min(0) - margin), 0, grid.size).astype(int)
        last = np.clip(np.ceil(ends.max(0) + margin) + 1, first, grid.size).astype(int)
        box = tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True))
        tube = capsule(points[(slice(None), *box)], branch.start, branch.end, branch.radii)
        inside[box] = torch.maximum(inside[box], coverage(tube, edge))
    sigma = max(width**2 - edge**2, 0.0) ** 0.5 / 12**0.5
    return Lattice(gaussian_smooth(inside[None, None], tuple(sigma / spacing))[0, 0], grid)

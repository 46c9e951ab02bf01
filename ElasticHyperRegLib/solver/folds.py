"""What keeps a field from folding where λ and μ alone would let it.

A field built from smooth updates composed onto each other hardly folds. Where every node changes
by itself folds cost something. The few that are left all the same are smoothed away.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..field import determinant, jacobian_determinant
from ..types import Grid

LOWEST = 0.2
"""det(I + ∇u) from which on a cell costs something."""
WEIGHT = 10.0
FEW = 1e-3
"""Part of the voxels: more folds say that λ and μ are too weak, and are left to be seen."""
TRIES = 10


@dataclass(frozen=True, eq=False)
class Places:
    """Corners of cells.

    Attributes:
        sample: of the batch, (P,).
        cell: base node (P, D), in the order k, j, i.
        side: 0 or 1 along each of these axes, (P, D).
    """

    sample: torch.Tensor
    cell: torch.Tensor
    side: torch.Tensor


def fold_penalty(u_vox: torch.Tensor) -> torch.Tensor:
    """``WEIGHT`` times the mean of max(0, ``LOWEST`` − det(I + ∇u))² over the corners of all cells.

    At a corner ∇u is that of the edges which meet there: between the nodes a linearly
    interpolated field takes no other slopes. Hardly any corner costs something, so that those
    alone, once they are found, are followed by the gradient.

    Args:
        u_vox: (N, D, *shape) in voxels.

    Returns:
        (N,).
    """
    places, corners = _low(u_vox.detach())
    costs = (LOWEST - determinant(_columns_at(u_vox, places))).square()
    total = u_vox.new_zeros(len(u_vox)).index_add(0, places.sample, costs)
    return WEIGHT / corners * total


def unfolded(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Fields whose few folded voxels, and what their slopes are taken from, are smoothed.

    By means over 3^D voxels, until nothing folds or ``TRIES`` times; what folds nowhere, or in
    more than a ``FEW`` voxels, stays as it is.

    Args:
        u_mm: (N, D, *grid.shape) RAS mm.
        grid: of them.
    """
    pool, mean = (
        (functional.max_pool2d, functional.avg_pool2d)
        if grid.ndim == 2
        else (functional.max_pool3d, functional.avg_pool3d)
    )
    for _ in range(TRIES):
        folded = (jacobian_determinant(u_mm, grid) <= 0).float()
        share = folded.flatten(1).mean(1)
        mends = (share > 0) & (share <= FEW)
        if not mends.any():
            break
        near = pool(folded, 3, stride=1, padding=1) * mends.view(-1, *[1] * (u_mm.ndim - 1))
        smooth = mean(u_mm, 3, stride=1, padding=1, count_include_pad=False)
        u_mm = torch.where(near > 0, smooth, u_mm)
    return u_mm


def _low(u_vox: torch.Tensor) -> tuple[Places, int]:
    """The corners whose determinant is below ``LOWEST``, and how many a sample has in all."""
    dim = u_vox.ndim - 2
    sides = list(itertools.product((0, 1), repeat=dim))
    edges = [_differences(u_vox, axis) for axis in range(dim)]
    columns = [
        torch.cat([_meeting(edge, axis, side) for side in sides]) for axis, edge in enumerate(edges)
    ]
    values = determinant(columns[::-1])  # of the axes i, j, k; (corners · N, *cells)
    found = (values < LOWEST).nonzero()
    side = torch.tensor(sides, device=u_vox.device)[found[:, 0] // len(u_vox)]
    return Places(found[:, 0] % len(u_vox), found[:, 1:], side), values.numel() // len(u_vox)


def _differences(u_vox: torch.Tensor, axis: int) -> torch.Tensor:
    """∂(x + u)/∂x along each edge of an axis of the shape, (N, D, *shape) less one voxel there."""
    dim = 2 + axis
    slope = torch.zeros_like(u_vox) if u_vox.shape[dim] == 1 else u_vox.diff(dim=dim)
    slope[:, -1 - axis] += 1
    return slope


def _meeting(edge: torch.Tensor, axis: int, side: tuple[int, ...]) -> torch.Tensor:
    """Of the edges along ``axis`` those that meet at the corner ``side`` of each cell."""
    for other, there in enumerate(side):
        dim = 2 + other
        if other != axis and edge.shape[dim] > 1:
            edge = edge.narrow(dim, there, edge.shape[dim] - 1)
    return edge


def _columns_at(u_vox: torch.Tensor, places: Places) -> list[torch.Tensor]:
    """∂(x + u)/∂x along i, j, k at ``places``, (P, D) each."""
    shape = u_vox.shape[2:]
    # One index a node: the gradient of two is added up in an order that changes.
    nodes = u_vox.movedim(1, -1).reshape(-1, len(shape))
    columns = []
    for axis in reversed(range(len(shape))):
        ends = []
        for there in (0, 1):
            side = places.side.clone()
            side[:, axis] = there
            place = places.sample * shape.numel() + _flat(places.cell + side, shape)
            ends.append(nodes.index_select(0, place))
        own = torch.eye(len(shape), dtype=u_vox.dtype, device=u_vox.device)[-1 - axis]
        columns.append(ends[1] - ends[0] + own)
    return columns


def _flat(index: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Place of voxels (P, D), in the order of ``shape``, in a flattened array.

    Along an axis of one voxel both ends of an edge are that one.
    """
    flat = torch.zeros_like(index[:, 0])
    for axis, length in enumerate(shape):
        flat = flat * length + index[:, axis].clamp_max(length - 1)
    return flat

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
from ..grid import mixed
from ..types import Grid

LOWEST = 0.2
"""det(I + ∇u) from which on a cell costs something."""
WEIGHT = 10.0
FEW = 1e-3
"""Part of the voxels: more folds say that λ and μ are too weak, and are left to be seen."""
TRIES, SAME_REACH = 20, 3
"""Smoothings, and how many before more about the folds takes part: fewer leave folds, and more at
once change more than they have to."""
BOX = 32


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


@torch.no_grad()
def unfolded(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Fields whose few folded voxels, and what lies about them, are smoothed.

    By means of a voxel and those beside it, of which one n times as far away as the nearest counts
    1/n² (slices far apart, which move each on its own, fold where they are simply averaged), until
    nothing folds or ``TRIES`` times, ever farther from the folds. What folds nowhere, or in more
    than a ``FEW`` voxels, stays as it is. All but the first look is at the boxes of ``BOX`` voxels
    a side that hold a fold: of a large volume each look at all of it takes seconds. No gradient
    follows.

    Args:
        u_mm: (N, D, *grid.shape) RAS mm.
        grid: of them.
    """
    folded = jacobian_determinant(u_mm, grid) <= 0
    share = folded.flatten(1).float().mean(1)
    mends = (share > 0) & (share <= FEW)
    if not mends.any():
        return u_mm
    folded &= mends.view(-1, *[1] * (u_mm.ndim - 1))
    u_mm = u_mm.clone()
    near = tuple(min(grid.spacing) / side for side in reversed(grid.spacing))
    for done in range(TRIES):
        boxes, reach = _occupied(folded), 1 + done // SAME_REACH
        changes = [_smoothed(u_mm, folded, box, reach, near) for box in boxes]
        for box, change in zip(boxes, changes, strict=True):
            u_mm[box.around(reach)] = change
        for box in boxes:
            there = jacobian_determinant(u_mm[box.around(reach + 2)], grid) <= 0
            folded[box.around(reach + 1)] = there[box.within(reach + 2, reach + 1)]
        if not boxes:
            break
    return u_mm


@dataclass(frozen=True)
class Box:
    """A part of one sample.

    Attributes:
        sample: of the batch.
        first: its first voxel, in the order k, j, i.
        shape: of the whole; what lies beyond is left out.
    """

    sample: int
    first: tuple[int, ...]
    shape: tuple[int, ...]

    def around(self, margin: int) -> tuple[slice, ...]:
        """The box and ``margin`` voxels on all sides, of a field (N, C, *shape)."""
        sides = [
            slice(max(first - margin, 0), min(first + BOX + margin, length))
            for first, length in zip(self.first, self.shape, strict=True)
        ]
        return (slice(self.sample, self.sample + 1), slice(None), *sides)

    def within(self, outer: int, inner: int) -> tuple[slice, ...]:
        """``around(inner)`` of what was cut out as ``around(outer)``."""
        whole, part = self.around(outer)[2:], self.around(inner)[2:]
        sides = [
            slice(p.start - w.start, p.stop - w.start) for w, p in zip(whole, part, strict=True)
        ]
        return (slice(None), slice(None), *sides)


def _occupied(folded: torch.Tensor) -> list[Box]:
    """The boxes in which something of (N, 1, *shape) is true."""
    shape = tuple(folded.shape[2:])
    pool = functional.max_pool2d if len(shape) == 2 else functional.max_pool3d
    places = pool(folded.float(), BOX, stride=BOX, ceil_mode=True)[:, 0].nonzero().tolist()
    return [Box(sample, tuple(BOX * n for n in place), shape) for sample, *place in places]


def _smoothed(
    u_mm: torch.Tensor, folded: torch.Tensor, box: Box, reach: int, near: tuple[float, ...]
) -> torch.Tensor:
    """The field in ``box.around(reach)``, smoothed at folds and up to ``reach`` voxels from them.

    Along an axis of coarser voxels that is fewer, one at least; ``near`` has for each axis how
    fine its voxels are, 1 for the finest.
    """
    window, inside = box.around(2 * reach), box.within(2 * reach, reach)
    pool = functional.max_pool2d if u_mm.ndim == 4 else functional.max_pool3d
    reaches = [max(1, round(reach * share)) for share in near]
    about = pool(folded[window].float(), [2 * n + 1 for n in reaches], 1, reaches)[inside] > 0
    own = smooth = u_mm[window]
    for axis, share in enumerate(near, start=2):
        smooth = mixed(smooth, axis, _beside(smooth.shape[axis], share**2, smooth))
    return torch.where(about, smooth[inside], own[inside])


def _beside(length: int, share: float, like: torch.Tensor) -> torch.Tensor:
    """(length, length): mean of each voxel and, by ``share``, those beside it along an axis."""
    ones = like.new_ones(length, length)
    weights = share * ones.triu(-1).tril(1) + (1 - share) * ones.triu().tril()
    return weights / weights.sum(1, keepdim=True)


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

"""What keeps a live field from folding where λ and μ alone would let it.

The solver of ``engine.register`` builds its field from smooth updates composed onto each other,
which hardly fold. The live one changes every node by itself, so folds cost it something.
"""

from __future__ import annotations

import itertools

import torch

from ..field import determinant

LOWEST = 0.2
"""det(I + ∇u) from which on a cell costs something."""
WEIGHT = 10.0


def fold_penalty(u_vox: torch.Tensor) -> torch.Tensor:
    """``WEIGHT`` times the mean of max(0, ``LOWEST`` − det(I + ∇u))² over the corners of all cells.

    At a corner ∇u is that of the edges which meet there: between the nodes a linearly
    interpolated field takes no other slopes.

    Args:
        u_vox: (N, D, *shape) in voxels.

    Returns:
        (N,).
    """
    edges = [_differences(u_vox, axis) for axis in range(u_vox.ndim - 2)]
    lows = []
    for corner in itertools.product((0, 1), repeat=len(edges)):
        columns = [_at(edge, axis, corner) for axis, edge in enumerate(edges)]
        lows.append((LOWEST - determinant(columns)).clamp_min(0).square().flatten(1).mean(1))
    return WEIGHT * torch.stack(lows).mean(0)


def _differences(u_vox: torch.Tensor, axis: int) -> torch.Tensor:
    """∂(x + u)/∂x_axis along each edge, (N, D, *shape) less one voxel along ``axis``."""
    dim = u_vox.ndim - 1 - axis
    if u_vox.shape[dim] == 1:
        return _added(torch.zeros_like(u_vox), axis)
    return _added(u_vox.diff(dim=dim), axis)


def _added(slope: torch.Tensor, axis: int) -> torch.Tensor:
    """The identity's own slope on top."""
    own = torch.zeros(slope.shape[1], dtype=slope.dtype, device=slope.device)
    own[axis] = 1
    return slope + own.view(1, -1, *[1] * (slope.ndim - 2))


def _at(edge: torch.Tensor, axis: int, corner: tuple[int, ...]) -> torch.Tensor:
    """Of the edges along ``axis`` those that meet at ``corner`` of each cell."""
    for other, side in enumerate(corner):
        dim = edge.ndim - 1 - other
        if other != axis and edge.shape[dim] > 1:
            edge = edge.narrow(dim, side, edge.shape[dim] - 1)
    return edge

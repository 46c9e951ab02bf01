"""Linear sampling of volumes on a processor, through PyTorch's sampler of slices.

PyTorch samples slices with the vector instructions of a processor, volumes voxel by voxel and on
one core if they are alone. A volume whose slices lie below each other is one tall slice: each
point is sampled in the two slices about it, and its place between them weighs the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

POINTS_AT_ONCE = 1 << 17
"""What is done with so many points stays in a processor's cache."""
MOST_COPIED = 64
"""Voxels of data that may be copied for each point; more take longer than is gained."""
MOST_ROWS = 1 << 14
"""As many are counted exactly enough: to some thousandths of a voxel."""
ROUNDING = 4e-7
"""Of a row among those of one slice, twice what single precision makes of it, −1 to 1."""
_LINEAR, _BORDER = 0, 1  # as PyTorch numbers interpolation and padding


def suits(data: torch.Tensor, positions: torch.Tensor) -> bool:
    """Whether ``trilinear`` can, and is quicker than PyTorch's sampler, but for its derivatives.

    It is not where slices of points run across those of the data, as between scans of two
    orientations, and so each needs many. Arguments as there, of any kind.
    """
    kinds = data.dtype == positions.dtype == torch.float32 and data.device.type == "cpu"
    if not kinds or data.ndim != 5 or data.shape[2] == 1 or positions.numel() == 0:
        return False
    batches = list(_batches(positions.shape))
    member, there = batches[len(batches) // 2]
    levels = positions[member, there, ..., 2].detach()
    low, high = (float(end) for end in torch.aminmax(levels.clamp(-1, 1)))
    rows = (high - low) * data[0, 0, :, :, 0].numel() / 2
    copied = 2 * rows * data.shape[1] * data.shape[4]
    return rows <= MOST_ROWS and copied <= MOST_COPIED * levels.numel()


def trilinear(data: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """``data`` (N or 1, C, *shape) at ``positions`` (N, d, h, w, 3), its border continued.

    The values are those of ``grid_sample`` but for the rounding of positions, as rows are counted
    through all slices that are sampled at once: to 4·10⁻⁷ of their number, as a rule less than a
    thousandth of a voxel. Differentiable once, in both.

    Args:
        data: float32 on the processor, at least two slices.
        positions: −1 to 1 from face to face of ``data``, components i, j, k.

    Returns:
        (N, C, d, h, w).
    """
    values: torch.Tensor = _Trilinear.apply(data, positions)  # type: ignore[no-untyped-call]
    return values


class _Slab(NamedTuple):
    """Some slices of points, and the slices of data about them."""

    first: int
    """Of the slices of data."""
    slices: int
    """Of the lower ones of the two about each point."""
    between: torch.Tensor
    """(s, h, w): how far each point is from the lower one to the upper."""
    grid: torch.Tensor
    """(s, h, w, 2): column and row in the lower ones, below each other, −1 to 1."""


def _slab(positions: torch.Tensor, shape: torch.Size) -> _Slab:
    """Where ``positions`` (s, h, w, 3) lie in data of ``shape`` (D, H, W)."""
    depth, height, _ = shape
    level = torch.add(depth / 2 - 0.5, positions[..., 2], alpha=depth / 2).clamp_(0, depth - 1)
    lower = level.floor().clamp_(max=depth - 2)
    low, high = (float(end) for end in torch.aminmax(lower))
    if not low <= high:  # NaN among them
        low, high = 0, depth - 2
    first, slices = int(low), int(high - low) + 1
    edge = 1 - 1 / height - ROUNDING * slices  # so that none is rounded into the next slice
    row = positions[..., 1].clamp(-edge, edge).div_(slices)
    row.add_(lower, alpha=2 / slices).add_((1 - 2 * first) / slices - 1)
    grid = torch.stack((positions[..., 0], row)).movedim(0, -1)
    return _Slab(first, slices, level.sub_(lower), grid)


def _pairs(data: torch.Tensor, slab: _Slab) -> torch.Tensor:
    """Lower and upper slices of ``data`` (C, D, H, W) as tall slices, (2C, slices · H, W)."""
    here = data[:, slab.first : slab.first + slab.slices + 1]
    return torch.cat((here[:, :-1], here[:, 1:])).flatten(1, 2)


def _batches(shape: torch.Size) -> Iterator[tuple[int, slice]]:
    """Member and slices of points (N, d, h, w, …) that are done together."""
    members, depth, height, width = shape[:4]
    threads = torch.get_num_threads()
    size = max(1, POINTS_AT_ONCE // (height * width * threads)) * threads
    for member in range(members):
        for begin in range(0, depth, size):
            yield member, slice(begin, min(begin + size, depth))


class _Trilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, data: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        values = data.new_empty(len(positions), data.shape[1], *positions.shape[1:4])
        rises = torch.empty_like(values) if ctx.needs_input_grad[1] else None
        for member, there in _batches(positions.shape):
            volume = data[member % len(data)]
            slab = _slab(positions[member, there], volume.shape[1:])
            pairs = _pairs(volume, slab)
            found = torch.grid_sampler(
                pairs.expand(len(slab.grid), *pairs.shape), slab.grid, _LINEAR, _BORDER, False
            )
            lower, upper = found.movedim(1, 0).chunk(2)
            rise = torch.sub(upper, lower, out=None if rises is None else rises[member, :, there])
            torch.addcmul(lower, rise, slab.between, out=values[member, :, there])
        ctx.save_for_backward(data, positions, rises)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        data, positions, rises = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        by_data = torch.zeros_like(data) if wanted[0] else None
        by_position = torch.empty_like(positions) if wanted[1] else None
        for member, there in _batches(positions.shape):
            volume, points = data[member % len(data)], positions[member, there]
            slab, grad = _slab(points, volume.shape[1:]), grads[member, :, there]
            upper = grad * slab.between
            by_pairs, by_grid = _backward(
                torch.cat((grad - upper, upper)), _pairs(volume, slab), slab.grid, wanted
            )
            if by_data is not None:
                by_lower, by_upper = by_pairs.unflatten(1, (slab.slices, -1)).chunk(2)
                here = by_data[member % len(data)].narrow(1, slab.first, slab.slices + 1)
                here[:, :-1] += by_lower
                here[:, 1:] += by_upper
            if by_position is not None:
                depth, height = volume.shape[1:3]
                across = (grad * rises[member, :, there]).sum(0).mul_(depth / 2)
                out = by_position[member, there]
                out[..., 0] = by_grid[..., 0]
                out[..., 1] = _within(by_grid[..., 1].div_(slab.slices), points[..., 1], height)
                out[..., 2] = _within(across, points[..., 2], depth)
        return by_data, by_position


def _backward(
    grad: torch.Tensor, pairs: torch.Tensor, grid: torch.Tensor, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of ``grad`` (2C, s, h, w) by ``pairs`` (2C, rows, W) and by ``grid`` (s, h, w, 2)."""
    slices = len(grid)
    # Each member of a batch has a gradient of its own for the whole of the data.
    members = math.gcd(slices, torch.get_num_threads()) if wanted[0] else slices
    points = grid.reshape(members, -1, *grid.shape[2:])
    by_pairs, by_grid = torch.ops.aten.grid_sampler_2d_backward(
        grad.reshape(len(grad), members, -1, grid.shape[2]).movedim(1, 0),
        pairs.expand(members, *pairs.shape),
        points,
        _LINEAR,
        _BORDER,
        False,
        list(wanted),
    )
    return by_pairs.sum(0) if wanted[0] else by_pairs, by_grid.view(grid.shape)


def _within(grad: torch.Tensor, positions: torch.Tensor, length: int) -> torch.Tensor:
    """``grad`` where a position lies between the centres of the first and the last voxel."""
    edge = 1 - 1 / length
    return torch.ops.aten.hardtanh_backward(grad, positions, -edge, edge)

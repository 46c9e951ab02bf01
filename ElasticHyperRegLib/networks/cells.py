"""Images as a network sees them: padded, and in cells, blocks of voxels that enter as channels."""

from __future__ import annotations

import torch
from torch.nn import functional


def pad_to_multiple(data: torch.Tensor, multiple: int) -> torch.Tensor:
    """Continue the border of (N, C, *shape) until each size is a multiple; centred."""
    pad: list[int] = []
    for n in reversed(data.shape[2:]):
        extra = -n % multiple
        pad += [extra // 2, extra - extra // 2]
    return functional.pad(data, pad, mode="replicate") if any(pad) else data


def to_cells(data: torch.Tensor, patch: int) -> torch.Tensor:
    """Blocks of patch^D voxels as channels: (N, C, *shape) → (N, C × patch^D, *shape / patch)."""
    ndim = data.ndim - 2
    shape = [n // patch for n in data.shape[2:]]
    split = data.reshape(*data.shape[:2], *(n for size in shape for n in (size, patch)))
    inner = [3 + 2 * axis for axis in range(ndim)]
    outer = [2 + 2 * axis for axis in range(ndim)]
    return split.permute(0, 1, *inner, *outer).reshape(len(data), -1, *shape)


def from_cells(data: torch.Tensor, patch: int) -> torch.Tensor:
    """Inverse of ``to_cells``."""
    ndim, shape = data.ndim - 2, data.shape[2:]
    split = data.reshape(len(data), -1, *[patch] * ndim, *shape)
    mixed = [axis for k in range(ndim) for axis in (2 + ndim + k, 2 + k)]
    return split.permute(0, 1, *mixed).reshape(len(data), -1, *(n * patch for n in shape))


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """Slices (N, C, *shape) with their channels innermost, for convolutions a third quicker."""
    if images.ndim > 4:
        return images
    return images.contiguous(memory_format=torch.channels_last)


def crop_to(data: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Undo ``pad_to_multiple``."""
    for axis, n in enumerate(shape, start=2):
        data = data.narrow(axis, (data.shape[axis] - n) // 2, n)
    return data

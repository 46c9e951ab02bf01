"""Mean squared error."""

from __future__ import annotations

import torch


def mse(
    fixed: torch.Tensor, warped: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of (fixed − warped)², one value a sample: (N,).

    Args:
        fixed: (N, C, *shape).
        warped: likewise.
        mask: weights (N or 1, 1, *shape), not negative; ``None`` counts every voxel.
    """
    squared = (fixed.float() - warped.float()).square().mean(1, keepdim=True)
    if mask is None:
        return squared.flatten(1).mean(1)
    weights = mask.to(squared).expand_as(squared).flatten(1)
    return (squared.flatten(1) * weights).sum(1) / weights.sum(1).clamp_min(1e-6)

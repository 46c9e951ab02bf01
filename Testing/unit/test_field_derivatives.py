"""Derivatives of a displacement along the axes of its grid."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib.field import displacement_gradient


@pytest.mark.parametrize("shape", [(5, 7, 4), (2, 3, 1), (6, 2), (1, 9)])
def test_derivatives_are_those_of_torch_gradient(shape: tuple[int, ...]) -> None:
    spacing = (0.7, 1.3, 2.0)[: len(shape)]
    grid = Grid.from_spacing(shape, spacing)
    u_mm = torch.randn(1, len(shape), *shape, generator=torch.Generator().manual_seed(0))
    found = displacement_gradient(u_mm, grid)
    for axis in range(len(shape)):
        dim = u_mm.ndim - 1 - axis
        if u_mm.shape[dim] == 1:
            assert not found[:, :, axis].any()
        else:
            (expected,) = torch.gradient(u_mm, spacing=spacing[axis], dim=dim)
            assert torch.equal(found[:, :, axis], expected)

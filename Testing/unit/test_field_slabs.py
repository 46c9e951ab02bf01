"""A large Jacobian is computed slab by slab, and nobody can tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib.field import jacobian, jacobian_determinant


@pytest.mark.parametrize("size", [(9, 12, 14), (12, 14), (1, 5, 7)])
@pytest.mark.parametrize("voxels", [1, 60, 400])
def test_slabs_give_the_whole(
    size: tuple[int, ...],
    voxels: int,
    oblique_grid: Callable[..., Grid],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = oblique_grid(size, (1.4, 1.1, 2.5)[: len(size)])
    u_mm = torch.randn(2, grid.ndim, *grid.shape, generator=torch.Generator().manual_seed(0))
    whole = jacobian_determinant(u_mm, grid)
    monkeypatch.setattr(jacobian, "SLAB_VOXELS", voxels)
    # Not to the bit: some processors round a product of matrices otherwise in another size of it.
    torch.testing.assert_close(jacobian_determinant(u_mm, grid), whole, rtol=1e-5, atol=1e-5)


def test_a_gradient_passes_through_slabs(
    oblique_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = oblique_grid((5, 6, 7), (1.4, 1.1, 2.5))
    u_mm = torch.randn(1, 3, *grid.shape, requires_grad=True)
    (whole,) = torch.autograd.grad(jacobian_determinant(u_mm, grid).square().sum(), u_mm)
    monkeypatch.setattr(jacobian, "SLAB_VOXELS", 60)
    (slabs,) = torch.autograd.grad(jacobian_determinant(u_mm, grid).square().sum(), u_mm)
    torch.testing.assert_close(slabs, whole)

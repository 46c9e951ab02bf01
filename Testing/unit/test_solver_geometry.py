"""The solver in thick slices, at the edges of images and masks, and what keeps it from folding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.field import jacobian_determinant
from ElasticHyperRegLib.grid import coarser, gaussian_smooth
from ElasticHyperRegLib.solver import Level, Problem, SolverOptions, field_grid, solve
from ElasticHyperRegLib.solver.descent import descend
from ElasticHyperRegLib.solver.folds import unfolded
from ElasticHyperRegLib.solver.objective import Objective, matching_grid
from ElasticHyperRegLib.types import Grid


class Pull(Objective):
    """Whoever moves one node along i gains."""

    def __init__(self) -> None:
        self.field_grid = Grid.from_spacing((24, 48), (1.0, 2.0))

    def counting_from(self, *fields: torch.Tensor) -> Pull:
        return self

    def __call__(self, u_vox: torch.Tensor) -> torch.Tensor:
        return -u_vox[:, 0, 12, 24]


@pytest.mark.parametrize(("mu", "most"), [(0.02, 0.01), (0.3, 0.0)])
def test_images_that_have_nothing_in_common_hardly_fold(mu, most):
    grid = Grid.from_spacing((32, 32, 32), (2.0, 2.0, 2.0))
    pair = gaussian_smooth(torch.rand(2, 1, 32, 32, 32), (2.0, 2.0, 2.0))[:, None]
    low, high = pair[0].min(), pair[0].max()
    fixed, moving = (pair - low) / (high - low)
    options = dataclasses.replace(SolverOptions.for_dimension(3), search_mm=0.0)
    u_mm = solve(Problem(fixed, moving, grid, grid, 0.0, mu), options).u_mm
    assert (jacobian_determinant(u_mm, grid) <= 0).float().mean() <= most


def test_an_update_is_as_wide_in_mm_along_every_axis():
    level, rest = Level(2, 7, 1, 2.0), torch.zeros(1, 2, 24, 48)
    found = descend(Pull(), rest, level, SolverOptions(), lambda _: None).u_vox[0, 0]
    wide = []
    for axis, count, spacing in ((0, 24, 2.0), (1, 48, 1.0)):
        squares = (torch.arange(float(count)) - count / 2) ** 2
        wide.append(spacing * float((found.sum(1 - axis) * squares).sum() / found.sum()) ** 0.5)
    assert wide[0] == pytest.approx(wide[1], rel=0.1)


@pytest.mark.parametrize("mask", [None, torch.ones(1, 1, 32, 32)])
def test_a_moving_image_and_its_mask_end_together(mask):
    grid = Grid.from_spacing((32, 32), (1.0, 1.0))
    moving = gaussian_smooth(torch.rand(1, 1, 32, 32), (1.0, 1.0))
    fixed = torch.cat([moving[..., 16:], torch.rand(1, 1, 32, 16)], -1)
    problem = Problem(fixed, moving, grid, grid, 0.0, 0.0, moving_mask=mask)
    u_vox = torch.zeros(1, 2, 32, 32)
    u_vox[:, 0] = 16
    objective = Objective(problem, grid, grid, 5)
    assert objective.similarity(u_vox).item() < 0.2
    assert objective.compared(u_vox)[1].sum() == 16 * 32
    on_the_way = objective.counting_from(u_vox)
    assert on_the_way.similarity(u_vox).item() < 1e-3  # boxes look at nothing else
    assert torch.equal(on_the_way.compared(0 * u_vox)[1], objective.compared(u_vox)[1])


def test_what_the_moving_image_does_not_show_pulls_at_nothing():
    grid, shown = Grid.from_spacing((40, 40), (2.0, 2.0)), 26
    moving = gaussian_smooth(torch.rand(1, 1, 40, 40), (1.5, 1.5))
    moving = (moving - moving.mean()) / moving.std()
    part = Grid.from_spacing((40, shown), (2.0, 2.0))
    options = SolverOptions.for_dimension(2)
    found = solve(Problem(moving, moving[..., :shown], grid, part, 0.05, 0.2), options)
    assert found.u_mm.abs().mean() < 0.2  # mm; 0.46 when its border was continued


def test_small_images_take_the_finest_levels():
    grid = Grid.from_spacing((20, 20), (1.0, 1.0))
    image = gaussian_smooth(torch.rand(1, 1, 20, 20), (1.0, 1.0))
    levels = tuple(Level(n, 7, 1, 1.5) for n in (1, 2, 4))
    problem = Problem(image, image.roll(1, -1), grid, grid, 0.0, 0.2)
    assert [len(t) - 1 for t in solve(problem, SolverOptions(levels)).traces] == [2, 4]


def masked_problem(shape: tuple[int, ...], similarity: str) -> Problem:
    """Two pairs of noise, calm in one half, there a fixed mask, a block without a corner.

    How calm MIND-SSC takes the calm half to be hangs on the other one.
    """
    generator, dim = torch.Generator().manual_seed(0), len(shape)
    spacing = (1.0, 1.3, 2.0)[:dim]
    sizes = shape, tuple(n + 5 for n in shape)
    images = [
        gaussian_smooth(torch.randn(2, 1, *size, generator=generator), (1.5,) * dim)
        for size in sizes
    ]
    for image in images:
        image[..., : image.shape[-1] // 2 + 3] *= 0.02
    grids = [Grid.from_spacing(size, spacing) for size in sizes]
    mask, seen = torch.zeros(1, 1, *shape), torch.ones(1, 1, *sizes[1])
    mask[0, 0][tuple(slice(n // 4, n // 2) for n in shape)] = 1
    mask[0, 0][tuple(slice(n // 4, n // 4 + 3) for n in shape)] = 0
    seen[:, :, : sizes[1][0] // 3] = 0
    lam = 0.3 * torch.rand(1, 1, *shape, generator=generator)
    (fixed, moving), (fixed_grid, moving_grid) = images, grids
    return Problem(fixed, moving, fixed_grid, moving_grid, lam, 0.2, None, mask, seen, similarity)


@pytest.mark.parametrize("similarity", ["ncc", "mind"])
@pytest.mark.parametrize(("shape", "control"), [((40, 52), 1.0), ((30, 40, 52), 3.0)])
def test_what_a_mask_leaves_out_need_not_be_looked_at(shape, control, similarity):
    problem = masked_problem(shape, similarity)
    for image_grid in (
        problem.fixed_grid,
        coarser(problem.fixed_grid, (2.0, 2.6, 4.0)[: len(shape)]),
    ):
        nodes = field_grid(problem.fixed_grid, Level(1, 7, control, 0))
        u_vox = torch.randn(2, len(shape), *nodes.shape, requires_grad=True)
        found, looked_at = [], []
        for boxed in (False, True):
            objective = Objective(problem, image_grid, nodes, 7, boxed=boxed)
            value = objective(u_vox)
            found.append((value.detach(), torch.autograd.grad(value.sum(), u_vox)[0]))
            looked_at.append(objective.dissimilarity(u_vox.detach())[0].numel())
        assert looked_at[1] < 0.5 * looked_at[0]
        assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
        # A point at the border of two voxels may be rounded into the other one.
        apart = (found[0][1] - found[1][1]).norm() / found[0][1].norm()
        assert apart < 1e-2


def test_the_box_reaches_from_the_first_to_the_last_voxel_of_all_masks():
    grid = Grid.from_spacing((20, 30), (1.0, 1.0))
    mask = torch.zeros(2, 1, 20, 30)
    mask[0, 0, 5, 7] = mask[1, 0, 11, 20] = 1
    image = torch.rand(2, 1, 20, 30)

    def looked_at(mask: torch.Tensor | None) -> torch.Size:
        problem = Problem(image, image, grid, grid, 0.0, 0.2, fixed_mask=mask)
        return Objective(problem, grid, grid, 5, boxed=True).boxed(image).shape[2:]

    assert looked_at(mask) == (7, 14)
    assert looked_at(torch.zeros_like(mask)) == looked_at(None) == (20, 30)


def test_the_moving_image_is_as_coarse_as_the_fixed_one_axis_by_axis():
    moving = Grid.from_spacing((40, 40, 40), (0.5, 0.5, 0.5))
    turned = Grid.from_spacing((5, 10, 20), (1.0, 2.0, 4.0), direction=np.eye(3)[[2, 0, 1]])
    assert matching_grid(moving, turned).spacing == pytest.approx((4, 1, 2))


def test_each_member_is_mended_by_itself_and_borders_keep_their_motion():
    u_mm = torch.full((2, 2, 40, 40), 10.0)
    u_mm[0, 0, 20, 38] = 13.0  # one fold, in the last column
    u_mm[1, 0] = -2 * torch.arange(40.0)  # folds everywhere: left to be seen
    found = unfolded(u_mm, Grid.from_spacing((40, 40), (1.0, 1.0)))
    assert torch.equal(found[1], u_mm[1])
    assert not torch.equal(found[0], u_mm[0])
    assert found[0].min() >= 10 - 1e-4

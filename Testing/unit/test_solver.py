"""The exact solver: known warps recovered, energies respected, nothing random."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import jacobian_determinant, mm_to_vox, warp
from ElasticHyperRegLib.grid import coarser, gaussian_smooth, resample, resize
from ElasticHyperRegLib.solver import Level, Problem, SolverOptions, solve
from ElasticHyperRegLib.solver.descent import _Adam
from ElasticHyperRegLib.solver.objective import Objective
from ElasticHyperRegLib.types import Displacement, Grid

QUICK = SolverOptions(levels=(Level(30, 7, 1, 1.5), Level(30, 7, 1, 1.5)))


def texture(grid: Grid, seed: int = 0, sigma: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, *grid.shape, generator=generator)
    smooth = gaussian_smooth(noise, (sigma,) * grid.ndim)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def smooth_field(grid: Grid, amplitude_mm: float, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, grid.ndim, *grid.shape, generator=generator)
    smooth = gaussian_smooth(noise, (7.0,) * grid.ndim)
    return smooth / smooth.abs().max() * amplitude_mm


def pair(grid: Grid, amplitude_mm: float = 3.0) -> tuple[Problem, torch.Tensor]:
    """moving is a texture, fixed = moving(x + u): the truth is u."""
    moving, truth = texture(grid), smooth_field(grid, amplitude_mm)
    fixed = warp(moving, truth, grid, grid)
    return Problem(fixed, moving, grid, grid, 0.0, 0.1), truth


def interior_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    inside = (slice(None), slice(None), *[slice(4, -4)] * (found.ndim - 2))
    return float((found - truth)[inside].norm(dim=1).median())


@pytest.mark.parametrize(
    ("shape", "spacing", "degrees"),
    [
        ((48, 48), (1.0, 1.0), 0.0),
        ((40, 56), (1.4, 0.9), 35.0),
        ((28, 30, 32), (1.2, 1.0, 1.1), 20),
    ],
)
def test_recovers_a_known_warp(oblique_grid, shape, spacing, degrees):
    grid = oblique_grid(shape, spacing, degrees)
    problem, truth = pair(grid)
    solution = solve(problem, QUICK)
    assert interior_error(solution.u_mm, truth) < 0.08 < truth.norm(dim=1).median()
    assert (jacobian_determinant(solution.u_mm, grid) > 0).all()


def test_accepted_objective_never_rises():
    problem, _ = pair(Grid.from_spacing((40, 40), (1.0, 1.0)))
    for trace in solve(problem, QUICK).traces:
        assert all(later <= earlier for earlier, later in zip(trace, trace[1:], strict=False))
        assert trace[-1] < trace[0]


def test_same_problem_same_field_bit_for_bit():
    problem, _ = pair(Grid.from_spacing((20, 22, 24), (1.0, 1.0, 1.0)))
    assert torch.equal(solve(problem, QUICK).u_mm, solve(problem, QUICK).u_mm)


def test_a_batch_is_solved_as_its_members_are():
    grid = Grid.from_spacing((40, 40), (1.0, 1.0))
    problem, _ = pair(grid)
    other = texture(grid, seed=5)
    moved = warp(other, smooth_field(grid, 2.0, seed=6), grid, grid)
    both = dataclasses.replace(
        problem,
        fixed=torch.cat([problem.fixed, moved]),
        moving=torch.cat([problem.moving, other]),
    )
    never = dataclasses.replace(QUICK, tolerance=-1.0)
    alone = solve(problem, never).u_mm
    assert torch.allclose(solve(both, never).u_mm[:1], alone, atol=0.02)  # Adam enlarges rounding


def test_an_initial_transform_is_free_of_charge():
    """A moving image in a frame 25 mm away, turned by 10°, is found through ``initial``."""
    grid = Grid.from_spacing((48, 48), (1.0, 1.0))
    problem, truth = pair(grid)
    angle = np.deg2rad(10)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:2, 2] = 25.0
    there = Grid(grid.shape, matrix @ grid.ijk_to_ras)
    turned = dataclasses.replace(problem, moving_grid=there, initial=matrix)
    assert torch.allclose(solve(turned, QUICK).u_mm, solve(problem, QUICK).u_mm, atol=0.05)
    assert interior_error(solve(turned, QUICK).u_mm, truth) < 0.1


def test_stiffer_means_less_strain():
    problem, _ = pair(Grid.from_spacing((48, 48), (1.0, 1.0)))
    energies = []
    for mu in (0.05, 0.5, 0.95):
        u_mm = solve(dataclasses.replace(problem, mu=mu), QUICK).u_mm
        energies.append((jacobian_determinant(u_mm, problem.fixed_grid) - 1).std().item())
    assert energies[0] > energies[1] > energies[2]


def test_a_stiff_tissue_stays_stiff_while_its_neighbour_gives():
    grid = Grid.from_spacing((48, 48), (1.0, 1.0))
    problem, _ = pair(grid, amplitude_mm=4.0)
    mu = torch.full((1, 1, 48, 48), 0.02)
    mu[..., :24] = 0.95
    u_mm = solve(dataclasses.replace(problem, mu=mu), QUICK).u_mm
    change = (jacobian_determinant(u_mm, grid) - 1).abs()
    assert change[..., 2:20].mean() < 0.6 * change[..., 28:46].mean()


def test_masked_out_voxels_do_not_pull():
    grid = Grid.from_spacing((48, 48), (1.0, 1.0))
    problem, truth = pair(grid)
    spoilt = problem.fixed.clone()
    spoilt[..., 30:44, 30:44] = torch.rand(14, 14)
    mask = torch.ones_like(spoilt)
    mask[..., 30:44, 30:44] = 0
    with_mask = dataclasses.replace(problem, fixed=spoilt, fixed_mask=mask)
    without = dataclasses.replace(problem, fixed=spoilt)
    hole = (slice(None), slice(None), slice(32, 42), slice(32, 42))
    errors = [(solve(p, QUICK).u_mm - truth)[hole].norm(dim=1).mean() for p in (with_mask, without)]
    assert errors[0] < 0.6 * errors[1]


def test_large_motion_is_found_by_the_search():
    """A blob field moved by 22 mm, ten times its detail: the pyramid alone loses it."""
    grid = Grid.from_spacing((40, 40, 40), (2.0, 2.0, 2.0))
    moving = texture(grid, sigma=1.5)
    shift = torch.zeros(1, 3, *grid.shape)
    shift[:, 0] = 22.0
    problem = Problem(warp(moving, shift, grid, grid), moving, grid, grid, 0.0, 0.2)
    options = SolverOptions(levels=(Level(15, 7, 1, 1.5), Level(15, 7, 2, 1.5)))
    centre = (0, 0, slice(8, -8), slice(8, -8), slice(8, -14))
    lost = solve(problem, options).u_mm[centre].median().item()
    found = (
        solve(problem, dataclasses.replace(options, search_mm=30.0)).u_mm[centre].median().item()
    )
    assert abs(lost - 22) > 5
    assert abs(found - 22) < 1


def test_warm_start_begins_where_it_is_told():
    grid = Grid.from_spacing((48, 48), (1.0, 1.0))
    problem, truth = pair(grid)
    warm = solve(
        problem,
        SolverOptions(levels=(Level(3, 7, 1, 1.5),)),
        start=Displacement(truth, problem.fixed_grid),
    )
    assert warm.traces[0][0] < 0.1 * solve(problem, QUICK).traces[0][0]
    assert interior_error(warm.u_mm, truth) < 0.05


def test_cancel_raises_and_progress_ends_at_one():
    problem, _ = pair(Grid.from_spacing((32, 32), (1.0, 1.0)))
    with pytest.raises(Cancelled):
        solve(problem, QUICK, cancelled=lambda: True)
    seen: list[float] = []
    solve(problem, QUICK, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_it_says_why_it_stopped():
    problem, _ = pair(Grid.from_spacing((32, 32), (1.0, 1.0)))
    assert solve(problem, SolverOptions(levels=(Level(2, 7, 1, 1.5),))).stopped == "iteration limit"
    loose = SolverOptions(levels=(Level(60, 7, 1, 1.5),), tolerance=1.0)
    assert solve(problem, loose).stopped == "converged"


def test_resize_agrees_with_resampling_by_position():
    fine = Grid.from_spacing((12, 14, 16), (1.0, 1.0, 1.0))
    coarse = coarser(fine, (2.0, 2.0, 2.0))
    data = torch.rand(2, 3, *coarse.shape)
    assert torch.allclose(resize(data, fine.shape), resample(data, coarse, fine), atol=1e-5)
    part = slice(2, 9), slice(3, 11), slice(0, 16)
    whole = resize(data, fine.shape)[:, :, 2:9, 3:11]
    assert torch.allclose(resize(data, fine.shape, part), whole, atol=1e-6)


def test_its_adam_is_adam():
    own = torch.randn(40)
    reference = own.clone().requires_grad_()
    adam, theirs = _Adam(own, 0.2), torch.optim.Adam([reference], lr=0.2, eps=_Adam.EPSILON)
    for _ in range(15):
        gradient = torch.randn(40)
        adam.step(gradient)
        reference.grad = gradient
        theirs.step()
    torch.testing.assert_close(own, reference.detach(), rtol=1e-6, atol=1e-7)


def test_solving_does_not_load_the_compiler():
    script = (
        "import sys, torch; from ElasticHyperRegLib.solver import Problem, solve; "
        "from ElasticHyperRegLib import Grid; grid = Grid.from_spacing((8, 8), (1.0, 1.0)); "
        "image = torch.rand(1, 1, 8, 8); solve(Problem(image, image, grid, grid, 0.0, 0.1)); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 0


def test_the_search_ends_with_the_image():
    micrometres = Grid((12, 12, 12), np.diag([1e-3, 1e-3, 1e-3, 1]))
    problem, _ = pair(micrometres, 1e-3)
    search = dataclasses.replace(QUICK, search_mm=30.0)  # in steps of the image's 0.012 mm
    assert solve(problem, search).u_mm.abs().max() < 0.1


def test_a_mirrored_pair_has_the_mirrored_answer():
    grid = Grid.from_spacing((6, 48, 40), (1.5, 1.5, 6.0))
    moving = texture(grid)
    fixed = warp(moving, smooth_field(grid, 3.0), grid, grid)
    problem = Problem(fixed, moving, grid, grid, 0.1, 0.6)
    u_mm = solve(problem, SolverOptions.for_dimension(3)).u_mm
    for axis in range(3):
        dim = 4 - axis
        mirrored = dataclasses.replace(problem, fixed=fixed.flip(dim), moving=moving.flip(dim))
        back = solve(mirrored, SolverOptions.for_dimension(3)).u_mm.flip(dim)
        back[:, axis] *= -1
        assert (back - u_mm).norm() < 0.06 * u_mm.norm()


def test_nothing_is_gained_by_leaving_the_moving_mask():
    grid = Grid.from_spacing((32, 32), (1.0, 1.0))
    problem, truth = pair(grid)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    seen = dataclasses.replace(problem, fixed_mask=mask, moving_mask=mask, lam=0.1)
    objective = Objective(seen, grid, grid, 7)
    there, rest = (objective.similarity(mm_to_vox(u, grid)).item() for u in (truth, 0 * truth))
    away = objective.similarity(torch.full_like(truth, 300.0)).item()
    assert there < rest < away == pytest.approx(1 - 0.1 - 0.1)  # like nothing: cc = 0
    assert objective.dissimilarity(torch.full_like(truth, 300.0)).mean().item() == pytest.approx(
        0.8
    )


def test_company_does_not_stop_a_pair_that_still_moves():
    grid = Grid.from_spacing((40, 40), (1.0, 1.0))
    problem, _ = pair(grid)
    still = problem.moving.expand(9, 1, 40, 40)
    both = dataclasses.replace(
        problem,
        fixed=torch.cat([problem.fixed, still]),
        moving=torch.cat([problem.moving, still]),
    )
    alone = solve(problem, QUICK).value.item()
    assert solve(both, QUICK).value[0].item() <= alone + 1e-4

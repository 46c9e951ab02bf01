"""Initial alignment: known rigid and affine motions found again, on real geometry too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import alignment
from ElasticHyperRegLib.alignment import _one_thread, align, enlargement
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.grid import apply_matrix, gaussian_smooth, voxel_points
from ElasticHyperRegLib.types import Grid
from Testing.conftest import make_oblique_grid


def anatomy(points: torch.Tensor) -> torch.Tensor:
    """An asymmetric body of three ellipsoids, evaluated at (1, 3, ...) RAS mm."""
    parts = (((0, 0, 0), (60, 40, 50), 0.4), ((20, 5, 10), (18, 14, 20), 0.5),
             ((-25, -8, -12), (12, 15, 10), -0.3))  # fmt: skip
    image = torch.zeros_like(points[:, :1])
    for centre, radii, height in parts:
        scaled = (points - torch.tensor(centre).view(1, 3, 1, 1, 1)) / torch.tensor(radii).view(
            1, 3, 1, 1, 1
        )
        image += height * torch.sigmoid((1 - scaled.norm(dim=1, keepdim=True)) * 12)
    return image


Side = tuple[torch.Tensor, Grid, None]


def scene(matrix: np.ndarray) -> tuple[Side, Side]:
    """fixed(x) = anatomy(x), moving(A x) = anatomy(x), on grids that follow the anatomy."""
    grid = Grid.from_spacing((36, 36, 36), (4.0, 4.0, 4.0), (-70, -70, -70))
    moved = np.eye(4)
    moved[:3, 3] = matrix[:3, 3]
    there = Grid(grid.shape, moved @ grid.ijk_to_ras)
    zero = torch.zeros(1)
    fixed = anatomy(apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, zero)))
    back = np.linalg.inv(matrix) @ there.ijk_to_ras
    moving = anatomy(apply_matrix(back, voxel_points(there.shape, zero)))
    return (fixed, grid, None), (moving, there, None)


def worst_error(found: np.ndarray, truth: np.ndarray) -> float:
    corners = np.array(np.meshgrid(*[(-50, 50)] * 3)).reshape(3, -1)
    corners = np.vstack([corners, np.ones(8)])
    return float(np.linalg.norm((found - truth) @ corners, axis=0).max())


def motion(kind: str) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = (12, -8, 133)
    if kind != "translation":
        angle = np.deg2rad(8)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    if kind == "affine":
        matrix[:3, :3] = matrix[:3, :3] @ np.diag([1.08, 0.95, 1.05])
    return matrix


@pytest.mark.parametrize("kind", ["translation", "rigid", "affine"])
def test_finds_the_motion_across_frames_far_apart(kind):
    truth = motion(kind)
    fixed, moving = scene(truth)
    assert worst_error(align(kind, fixed, moving), truth) < 4.0  # one voxel


def test_none_leaves_the_frames_alone():
    fixed, moving = scene(motion("translation"))
    assert np.array_equal(align("none", fixed, moving), np.eye(4))


def test_same_seed_same_matrix():
    fixed, moving = scene(motion("rigid"))
    assert np.array_equal(align("rigid", fixed, moving, 3), align("rigid", fixed, moving, 3))


def test_unknown_kind_is_refused_in_one_line():
    fixed, moving = scene(np.eye(4))
    with pytest.raises(InputError, match="'elastic'.*translation"):
        align("elastic", fixed, moving)


RUNAWAY_MM = 300.0


def run_away(monkeypatch: pytest.MonkeyPatch, steps_mm: tuple[float, ...]) -> None:
    """Let the affine stage begin with a step of 300 mm wherever ``steps_mm`` are asked for."""
    descent = alignment._descent

    def hasty(stage: str, step_mm: float, *rest: Any) -> Any:
        hurried = stage == "affine" and step_mm in steps_mm
        return descent(stage, RUNAWAY_MM if hurried else step_mm, *rest)

    monkeypatch.setattr(alignment, "_descent", hasty)


def test_a_stage_that_runs_away_is_tried_with_a_smaller_step(monkeypatch):
    truth = motion("affine")
    fixed, moving = scene(truth)
    run_away(monkeypatch, alignment.STEPS_MM[:1])
    assert worst_error(align("affine", fixed, moving), truth) < 4.0  # one voxel


def test_a_stage_that_always_runs_away_changes_nothing(monkeypatch):
    fixed, moving = scene(motion("translation"))
    rigid = align("rigid", fixed, moving)
    run_away(monkeypatch, alignment.STEPS_MM)
    np.testing.assert_allclose(align("affine", fixed, moving), rigid, atol=1e-9)


def shrunk(side: Side, factor: float) -> Side:
    """The same voxels, so many times smaller."""
    matrix = side[1].ijk_to_ras.copy()
    matrix[:3] /= factor
    return side[0], Grid(side[1].shape, matrix), None


@pytest.mark.parametrize("times", [10.0, 100.0])
def test_a_small_object_is_aligned_as_a_large_one(times):
    truth = motion("affine")
    fixed, moving = (shrunk(side, times) for side in scene(truth))
    found = align("affine", fixed, moving)
    found[:3, 3] *= times
    assert worst_error(found, truth) < 4.0  # one voxel


@pytest.mark.parametrize(
    ("shape", "spacing"), [((8, 96, 96), (2.0, 2.0, 1.0)), ((4, 96, 96), (2.0, 2.0, 2.0))]
)
def test_a_thin_slab_finds_its_way_within_its_plane(shape, spacing):
    below = -(shape[0] - 1) * spacing[2] / 2
    grid = Grid.from_spacing(shape, spacing, (-95.0, -95.0, below))
    points = apply_matrix(grid.ijk_to_ras, voxel_points(shape, torch.zeros(1)))
    truth = np.eye(4)
    truth[:2, :2] = [[0.990, -0.139], [0.139, 0.990]]  # 8°, which no start has
    truth[:2, 3] = 17, 11
    moving = anatomy(apply_matrix(np.linalg.inv(truth), points))
    found = align("affine", (anatomy(points), grid, None), (moving, grid, None))
    corners = np.array(np.meshgrid((-48, 48), (-48, 48), (0,), (1,))).reshape(4, -1)
    assert np.linalg.norm(((found - truth) @ corners)[:2], axis=0).max() < 4.0  # two voxels
    shift = torch.tensor([17.0, 11.0, 0.0]).view(1, 3, 1, 1, 1)
    found = align("affine", (anatomy(points), grid, None), (anatomy(points - shift), grid, None))
    assert np.abs(found[:3, 3] - [17.0, 11.0, 0.0])[:2].max() < 1.0  # half a voxel


def test_alignments_side_by_side_leave_the_number_of_threads_alone():
    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
    try:
        first, second = _one_thread(), _one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 1  # the second goes on
        second.__exit__(None, None, None)
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)


def test_small_objects_are_enlarged_to_a_body():
    mouse, man = (Grid.from_spacing((64, 64, 64), (s, s, s)) for s in (0.2, 5.0))
    assert enlargement(man, man) == 1.0
    assert enlargement(mouse, man) == pytest.approx(10.0)


@pytest.mark.parametrize("masked", ["fixed", "moving", "both"])
def test_what_lies_outside_a_mask_leads_nowhere(masked):
    """The upper two thirds moved the other way."""
    grid = Grid.from_spacing((36, 24, 24), (4.0, 4.0, 4.0))
    texture = gaussian_smooth(torch.rand(1, 1, 36, 24, 24), (1.5, 1.5, 1.5))
    moving = texture.roll(-2, -1)
    moving[:, :, :12] = texture[:, :, :12].roll(2, -1)
    mask = torch.zeros(1, 1, 36, 24, 24, dtype=torch.bool)
    mask[:, :, :12] = True
    fixed, other = (
        (data, grid, mask if masked in (side, "both") else None)
        for side, data in (("fixed", texture), ("moving", moving))
    )
    assert align("translation", fixed, other)[:3, 3] == pytest.approx([8, 0, 0], abs=1)
    free = align("translation", (texture, grid, None), (moving, grid, None))
    assert free[:3, 3] == pytest.approx([-8, 0, 0], abs=1)


def test_a_mask_thinner_than_what_is_looked_at_still_leads():
    grid = Grid.from_spacing((96, 96, 96), (1.0, 1.0, 1.0))
    texture = gaussian_smooth(torch.rand(1, 1, 96, 96, 96), (3.0, 3.0, 3.0))
    mask = torch.zeros(1, 1, 96, 96, 96, dtype=torch.bool)
    mask[:, :, 20:76, 20:76, 44:48] = True
    moving = texture.roll((4, -3), (2, 3))
    found = align("affine", (texture, grid, mask), (moving, grid, mask.roll((4, -3), (2, 3))))
    assert found @ [46, 48, 48, 1] == pytest.approx([46, 45, 52, 1], abs=1)


def test_the_origin_of_the_world_may_lie_anywhere():
    truth, away = motion("affine"), np.eye(4)
    away[:3, 3] = 400, -300, 900
    fixed, moving = ((d, Grid(g.shape, away @ g.ijk_to_ras), None) for d, g, _ in scene(truth))
    found = np.linalg.inv(away) @ align("affine", fixed, moving) @ away
    assert worst_error(found, truth) < 4.0  # one voxel


def test_another_seed_draws_other_samples():
    fixed, moving = scene(motion("rigid"))
    a, b = align("rigid", fixed, moving, 3), align("rigid", fixed, moving, 4)
    assert not np.array_equal(a, b)
    assert worst_error(a, b) < 4.0


def test_the_mass_of_a_scan_is_where_it_lies_in_the_world():
    grid = make_oblique_grid((5, 6, 7))
    data = torch.zeros(1, 1, *grid.shape)
    data[0, 0, 1, 4, 2] = 1
    found = alignment._mass(alignment._as_sitk(data, grid))
    assert found == pytest.approx((grid.ijk_to_ras @ [2, 4, 1, 1])[:3])

"""Scores agree with the metrics of a result, and are known where the map is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, LabelMap
from ElasticHyperRegLib.estimation import Evidence
from ElasticHyperRegLib.estimation.evidence import given
from ElasticHyperRegLib.estimation.place import Place, nearest
from ElasticHyperRegLib.estimation.scorer import Scorer
from ElasticHyperRegLib.field import transform_points, warp_labels, with_initial, world_points
from ElasticHyperRegLib.grid import coarser
from ElasticHyperRegLib.metrics import dice, tre_mm
from Testing.unit.fake_fields import GRID, SHIFT_MM, evidence
from Testing.unit.small_pair import small_request

CPU = torch.device("cpu")
AFFINE = np.array(
    [[1.04, 0.02, 0, -6], [-0.03, 0.97, 0.01, 5], [0, 0.02, 1.02, -2], [0, 0, 0, 1.0]]
)


def small_evidence() -> Evidence:
    """Fixed and moving of different oblique grids, under an affine alignment."""
    return Evidence.of(small_request(), AFFINE)


def some_field(grid: Grid, size_mm: float = 3.0) -> torch.Tensor:
    x = world_points(grid, torch.zeros(1)) / 20
    return size_mm * torch.cat([x[:, 1:2].sin(), x[:, 2:].cos(), x[:, :1].sin()], dim=1)


def scores(evidence: Evidence, objective: str, d_mm: torch.Tensor, grid: Grid) -> dict[str, float]:
    scorer = Scorer(Place(grid, evidence, CPU), {objective: 1.0})
    return scorer.named(scorer(d_mm))


def test_dice_is_that_of_the_metrics():
    known = small_evidence()
    grid = given(known.fixed_labels, "fixed").grid
    d_mm = some_field(grid)
    u_mm = with_initial(d_mm, world_points(grid, d_mm), AFFINE)
    moving = given(known.moving_labels, "moving")
    warped = warp_labels(moving.data, u_mm, grid, moving.grid)
    expected = dice(given(known.fixed_labels, "fixed"), LabelMap(warped, grid))
    found = scores(known, "dice", d_mm, grid)
    assert found["everywhere"] == pytest.approx(np.mean(list(expected.values())), abs=2e-3)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-3)


def test_a_mean_of_millions_is_exact():
    grid = Grid.from_spacing((24, 384, 384), (1.0, 1.0, 1.0))
    place = Place(grid, Evidence(), CPU)
    values = torch.full((1, 1, *grid.shape), 0.0123)
    assert place.by_tissue(values).tolist() == pytest.approx([0.0123], rel=1e-5)


def test_labels_of_an_atlas_cost_no_more_than_others():
    grid = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 1.0))
    data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    data[..., 2:4], data[..., 4:] = 614_454_277, 7
    labels = LabelMap(data, grid, {7: "seven"})
    place = Place(grid, Evidence(fixed_labels=labels, moving_labels=labels), CPU)
    assert place.names == ("seven", "614454277")
    assert place.voxels == {"seven": 40, "614454277": 40}
    strange = torch.tensor([-3, 0, 7, 8, 614_454_277, 2**31 - 1])
    assert place.moving_numbers(strange).tolist() == [0, 0, 1, 0, 2, 0]


def test_landmark_error_is_that_of_the_metrics():
    known = small_evidence()
    grid = given(known.fixed_labels, "fixed").grid
    d_mm = some_field(grid)
    u_mm = with_initial(d_mm, world_points(grid, d_mm), AFFINE)
    moved = transform_points(given(known.fixed_points, "fixed"), u_mm, grid)
    truth = given(known.moving_points, "moving")
    found = scores(known, "tre", d_mm, grid)
    assert found["everywhere"] == pytest.approx(-tre_mm(moved, truth).mean(), abs=1e-3)


def test_landmarks_count_for_the_tissue_they_lie_in():
    known = evidence()
    points = given(known.moving_points, "moving").copy()
    points[2:] += SHIFT_MM  # those of the right block are off by the shift
    d_mm = torch.as_tensor(SHIFT_MM).float().view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    found = scores(replace(known, moving_points=points), "tre", d_mm, GRID)
    length = np.linalg.norm(SHIFT_MM)
    assert found["left"] == pytest.approx(0, abs=1e-3)
    assert found["right"] == pytest.approx(-length, rel=1e-4)
    assert found["everywhere"] == pytest.approx(-length / 2, rel=1e-4)


@pytest.mark.parametrize("objective", ["dice", "soft-dice", "tre", "similarity"])
def test_the_true_map_scores_best(objective):
    d_mm = torch.as_tensor(SHIFT_MM).float().view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    truth = scores(evidence(), objective, d_mm, GRID)["everywhere"]
    worse = [scores(evidence(), objective, f * d_mm, GRID)["everywhere"] for f in (0, 0.8, 1.2)]
    assert max(worse) < truth - 0.01
    expected = {"dice": 1, "soft-dice": 1, "tre": 0, "similarity": 1}[objective]
    assert truth == pytest.approx(expected, abs=0.1)


def test_soft_dice_of_equal_shares_is_one_on_a_coarse_grid():
    grid = coarser(GRID, tuple(2 * s for s in GRID.spacing))
    labels = evidence().fixed_labels
    known = Evidence(fixed_labels=labels, moving_labels=labels)
    found = scores(known, "soft-dice", torch.zeros(1, 3, *grid.shape), grid)
    assert found["everywhere"] > 0.95


def test_folds_are_counted_where_they_are():
    d_mm = torch.zeros(1, 3, *GRID.shape)
    i = torch.arange(GRID.size[0], dtype=torch.float32)
    axis = torch.as_tensor(GRID.direction[:, 0]).float().view(1, 3, 1, 1, 1)
    turned_back = -2 * GRID.spacing[0] * (i - 25).clamp(0, 10)
    d_mm = axis * turned_back.view(1, 1, 1, 1, -1) + d_mm
    found = scores(evidence(), "folds", d_mm, GRID)
    assert found["left"] == pytest.approx(0, abs=1e-6)
    assert found["right"] < -0.9
    assert scores(evidence(), "folds", 0 * d_mm, GRID)["everywhere"] == pytest.approx(0, abs=1e-6)


def test_folds_cost_similarity():
    rest = torch.zeros(1, 3, *GRID.shape)
    same = Evidence(fixed=evidence().fixed, moving=evidence().fixed)
    i = torch.arange(GRID.size[0], dtype=torch.float32)
    axis = torch.as_tensor(GRID.direction[:, 0]).float().view(1, 3, 1, 1, 1)
    folded = axis * (-2 * GRID.spacing[0] * (i - 30).clamp(0, 3)).view(1, 1, 1, 1, -1) + rest
    clean = scores(same, "similarity", rest, GRID)["everywhere"]
    assert scores(same, "similarity", folded, GRID)["everywhere"] < clean - 0.3


def test_what_leaves_the_moving_mask_is_like_nothing():
    known = evidence()
    mask = torch.zeros(1, 1, *GRID.shape, dtype=torch.int32)
    mask[..., :20] = 1
    masked = replace(known, moving_mask=LabelMap(mask, GRID))
    wrong = torch.zeros(1, 3, *GRID.shape)
    out = torch.as_tensor(GRID.ijk_to_ras[:3, 0] * 60).float().view(1, 3, 1, 1, 1) + wrong
    assert scores(masked, "similarity", out, GRID)["everywhere"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("objective", ["soft-dice", "tre", "similarity", "folds"])
def test_scores_have_a_gradient(objective):
    known = small_evidence()
    grid = given(known.fixed_labels, "fixed").grid
    scorer = Scorer(Place(grid, known, CPU), {objective: 1.0})
    d_mm = some_field(grid, 16.0).requires_grad_()
    scorer(d_mm)[0].backward()
    assert d_mm.grad is not None
    assert d_mm.grad.isfinite().all()
    assert float(d_mm.grad.abs().max()) > 0


def test_labels_that_share_a_name_are_one_tissue():
    known = evidence()
    labels = LabelMap(given(known.fixed_labels, "fixed").data, GRID, {1: "lungs", 2: "lungs"})
    place = Place(GRID, Evidence(fixed_labels=labels), CPU)
    assert place.names == ("lungs",)
    assert place.voxels == {"lungs": int((labels.data > 0).sum())}


def test_moving_labels_may_be_numbered_otherwise():
    known = evidence()
    moving = given(known.moving_labels, "moving")
    other = LabelMap(moving.data * 300, GRID, {300: "left", 600: "right"})
    d_mm = torch.as_tensor(SHIFT_MM).float().view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    found = scores(replace(known, moving_labels=other), "dice", d_mm, GRID)
    assert found == pytest.approx({"everywhere": 1, "left": 1, "right": 1})


def test_soft_dice_knows_tissues_by_their_names():
    known = evidence()
    fixed = given(known.fixed_labels, "fixed")
    swapped = torch.where(fixed.data > 0, 3 - fixed.data, 0)  # 1 and 2 change places
    other = LabelMap(swapped, GRID, {2: "left", 1: "right"})
    here = replace(known, moving_labels=other)
    still = torch.zeros(1, 3, *GRID.shape)
    assert scores(here, "soft-dice", still, GRID)["everywhere"] == pytest.approx(1)
    assert scores(here, "dice", still, GRID)["everywhere"] == pytest.approx(1)


def test_a_tissue_that_the_moving_labels_lack_scores_0():
    known = evidence()
    moving = given(known.moving_labels, "moving").data
    data = torch.where(moving == 1, moving, 0)
    lacking = replace(known, moving_labels=LabelMap(data, GRID, {1: "left"}))
    d_mm = torch.as_tensor(SHIFT_MM).float().view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    assert scores(lacking, "dice", d_mm, GRID)["right"] == 0


@pytest.mark.parametrize("dim", [2, 3])
def test_nearest_is_nearest_and_nothing_outside(dim):
    shape = (3, 4, 5)[3 - dim :]
    data = torch.arange(1, 1 + int(np.prod(shape)), dtype=torch.int32).view(1, 1, *shape)
    inside = torch.tensor([[1.4] * dim, [0.6] * dim]).T.reshape(1, dim, 2, *[1] * (dim - 1))
    expected = data[(0, 0, *[1] * dim)]
    assert (nearest(data, inside).flatten() == expected).all()
    outside = torch.full((1, dim, 1, *[1] * (dim - 1)), -0.6)
    assert nearest(data, outside).item() == 0
    assert nearest(data, outside + 40).item() == 0

"""The quality table of a field that is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from ElasticHyperRegLib import Displacement, Elasticity, Grid, Image, LabelMap
from ElasticHyperRegLib.field import jacobian_determinant, world_points
from ElasticHyperRegLib.mrml.inputs import PairInputs
from ElasticHyperRegLib.mrml.quality import Measure, Quality
from ElasticHyperRegLib.session import Answer
from Testing.mrml.fake_session import FakeSession

GRID = Grid.from_spacing((18, 16, 16), (1.0, 1.5, 2.0))
SOFT, HARD = Elasticity(0.3, 0.2), Elasticity(0.1, 0.6)
SETTING = {"thick": SOFT, "thin": HARD}
BEND = 1e-3


def measured(u_mm: torch.Tensor) -> Quality:
    """The table of a field on a grid with a thick tissue and one of three voxels."""
    data = torch.ones(1, 1, *GRID.shape, dtype=torch.int32)
    data[..., -3:] = 2
    labels = LabelMap(data, GRID, {1: "thick", 2: "thin"})
    scan = Image(torch.rand(1, 1, *GRID.shape), GRID)
    inputs = PairInputs(scan, scan, labels, None, None, None, None, None, ())
    session = FakeSession(scan, scan, labels, "none", "cpu", None)
    displacement = Displacement(u_mm, GRID)
    jacobian = jacobian_determinant(u_mm, GRID)
    return Measure(inputs, session)(
        Answer(1, SETTING, "refined", displacement, jacobian, {}, True, 0.1)
    )


def test_the_force_that_holds_a_tissue_is_told_where_it_is_thick_enough():
    u_mm = torch.zeros(1, 3, *GRID.shape)
    u_mm[:, :1] = BEND * world_points(GRID, u_mm)[:, :1].square()
    thick, thin = measured(u_mm).tissues
    assert thick.residual == pytest.approx(2 * BEND * (SOFT.lam + 2 * SOFT.mu), rel=1e-3)
    assert thick.residual_relative == pytest.approx(
        (SOFT.lam + 2 * SOFT.mu) / math.hypot(SOFT.lam + 2 * SOFT.mu, SOFT.lam, SOFT.lam), rel=1e-3
    )
    assert thin.residual is None and thin.residual_relative is None


def test_a_shear_that_is_the_same_everywhere_needs_no_force():
    u_mm = torch.zeros(1, 3, *GRID.shape)
    u_mm[:, :1] = 0.1 * world_points(GRID, u_mm)[:, 1:2]
    thick, thin = measured(u_mm).tissues
    assert thick.residual == pytest.approx(0, abs=1e-6)
    for row in (thick, thin):
        assert row.strain == pytest.approx(0.1 / math.sqrt(3), rel=1e-3)
    assert thick.stress == pytest.approx(SOFT.mu / HARD.mu, rel=1e-3)
    assert thin.stress == 1


def test_without_labels_there_are_no_rows():
    scan = Image(torch.rand(1, 1, *GRID.shape), GRID)
    inputs = PairInputs(scan, scan, None, None, None, None, None, None, ())
    session = FakeSession(scan, scan, None, "none", "cpu", None)
    answer = session.answer(1, {"everywhere": SOFT}, True)
    assert Measure(inputs, session)(answer).tissues == ()

"""Landmarks found by local matching lie where the tissue has gone, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.vessels import matched_vessels
from ElasticHyperRegLib import Displacement, Grid, Image, LabelMap
from ElasticHyperRegLib.field import warp
from ElasticHyperRegLib.grid import gaussian_smooth

GRID = Grid.from_spacing((24, 52, 48), (1.2, 1.1, 2.0), (5.0, -3.0, 20.0))


def speckled(seed: int) -> Image:
    """Structure of a few mm in all directions, in HU."""
    noise = torch.randn(1, 1, *GRID.shape, generator=torch.Generator().manual_seed(seed))
    smooth = gaussian_smooth(noise, (1.6, 1.7, 1.0))
    return Image(-800 + 300 * smooth / smooth.std(), GRID)


@pytest.fixture(scope="module")
def lungs() -> LabelMap:
    return LabelMap(torch.ones(1, 1, *GRID.shape, dtype=torch.int32), GRID, {1: "lung"})


def at(shift: tuple[float, float, float]) -> Displacement:
    u_mm = torch.tensor(shift).view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    return Displacement(u_mm.contiguous(), GRID)


def test_a_known_shift_is_found_though_the_guess_is_off(lungs):
    fixed, shift = speckled(1), (2.4, -1.7, 3.1)
    moving = Image(warp(fixed.data, -at(shift).u_mm, GRID, GRID), GRID)
    here, there = matched_vessels(fixed, moving, lungs, at((0.0, 0.0, 5.0)))
    assert len(here) > 20
    errors = np.linalg.norm(there - here - shift, axis=1)
    assert np.median(errors) < 0.2
    assert np.quantile(errors, 0.9) < 0.5


def test_scans_of_two_structures_have_hardly_a_landmark_in_common(lungs):
    here, there = matched_vessels(speckled(1), speckled(2), lungs, at((0.0, 0.0, 0.0)))
    assert len(here) == len(there) <= 2


def test_landmarks_lie_within_the_lungs(lungs):
    part = lungs.data.clone()
    part[..., 24:] = 0
    scan = speckled(3)
    here, _ = matched_vessels(scan, scan, LabelMap(part, GRID, {1: "lung"}), at((0.0, 0.0, 0.0)))
    assert len(here) > 5
    assert ((here - GRID.origin)[:, 0] < 23 * 1.2).all()

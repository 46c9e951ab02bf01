"""The motion that `benchmarks.sliding` makes is the one it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.sliding import about_landmarks
from benchmarks.sliding_motion import Motion, Mover, drawn_liver
from ElasticHyperRegLib import Grid, Image

GRID = Grid.from_spacing((27, 183, 152), (1.29, 1.29, 5.0))
"""Of the scan that the outlines are drawn on."""
LIVER, WALL = (80, 110, 11), (142, 110, 11)
"""Voxels i, j, k."""


def world(*voxels: tuple[int, int, int]) -> np.ndarray:
    return np.array(voxels) @ GRID.ijk_to_ras[:3, :3].T + GRID.origin


def test_organs_go_down_and_the_wall_stays():
    mover = Mover(Motion("down", down=12.0, rough=0.0), GRID)
    before = world(LIVER, WALL)
    liver, wall = mover.points(before, of_organs=False) - before
    assert liver[1:] == pytest.approx([-12, 0], abs=0.1)
    assert abs(liver[0]) < 2  # it keeps its share of the way from wall to wall
    assert wall == pytest.approx([0, 0, 0], abs=1e-9)


def test_image_and_landmarks_move_alike():
    k, j, i = np.indices(GRID.shape)
    around = ((i - LIVER[0]) ** 2 + (j - LIVER[1]) ** 2) / 50 + (k - LIVER[2]) ** 2 / 4
    spot = Image(torch.from_numpy(100 * np.exp(-around)).float()[None, None], GRID)
    mover = Mover(Motion("any", 10, left=3, back=2, tilt_degrees=2, shift=(2, 1, 3), seed=3), GRID)
    values = mover.image(spot).data[0, 0].numpy()
    values = np.where(values > 30, values, 0)
    weights = values / values.sum()
    found = [float((weights * axis).sum()) for axis in (i, j, k)]
    there = mover.points(world(LIVER), of_organs=True)
    expected = there @ GRID.ras_to_ijk[:3, :3].T + GRID.ras_to_ijk[:3, 3]
    assert found == pytest.approx(expected[0].tolist(), abs=0.5)


def test_the_drawn_liver_is_one_and_the_rough_one_lies_about_its_landmarks():
    drawn = drawn_liver(GRID)
    assert drawn.names == {1: "liver"}
    millilitres = float(drawn.data.sum()) * np.prod(GRID.spacing) / 1000
    assert 1000 < millilitres < 2000
    bright = torch.where(drawn.data > 0, 100.0, 10.0)
    rough = about_landmarks(Image(bright, GRID), world(LIVER, (60, 120, 8), (100, 100, 14)))
    assert int(rough.data[0, 0, LIVER[2], LIVER[1], LIVER[0]]) == 1
    assert bool((drawn.data[rough.data > 0] == 1).all())  # nothing dark

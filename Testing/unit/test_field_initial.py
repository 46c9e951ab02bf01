"""The whole map: an elastic part, then an initial alignment; and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Displacement, Grid
from ElasticHyperRegLib.field import (
    elastic_part,
    inverse_map,
    transform_points,
    with_initial,
    world_points,
)
from ElasticHyperRegLib.io.transforms import write_transform
from Testing.conftest import make_oblique_grid


@given(st.integers(0, 1000), st.sampled_from([2, 3]))
def test_elastic_part_undoes_the_initial_alignment(seed, dim):
    rng = np.random.default_rng(seed)
    matrix = np.eye(dim + 1)
    matrix[:dim] += rng.normal(0, 0.1, (dim, dim + 1)) * ([1] * dim + [200])
    grid = make_oblique_grid((5, 6, 7)[3 - dim :])
    d_mm = torch.from_numpy(rng.normal(0, 5, (1, dim, *grid.shape)))
    points = world_points(grid, d_mm)
    u_mm = with_initial(d_mm, points, matrix)
    assert torch.allclose(elastic_part(u_mm, points, matrix), d_mm)
    x, d = points[0, :, 1, 2], d_mm[0, :, 1, 2]
    truth = matrix[:dim, :dim] @ (x + d).reshape(dim, -1).numpy() + matrix[:dim, dim:]
    np.testing.assert_allclose((x + u_mm[0, :, 1, 2]).reshape(dim, -1).numpy(), truth)


def test_no_alignment_changes_nothing():
    grid = make_oblique_grid()
    d_mm = torch.randn(1, 3, *grid.shape)
    assert torch.equal(with_initial(d_mm, world_points(grid, d_mm), np.eye(4)), d_mm)


@pytest.mark.parametrize("stretch", [0.5, 1.9, 2.5])
def test_inverse_of_a_stretch(stretch):
    """φ(x) = A(c + s (x − c)) has a closed inverse; full fixed-point steps diverge for s > 2."""
    fixed = make_oblique_grid((24, 24, 24), (3.0, 2.5, 3.5))
    points = world_points(fixed, torch.zeros(1, 3, *fixed.shape, dtype=torch.float64))
    centre = points.mean(dim=(2, 3, 4), keepdim=True)
    middle = centre.flatten().numpy()
    matrix = np.eye(4)
    matrix[:2, :2] = [[0.98, -0.17], [0.17, 0.98]]
    matrix[:3, 3] = [40, -300, 12]
    there = matrix[:3, :3] @ middle + matrix[:3, 3]
    moving = Grid.from_spacing((6, 6, 6), (2.0, 2.0, 2.0), tuple(there - 5))
    found = inverse_map((stretch - 1) * (points - centre), fixed, matrix, moving)
    y = world_points(moving, points).reshape(3, -1).numpy()
    truth = middle[:, None] + np.linalg.inv(matrix[:3, :3]) @ (y - there[:, None]) / stretch - y
    np.testing.assert_allclose(found.reshape(3, -1).numpy(), truth, atol=0.02)


def test_points_outside_the_grid_follow_the_alignment_as_in_a_file(tmp_path):
    grid = make_oblique_grid((9, 12, 14))
    angle = np.radians(10)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = 4, -2, 1
    d_mm = torch.randn(1, 3, *grid.shape, generator=torch.Generator().manual_seed(0))
    u_mm = with_initial(d_mm, world_points(grid, d_mm), matrix)
    path = tmp_path / "transform.h5"
    write_transform(Displacement(u_mm, grid), matrix, path)
    index = np.array([[3.2, 5.1, 2.4], [-6, 4, 3], [7, 30, 3], [-0.2, 3, 2], [13.3, 3, 2]])
    points = index @ grid.ijk_to_ras[:3, :3].T + grid.origin
    found = transform_points(points, u_mm, grid, matrix)
    transform = sitk.ReadTransform(str(path))
    flip = np.array([-1, -1, 1])
    truth = [flip * transform.TransformPoint((flip * point).tolist()) for point in points]
    assert found == pytest.approx(np.array(truth), abs=1e-3)

"""The whole map: an elastic part, then an initial alignment; and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib.field import elastic_part, inverse_map, with_initial, world_points
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

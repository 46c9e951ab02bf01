"""The nouns: what they hold, and how they refuse what they cannot hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Displacement, Elasticity, Grid, Image, InputError, LabelMap

MakeGrid = Callable[..., Grid]

SHEARED = np.eye(4)
SHEARED[0, 1] = 0.1
MOVED = np.eye(4)
MOVED[0, 3] = 6.0
NOT_A_NUMBER = np.eye(4)
NOT_A_NUMBER[2, 3] = np.nan


@pytest.mark.parametrize(
    ("shape", "matrix", "message"),
    [
        ((3, 4, 5), SHEARED, "a grid with sheared axes; expected orthogonal axes; resample"),
        ((3, 4, 5), NOT_A_NUMBER, "expected a finite 4×4 matrix"),
        ((3, 4, 5), np.eye(3), "an ijk_to_ras of shape (3, 3); expected a finite 4×4 matrix"),
        ((3, 4, 5), np.diag([1.0, 0.0, 1.0, 1.0]), "expected positive spacings"),
        ((3, 4, 5), MOVED.T, "last row is [6.0, 0.0, 0.0, 1.0]; expected 0 … 0 1"),
        ((3, -4, 5), np.eye(4), "a grid of shape (3, -4, 5); expected 2 or 3 positive sizes"),
        ((3, 0), np.eye(3), "a grid of shape (3, 0); expected 2 or 3 positive sizes"),
        ((3,), np.eye(2), "a grid of shape (3,); expected 2 or 3 positive sizes"),
        ((1, 2, 3, 4), np.eye(5), "expected 2 or 3 positive sizes"),
    ],
)
def test_impossible_grids_are_refused_in_one_line(
    shape: tuple[int, ...], matrix: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError) as error:
        Grid(shape, matrix)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_oblique_grid_gives_back_what_it_was_made_of(oblique_grid: MakeGrid) -> None:
    angle = np.radians(30)
    direction = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1.0]]
    )
    grid = Grid.from_spacing((3, 4, 5), (0.7, 1.1, 2.5), (1.0, -20.0, 300.0), direction)
    assert grid.ndim == 3
    assert grid.size == (5, 4, 3)
    assert grid.voxels == 60
    assert grid.spacing == pytest.approx((0.7, 1.1, 2.5))
    np.testing.assert_allclose(grid.direction, direction, atol=1e-12)
    np.testing.assert_allclose(grid.origin, [1.0, -20.0, 300.0])
    np.testing.assert_allclose(grid.ras_to_ijk @ grid.ijk_to_ras, np.eye(4), atol=1e-12)
    second_slice = grid.ijk_to_ras @ [0, 0, 1, 1]
    np.testing.assert_allclose(second_slice[:3], [1.0, -20.0, 297.5])
    assert repr(grid) == "Grid(5×4×3 voxels, 0.7×1.1×2.5 mm)"


def test_matrix_of_a_grid_is_its_own_and_cannot_change() -> None:
    matrix = np.eye(3)
    grid = Grid((2, 3), matrix)
    matrix[0, 0] = 9.0
    assert grid.ijk_to_ras[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        grid.ijk_to_ras[0, 0] = 9.0


def test_rounded_direction_of_a_file_header_is_accepted(oblique_grid: MakeGrid) -> None:
    rounded = oblique_grid((3, 4, 5), (0.7, 1.1, 2.5)).ijk_to_ras.round(4)
    assert Grid((3, 4, 5), rounded).spacing == pytest.approx((0.7, 1.1, 2.5), abs=1e-3)


def test_grids_are_the_same_when_no_voxel_moves(oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((9, 12, 14), (1.4, 1.1, 2.5))
    for entry, offset, same in [((1, 3), 5e-3, True), ((1, 3), 2e-2, False), ((0, 0), 2e-3, False)]:
        matrix = grid.ijk_to_ras.copy()
        matrix[entry] += offset
        assert grid.same_as(Grid(grid.shape, matrix)) is same
    assert not grid.same_as(Grid((9, 12, 13), grid.ijk_to_ras))


@pytest.mark.parametrize("holder", [Image, LabelMap])
def test_data_that_does_not_fit_its_grid_is_refused(holder: type[Image] | type[LabelMap]) -> None:
    grid = Grid.from_spacing((3, 4), (1.0, 1.0))
    assert holder(torch.zeros(1, 1, 3, 4), grid).grid is grid
    for shape in ((1, 1, 4, 3), (3, 4), (2, 1, 3, 4), (1, 2, 3, 4)):
        with pytest.raises(InputError, match=r"brain with data of shape .*; expected \(1, 1, 3, 4"):
            holder(torch.zeros(shape), grid, name="brain")


def test_displacement_that_does_not_fit_its_grid_is_refused() -> None:
    grid = Grid.from_spacing((3, 4), (1.0, 1.0))
    assert Displacement(torch.zeros(5, 2, 3, 4), grid).grid is grid
    for shape in ((1, 3, 3, 4), (1, 2, 4, 3), (2, 3, 4)):
        with pytest.raises(InputError, match="a displacement of shape"):
            Displacement(torch.zeros(shape), grid)


def test_label_map_names_what_it_holds() -> None:
    data = torch.tensor([[[[0, 7, 2], [2, 2, 0]]]], dtype=torch.int32)
    labels = LabelMap(data, Grid.from_spacing((2, 3), (1.0, 1.0)), {2: "liver"})
    assert labels.present() == (0, 2, 7)
    assert [labels.name_of(label) for label in (2, 7)] == ["liver", "7"]


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 0.7), (0.1, 0.2)])
def test_elasticity_takes_the_whole_simplex(weights: tuple[float, float]) -> None:
    elasticity = Elasticity(*weights)
    assert (elasticity.lam, elasticity.mu) == weights


@pytest.mark.parametrize(
    "weights", [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.6), (1.1, 0.0), (float("nan"), 0.1)]
)
def test_elasticity_outside_the_simplex_is_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"elasticity λ=.*; expected λ and μ in \[0, 1\]"):
        Elasticity(*weights)


def test_input_error_is_one_line_that_ends_in_one_full_stop() -> None:
    error = InputError("a grid\nof  nothing.", "voxels.", "give some.")
    assert str(error) == "a grid of nothing; expected voxels; give some."
    assert isinstance(error, ValueError)

"""The heart phantom: what its docstring says of it is true."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.phantom.heart import LEFT, SLICES, TISSUES, make_heart, squeeze
from ElasticHyperRegLib.tissues import load_scheme

SIZE = 96


@pytest.fixture(scope="module")
def heart():
    return make_heart(SIZE)


def test_stacks_share_a_grid_and_hold_every_tissue(heart):
    assert heart.fixed.grid == heart.moving.grid
    assert heart.fixed.grid.shape == (SLICES, SIZE, SIZE)
    for labels in (heart.fixed_labels, heart.moving_labels):
        assert set(labels.present()) == set(TISSUES)
        assert all((labels.data[0, 0, k] == 3).any() for k in range(SLICES))


def test_cavities_lose_blood_and_the_wall_nearly_keeps_its_size(heart):
    sizes = [
        [float((labels.data == value).sum()) for value in TISSUES]
        for labels in (heart.fixed_labels, heart.moving_labels)
    ]
    _, right, wall, left = (after / before for before, after in zip(*sizes, strict=True))
    assert 0.7 < right < 0.95
    assert 0.9 < wall < 1.05
    assert 0.4 < left < 0.5


def test_far_from_the_heart_nothing_moves(heart):
    corner = torch.tensor([130.0, -120.0, 0.0]).view(3, 1, 1, 1)
    moved = squeeze(corner, LEFT, torch.tensor(25.0), 0.55)
    assert float((moved - corner).norm()) < 1e-3


def test_names_are_those_of_the_scheme(heart):
    scheme = load_scheme("cardiac-mr")
    assert {v: t.name for v, t in scheme.assignment(heart.fixed_labels).items()} == TISSUES


def test_same_seed_gives_the_same_heart(heart):
    again, other = make_heart(SIZE), make_heart(SIZE, seed=1)
    assert torch.equal(again.moving.data, heart.moving.data)
    assert not torch.equal(other.moving.data, heart.moving.data)


def test_too_small_is_refused():
    with pytest.raises(InputError, match="32 or more"):
        make_heart(31)

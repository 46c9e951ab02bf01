"""Bands of low shear weight along borders, and the shear that is read there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import (
    Elasticity,
    Grid,
    Image,
    InputError,
    LabelMap,
    RegistrationOptions,
    RegistrationRequest,
    register,
)
from ElasticHyperRegLib.cli.labels import scheme_borders
from ElasticHyperRegLib.cli.settings import parse_sliding
from ElasticHyperRegLib.engine.sliding import OTHERS, SlidingBorder, bands, shear_at
from ElasticHyperRegLib.field import warp, world_points
from ElasticHyperRegLib.grid import gaussian_smooth
from ElasticHyperRegLib.tissues import load_scheme

NAMES = {0: "wall", 1: "lung", 2: "heart"}


def two_halves(spacing: tuple[float, float, float] = (1.0, 2.0, 2.0)) -> LabelMap:
    """Lung where i < 10, wall elsewhere, heart in a far corner of the wall."""
    data = torch.zeros(1, 1, 6, 6, 20, dtype=torch.int32)
    data[..., :10] = 1
    data[..., -2:] = 2
    return LabelMap(data, Grid.from_spacing((6, 6, 20), spacing), NAMES, "halves")


def test_the_shear_weight_falls_towards_the_border_only():
    labels = two_halves()
    mu = torch.full((1, 1, 6, 6, 20), 0.4)
    border = SlidingBorder("lung", "wall", width_mm=8.0, shear=0.1)
    row = (mu * bands(labels, NAMES, [border]))[0, 0, 3, 3]
    # The border runs between voxels 9 and 10, half a voxel (0.5 mm) from either centre.
    assert row[9].item() == pytest.approx(0.4 * (1 - 0.9 * (1 - 0.5 / 4)), rel=1e-5)
    assert row[9].item() == pytest.approx(row[10].item(), rel=1e-5)
    assert torch.all(row[6:10].diff() < 0) and torch.all(row[10:14].diff() > 0)
    assert torch.all(row[:6] == 0.4) and torch.all(row[14:] == 0.4)


def test_a_border_with_the_rest_takes_every_neighbour():
    mu = torch.full((1, 1, 6, 6, 20), 0.4)
    heart = mu * bands(two_halves(), NAMES, [SlidingBorder("heart", OTHERS, 4.0, 0.0)])
    assert heart[..., 17:19].max() < 0.2
    assert torch.all(heart[..., :14] == 0.4)


def test_where_bands_meet_the_softest_counts():
    mu = torch.full((1, 1, 6, 6, 20), 0.4)
    one, other = SlidingBorder("lung", "wall", 8.0, 0.5), SlidingBorder("lung", "wall", 8.0, 0.1)
    both = mu * bands(two_halves(), NAMES, [one, other])
    assert torch.equal(both, mu * bands(two_halves(), NAMES, [other]))


def test_no_border_leaves_the_map_alone():
    mu = torch.rand(1, 1, 6, 6, 20)
    assert torch.equal(mu * bands(two_halves(), NAMES, []), mu)


def test_the_slip_of_a_known_shear_is_read():
    """u along j grows by γ per mm of i: the shear of a plane with normal i is γ."""
    labels = two_halves()
    u = torch.zeros(1, 3, 6, 6, 20)
    u[0, 1] = 0.3 * torch.arange(20.0)
    found = shear_at(u, labels, NAMES, SlidingBorder("lung", "wall", width_mm=8.0))
    assert found["shear_mean"] == pytest.approx(0.3, rel=1e-4)
    assert found["slip_mm"] == pytest.approx(2.4, rel=1e-4)


def test_opening_and_turning_are_told_from_sliding():
    labels = two_halves()
    u = torch.zeros(1, 3, 6, 6, 20)
    u[0, 0] = 0.3 * torch.arange(20.0)
    found = shear_at(u, labels, NAMES, SlidingBorder("lung", "wall", width_mm=8.0))
    assert found["shear_mean"] == pytest.approx(0, abs=1e-5)


def test_the_frame_of_the_image_does_not_matter(oblique_grid):
    grid = oblique_grid((6, 6, 20), (1.0, 2.0, 2.0))
    labels = LabelMap(two_halves().data, grid, NAMES, "halves")
    straight = torch.zeros(1, 3, 6, 6, 20)
    straight[0, 1] = 0.3 * torch.arange(20.0)
    turned = torch.einsum(
        "ab,nb...->na...", torch.from_numpy(grid.direction.copy()).float(), straight
    )
    found = shear_at(turned, labels, NAMES, SlidingBorder("lung", "wall", width_mm=8.0))
    assert found["shear_mean"] == pytest.approx(0.3, rel=1e-4)


def test_an_alignment_that_turns_does_not_slide():
    fixed, _, labels = slid_halves()
    angle = np.radians(8)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = Grid(fixed.grid.shape, turn @ fixed.grid.ijk_to_ras)
    options = RegistrationOptions(
        initial=tuple(map(tuple, turn)), model="none", sliding=(SlidingBorder("left", "right", 8),)
    )
    request = RegistrationRequest(
        fixed, Image(fixed.data, grid), fixed_labels=labels, options=options
    )
    assert register(request).metrics["sliding"]["left|right"]["slip_mm"] < 0.1


def test_a_marked_border_reaches_the_solver_and_the_metrics():
    """Two halves that slid 6 mm past each other: the band lets them, and says so."""
    fixed, moving, labels = slid_halves()
    found = {}
    for name, sliding in (("stuck", ()), ("free", (SlidingBorder("left", "right", 8.0),))):
        options = RegistrationOptions(
            Elasticity(0.0, 0.6), initial="none", model="none", sliding=sliding
        )
        request = RegistrationRequest(fixed, moving, fixed_labels=labels, options=options)
        found[name] = register(request)
    slip = found["free"].metrics["sliding"]["left|right"]["slip_mm"]
    stuck = shear_at(
        found["stuck"].displacement.u_mm, labels, labels.names, SlidingBorder("left", "right", 8.0)
    )
    assert "sliding" not in found["stuck"].metrics
    assert slip > stuck["slip_mm"]
    assert found["free"].metrics["folds_fraction"] == 0


def slid_halves() -> tuple[Image, Image, LabelMap]:
    """Texture whose right half moved along j, by 3 mm one way, the left as much the other way."""
    grid = Grid.from_spacing((8, 40, 32), (2.0, 2.0, 2.0))
    generator = torch.Generator().manual_seed(0)
    texture = gaussian_smooth(torch.rand(1, 1, 8, 40, 32, generator=generator), (1.5, 1.5, 1.0))
    moved = torch.zeros(1, 3, *grid.shape)
    moved[:, 1, ..., 16:], moved[:, 1, ..., :16] = 3.0, -3.0
    data = torch.ones(1, 1, *grid.shape, dtype=torch.int32)
    data[..., 16:] = 2
    labels = LabelMap(data, grid, {1: "left", 2: "right"}, "halves")
    return (
        Image(warp(texture, moved, grid, grid), grid, "fixed"),
        Image(texture, grid, "moving"),
        labels,
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"one": "lung", "other": "lung"}, "two tissues"),
        ({"one": "lung", "width_mm": 0.0}, "width above 0"),
        ({"one": "lung", "shear": 1.5}, "0 to 1"),
    ],
)
def test_a_border_that_cannot_be_is_refused(values, said):
    with pytest.raises(InputError, match=said):
        SlidingBorder(**values)


@pytest.mark.parametrize("text", ["lung", "lung:", ":rest", "a:b=wide", "a:b=0", "a:b="])
def test_a_misspelt_border_is_refused(text):
    with pytest.raises(InputError):
        parse_sliding([text])


def test_a_border_is_given_once():
    with pytest.raises(InputError, match="--sliding for liver:lung twice"):
        parse_sliding(["lung:liver", "liver:lung=6"])


def test_borders_are_read_as_typed():
    assert parse_sliding(["lung:rest", "liver:lung=6", "scheme"]) == (
        SlidingBorder("lung", "rest"),
        SlidingBorder("liver", "lung", 6.0),
    )


def test_the_scheme_tells_its_borders():
    scheme = load_scheme("thorax-ct")
    names = {t.label: t.name for t in scheme.tissues}
    data = torch.tensor(sorted(names)).repeat(2).view(1, 1, 1, 2, -1).to(torch.int32)
    labels = LabelMap(data, Grid.from_spacing(tuple(data.shape[2:]), (1.0,) * 3), names, "all")
    assert {b.one for b in scheme_borders(scheme, labels)} == {a for a, _ in scheme.slides}
    with pytest.raises(InputError, match="scheme"):
        scheme_borders(None, labels)


def test_a_border_without_labels_is_refused():
    fixed, moving, _ = slid_halves()
    options = RegistrationOptions(sliding=(SlidingBorder("left"),), model="none")
    with pytest.raises(InputError, match="without fixed labels"):
        register(RegistrationRequest(fixed, moving, options=options))


def test_a_tissue_that_is_not_there_is_named():
    with pytest.raises(InputError, match="spleen"):
        bands(two_halves(), NAMES, [SlidingBorder("spleen")])


@pytest.mark.parametrize("across", [1.0, 5.0, 8.0])
def test_a_band_is_as_wide_in_thick_slices(across):
    labels = two_halves((across, 1.0, 1.0))
    row = bands(labels, NAMES, [SlidingBorder("lung", "wall")])[0, 0, 3, 3]
    expected = 1 - 0.95 * (1 - across / 2 / 10)
    assert row[9:11].tolist() == pytest.approx([expected, expected], rel=1e-4)


@pytest.mark.parametrize("width", [10.0, 20.0])
def test_a_sharp_slip_is_read_in_full(width):
    """10 mm along j from i = 10 on; across the border voxels of 2 mm."""
    labels = two_halves((2.0, 2.0, 2.0))
    u = torch.zeros(1, 3, 6, 6, 20)
    u[0, 1, ..., 10:] = 10.0
    found = shear_at(u, labels, NAMES, SlidingBorder("lung", "wall", width_mm=width))
    assert found["slip_mm"] == pytest.approx(10.0, rel=0.25)


@pytest.mark.parametrize("normal", [(0.96, 0.0, 0.28), (0.6, 0.0, 0.8)])
def test_shear_along_a_slanted_border_of_thick_slices(normal):
    grid = Grid.from_spacing((16, 6, 64), (1.0, 1.0, 4.0))
    across, along = torch.tensor([normal, (normal[2], 0.0, -normal[0])])[..., None, None, None]
    height = (world_points(grid, torch.zeros(1)) * across).sum(1, keepdim=True) - 40
    names = {0: "wall", 1: "lung"}
    labels = LabelMap((height > 0).int(), grid, names)
    found = shear_at(0.3 * height * along, labels, names, SlidingBorder("lung", "wall"))
    assert found["shear_mean"] == pytest.approx(0.3, rel=0.05)

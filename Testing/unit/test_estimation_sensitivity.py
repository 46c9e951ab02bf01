"""The spread over settings is the textbook's, whatever the number of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.estimation import Setting, sensitivity
from ElasticHyperRegLib.estimation.sensitivity import Spread
from ElasticHyperRegLib.field import jacobian_determinant, with_initial, world_points
from Testing.unit.fake_fields import GRID, ZonedField, evidence

BEST = {"left": Elasticity(0.2, 0.3), "right": Elasticity(0.2, 0.3)}
SETTINGS: list[Any] = [
    Elasticity(0.2, 0.3),
    (0.2, 0.5),
    {"everywhere": (0.1, 0.2)},
    Setting(Elasticity(0, 1)),
]


class StretchedField:
    """d = (1 + λ) times a linear field, so that the Jacobian depends on λ alone."""

    grid = GRID
    tissues: tuple[str, ...] = ()
    name = "stretched"

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        x = world_points(GRID, torch.zeros(1))
        return torch.cat([0.1 * default.lam * x[:, :1], torch.zeros_like(x[:, 1:])], dim=1)


def test_spread_is_that_of_numpy():
    samples = torch.randn(7, 3, 4, 5, dtype=torch.float64) + 100
    spread = Spread()
    for sample in samples:
        spread.add(sample[None])
    away = samples - samples.mean(0)
    expected = away.square().sum(1).mean(0).sqrt()
    assert torch.allclose(spread.variance().sqrt()[0, 0], expected)


def test_displacement_and_jacobian_spread_of_a_known_field():
    lams = [0.0, 0.2, 0.4]
    found = sensitivity(StretchedField(), [Elasticity(lam, 0.1) for lam in lams])
    assert found.settings == 3
    sd = float(np.std(0.1 * np.asarray(lams)))
    x = world_points(GRID, torch.zeros(1))[:, :1]
    assert torch.allclose(found.displacement_sd_mm, sd * x.abs(), atol=1e-4)
    assert torch.allclose(found.jacobian_sd, torch.full_like(x, sd), atol=1e-5)
    assert found.means["everywhere"]["jacobian_sd"] == pytest.approx(sd, abs=1e-5)


def test_the_whole_map_is_meant():
    initial = np.diag([2.0, 1, 1, 1])
    settings = [Elasticity(lam, 0.1) for lam in (0.0, 0.4)]
    found = sensitivity(StretchedField(), settings, initial=initial)
    maps = [
        with_initial(
            StretchedField().displacement(setting, {}),
            world_points(GRID, torch.zeros(1)),
            initial,
        )
        for setting in settings
    ]
    expected = torch.stack([jacobian_determinant(u, GRID) for u in maps]).std(0, correction=0)
    assert torch.allclose(found.jacobian_sd, expected, atol=1e-5)


def test_every_way_to_write_a_setting_is_read():
    field = ZonedField(BEST)
    sensitivity(field, SETTINGS)
    assert [default for default, _ in field.asked] == [
        Elasticity(0.2, 0.3),
        Elasticity(0.2, 0.5),
        Elasticity(0.1, 0.2),
        Elasticity(0, 1),
    ]


def test_tissues_that_depend_on_the_prior_stand_out():
    field = ZonedField(BEST, tissues=("left", "right"))
    settings = [{"left": (0.2, 0.3), "right": pair} for pair in ((0.2, 0.3), (0.2, 0.5))]
    found = sensitivity(field, settings, evidence().fixed_labels).means
    assert found["left"]["displacement_sd_mm"] == pytest.approx(0, abs=1e-4)
    assert found["right"]["displacement_sd_mm"] == pytest.approx(0.5 * 0.32 * 4 * 1.2, rel=1e-3)


def test_the_spread_that_a_tissue_makes_hangs_on_no_other():
    field = ZonedField(BEST, tissues=("left", "right"))
    first = {"left": (0.2, 0.3), "right": (0.2, 0.3)}
    left = [first | {"left": (0.2, mu)} for mu in (0.1, 0.5)]
    right = [first | {"right": (0.2, mu)} for mu in (0.0, 0.2, 0.4, 0.6)]
    alone, other, both = (
        sensitivity(field, [first, *more]).displacement_sd_mm
        for more in (left, right, left + right)
    )
    torch.testing.assert_close(both, (alone.square() + other.square()).sqrt())


def test_settings_that_differ_in_several_tissues_are_compared_together():
    field = ZonedField(BEST, tissues=("left", "right"))
    first, other = ({"left": (0.2, mu), "right": (0.2, mu)} for mu in (0.3, 0.5))
    found = sensitivity(field, [first, other], evidence().fixed_labels)
    expected = 0.5 * 0.32 * 4 * 1.2  # as where the right one is moved alone
    assert found.means["right"]["displacement_sd_mm"] == pytest.approx(expected, rel=1e-3)


def test_one_setting_has_no_spread():
    with pytest.raises(InputError, match="1 settings to compare"):
        sensitivity(ZonedField(BEST), [(0.1, 0.1)])


def test_it_reports_and_can_be_cancelled():
    field, seen = ZonedField(BEST), []
    sensitivity(field, SETTINGS, progress=lambda step, fraction: seen.append(fraction))
    assert seen == [0, 0.25, 0.5, 0.75, 1]
    with pytest.raises(Cancelled):
        sensitivity(field, SETTINGS, cancelled=lambda: len(field.asked) > 5)

"""What is chosen where the evidence leaves something open, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.engine.elasticity import EVERYWHERE
from ElasticHyperRegLib.estimation import EstimateOptions, Setting, estimate
from ElasticHyperRegLib.estimation.estimate import _warnings
from ElasticHyperRegLib.estimation.explore import Space
from ElasticHyperRegLib.estimation.place import Place
from ElasticHyperRegLib.estimation.scorer import Scorer
from ElasticHyperRegLib.estimation.search import Search
from Testing.unit.fake_fields import GRID, SmoothField, ZonedField, evidence

BOTH = ("left", "right")
BEST = {"left": Elasticity(0.2, 0.3), "right": Elasticity(0.2, 0.3)}
CPU = torch.device("cpu")


class OneSided(ZonedField):
    """Only the left half obeys anything."""

    def _field(self, values: torch.Tensor) -> torch.Tensor:
        return super()._field(torch.stack([values[0], values[0]]))


class OneWeight(SmoothField):
    """Knows λ + μ alone."""

    has_one_weight = True

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        def seen(value: Elasticity) -> Elasticity:
            return Elasticity(0.0, value.lam + value.mu)

        return super().displacement(seen(default), {n: seen(v) for n, v in tissues.items()})


@pytest.mark.parametrize("method", ["grid", "coarse-to-fine"])
def test_a_tissue_that_nothing_determines_keeps_its_preset(method):
    preset = Elasticity(0.07, 0.41)  # on no lattice
    options = EstimateOptions("tre", method, tissues={"right": preset})
    found = estimate(OneSided(BEST, BOTH), evidence(), options)
    assert found.elasticity["right"] == preset
    assert found.elasticity["left"] != options.start_of("left")
    (warning,) = (w for w in found.warnings if w.startswith("right"))
    assert warning.endswith("λ 0.07, μ 0.41 is kept")


def test_kept_is_said_of_the_start_alone():
    surface = estimate(ZonedField(BEST, slope=0), evidence()).surface()
    assert str(surface.warning()).endswith("λ 0.05, μ 0.15 is kept")
    other = replace(surface, chosen=surface.settings[0])
    assert str(other.warning()).endswith(
        "is taken as the nearest of them to where the search started"
    )


def test_equal_settings_are_one_however_they_are_written():
    field = ZonedField(BEST, BOTH)
    found = estimate(field, evidence(), EstimateOptions("tre", sweeps=1))
    named = [tuple(tissues.get(n, default) for n in BOTH) for default, tissues in field.asked[1:]]
    assert len(named) == len(set(named))
    assert found.scores["everywhere"]["after"] >= found.scores["everywhere"]["before"]


@pytest.mark.parametrize("objective", ["similarity", "folds", "tre", "dice", "soft-dice"])
def test_tissues_have_shares_of_the_tolerance_that_make_up_the_whole(objective):
    scorer = Scorer(Place(GRID, evidence(), CPU), {objective: 2.0})
    parts = {name: scorer.tolerance_of(name) for name in BOTH}
    voxels = {"similarity", "folds"}
    rest = scorer.tolerance_of("background") if objective in voxels else 0.0
    assert sum(parts.values()) + rest == pytest.approx(scorer.tolerance)
    if objective in voxels:
        place = scorer.place
        assert parts["left"] == pytest.approx(scorer.tolerance * place.voxels["left"] / GRID.voxels)
    assert bool(scorer.slack_of("left")) == (objective == "similarity")


def test_landmarks_of_a_tissue_are_its_share():
    known = evidence()
    assert known.fixed_points is not None and known.moving_points is not None
    three = replace(
        known, fixed_points=known.fixed_points[:3], moving_points=known.moving_points[:3]
    )
    scorer = Scorer(Place(GRID, three, CPU), {"tre": 1.0})
    assert scorer.tolerance_of("left") == pytest.approx(2 * scorer.tolerance_of("right"))


def test_a_model_of_one_weight_is_searched_along_the_ratio():
    best = {name: Elasticity(0.0, 0.6) for name in BOTH}
    start = Elasticity(0.1, 0.3)
    options = EstimateOptions("tre", step=0.1, elasticity=start)
    found = estimate(OneWeight(best), evidence(), options)
    chosen = found.elasticity["everywhere"]
    assert chosen.lam + chosen.mu == pytest.approx(0.6)
    assert chosen.mu == pytest.approx(3 * chosen.lam)
    assert "λ + μ alone" in found.evidence
    assert found.fields <= 12
    assert "λ + μ alone" not in estimate(ZonedField(BEST), evidence()).evidence


def test_a_line_stays_within_the_simplex():
    space = Space(EstimateOptions(), Elasticity(0.0, 0.0))
    assert space.lattice(0.5) == [Elasticity(0, 0), Elasticity(0, 0.5), Elasticity(0, 1)]
    space = Space(EstimateOptions(), Elasticity(0.3, 0.1))
    assert space.around(Elasticity(0.75, 0.25), 0.25) == [Elasticity(0.5625, 0.1875)]
    assert all(s.lam + s.mu <= 1 for s in space.lattice(0.1))


@pytest.mark.parametrize("tissues", [(), BOTH])
def test_an_ascent_that_gains_too_little_moves_nothing(tissues):
    start = Elasticity(0.19, 0.3)  # less than the tolerance from the best
    options = EstimateOptions("tre", "gradient", elasticity=start, iterations=20)
    field = SmoothField(BEST, tissues, slope=0.5)
    found = estimate(field, evidence(), options)
    assert {found.elasticity[name] for name in tissues or ("everywhere",)} == {start}


def test_a_setting_is_read_from_what_a_field_obeys():
    field = ZonedField(BEST, BOTH)
    start = Elasticity(0.1, 0.2)
    found = estimate(field, evidence(), EstimateOptions("tre", elasticity=start, sweeps=0))
    scores = dict(zip(found.surface().settings, found.surface().scores, strict=True))
    assert scores[start] == found.scores["everywhere"]["before"]
    assert Setting(start).of("left") == start
    assert np.isfinite(list(scores.values())).all()


def test_no_regularisation_at_all_is_warned_of():
    bare = {"lung": Elasticity(0.0, 0.0), "bone": Elasticity(0.0, 0.1)}
    assert _warnings((), bare) == ("lung: no regularisation at all, λ 0 and μ 0; look for folds",)


def test_a_tissue_without_a_score_of_its_own_keeps_its_start():
    starts = {"bone": Elasticity(0.09, 0.81), "lung": Elasticity(0.1, 0.3)}
    options = EstimateOptions("tre", elasticity=Elasticity(0.05, 0.15), tissues=starts)
    search: Any = SimpleNamespace(
        options=options, tissues=("bone", "lung"), best=lambda tried: tried
    )
    everywhere, lung = Elasticity(0.0, 0.25), Elasticity(0.25, 0.25)
    tried: Any = Search.combine(search, {EVERYWHERE: everywhere, "lung": lung})
    assert {setting.of("bone") for setting in tried} == {starts["bone"]}
    assert [setting.of("lung") for setting in tried] == [starts["lung"], everywhere, lung]
    whole: Any = Search.combine(search, {EVERYWHERE: everywhere})  # a score of the whole alone
    assert [setting.of("bone") for setting in whole] == [starts["bone"], everywhere, everywhere]

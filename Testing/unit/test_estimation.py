"""``estimate`` finds the (λ, μ) that were put into a field, and says what it rests on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, Grid, InputError, LabelMap
from ElasticHyperRegLib.cli.settings import read_elasticity
from ElasticHyperRegLib.engine import NetworkField
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.estimation import (
    EstimateOptions,
    Evidence,
    Surface,
    estimate,
    plot_surfaces,
    sensitivity,
)
from ElasticHyperRegLib.estimation.settings import around, lattice
from ElasticHyperRegLib.estimation.surface import Choice
from Testing.unit.fake_fields import GRID, SmoothField, ZonedField, evidence
from Testing.unit.small_pair import small_request
from Testing.unit.tiny_models import install, lively, tiny_spec

BEST = {"left": Elasticity(0.2, 0.3), "right": Elasticity(0.0, 0.7)}
BOTH = ("left", "right")
THIRDS = np.diag([1 / 3, 1, 1, 1])
THIRDS[0, 3] = -1 / 3  # three voxels along i in each of the field's grid
FINE = Grid((*GRID.shape[:2], 3 * GRID.shape[2]), GRID.ijk_to_ras @ THIRDS)


def test_the_lattice_is_the_simplex():
    settings = lattice(0.1)
    assert len(settings) == len(set(settings)) == 66
    assert Elasticity(0.3, 0.7) in settings
    steps = [
        abs(a.lam - b.lam) + abs(a.mu - b.mu) for a, b in zip(settings, settings[1:], strict=False)
    ]
    assert max(steps) < 0.2 + 1e-9


def test_neighbours_stay_on_the_simplex():
    assert set(around(Elasticity(0, 0.9), 0.1)) == {
        Elasticity(0, 0.8), Elasticity(0, 1), Elasticity(0.1, 0.8), Elasticity(0.1, 0.9),
    }  # fmt: skip


def test_each_tissue_takes_its_own_best_of_a_global_field():
    field = ZonedField(BEST)
    found = estimate(field, evidence())
    assert {name: found.elasticity[name] for name in BOTH} == BEST
    assert found.fields == 67  # 66 settings and the start
    assert all(tissues == {} for _, tissues in field.asked)
    assert found.scores["left"]["after"] == pytest.approx(1)
    assert found.scores["left"]["initial"] < found.scores["left"]["before"] < 1
    assert len(found.surface("left").settings) == 67
    assert "have not been tried" in found.evidence


def test_the_whole_of_a_global_field_takes_the_best_mean():
    found = estimate(ZonedField({"left": BEST["left"], "right": BEST["left"]}), evidence())
    assert found.elasticity["everywhere"] == BEST["left"]


@pytest.mark.parametrize("objective", ["dice", "soft-dice", "tre", "similarity"])
def test_every_objective_finds_what_was_put_there(objective):
    field = ZonedField(BEST, tissues=BOTH)
    found = estimate(field, evidence(), EstimateOptions(objective))
    assert {name: found.elasticity[name] for name in BOTH} == BEST
    assert found.scores["everywhere"]["after"] > found.scores["everywhere"]["before"]


def test_a_field_with_tissues_is_searched_tissue_by_tissue():
    field = ZonedField(BEST, tissues=BOTH)
    found = estimate(field, evidence(), EstimateOptions(sweeps=3))
    assert {name: found.elasticity[name] for name in BOTH} == BEST
    assert found.scores["everywhere"]["after"] == pytest.approx(1)
    assert found.surface("left").others == found.surface("right").others == "held"
    assert "have not been tried" not in found.evidence


def test_without_sweeps_a_field_with_tissues_costs_little_more_than_a_global_one():
    field = ZonedField(BEST, tissues=BOTH)
    found = estimate(field, evidence(), EstimateOptions(sweeps=0))
    assert {name: found.elasticity[name] for name in BOTH} == BEST
    assert found.fields <= 70


def test_coarse_to_fine_comes_near_with_fewer_fields():
    field = ZonedField({"left": Elasticity(0.3125, 0.25), "right": Elasticity(0.0625, 0.6875)})
    found = estimate(field, evidence(), EstimateOptions("tre", method="coarse-to-fine"))
    assert found.elasticity["left"] == Elasticity(0.3125, 0.25)
    assert found.elasticity["right"] == Elasticity(0.0625, 0.6875)
    assert found.fields < 66


@pytest.mark.parametrize("tissues", [(), BOTH])
@pytest.mark.parametrize("objective", ["tre", "soft-dice"])
def test_the_gradient_climbs_to_the_best(tissues, objective):
    best = {"left": Elasticity(0.12, 0.33), "right": Elasticity(0.12, 0.33)}
    options = EstimateOptions(objective, method="gradient", iterations=60)
    found = estimate(SmoothField(best, tissues), evidence(), options)
    for name in tissues or ("everywhere",):
        assert found.elasticity[name].lam == pytest.approx(0.12, abs=0.03)
        assert found.elasticity[name].mu == pytest.approx(0.33, abs=0.03)


def test_the_gradient_needs_a_field_that_has_one():
    with pytest.raises(InputError, match="zoned, whose field has no derivatives"):
        estimate(ZonedField(BEST), evidence(), EstimateOptions("tre", method="gradient"))


def test_a_flat_surface_goes_back_to_the_start_and_warns():
    start = Elasticity(0.07, 0.21)
    options = EstimateOptions(elasticity=start, tissues={"right": Elasticity(0.0, 0.5)})
    found = estimate(ZonedField(BEST, slope=0), evidence(), options)
    assert found.elasticity["left"] == start
    assert found.elasticity["right"] == Elasticity(0.0, 0.5)
    assert len(found.warnings) == 3
    assert "left: the evidence does not determine λ and μ; λ from 0 to 1" in found.warnings[1]


def test_a_sharp_surface_does_not_warn():
    assert estimate(ZonedField(BEST), evidence(), EstimateOptions("tre")).warnings == ()


def test_a_ridge_names_the_parameter_that_stays_open():
    settings = tuple(lattice(0.1))
    scores = tuple(-abs(s.mu - 0.3) for s in settings)
    surface = Surface("lung", "held", settings, scores, Elasticity(0.1, 0.3), 0.01)
    warning = surface.warning()
    assert warning is not None
    assert "does not determine λ; λ from 0 to 0.7, μ from 0.3 to 0.3" in warning


def test_ties_go_to_the_setting_nearest_to_the_start():
    from ElasticHyperRegLib.estimation.surface import best_of

    found = {setting: float(setting.mu > 0.45) for setting in lattice(0.1)}
    assert best_of(found, Elasticity(0.1, 0.3)) == Elasticity(0.1, 0.5)


def test_slack_keeps_near_to_the_start():
    from ElasticHyperRegLib.estimation.surface import best_of

    found = {Elasticity(0.0, mu / 10): -0.004 * mu for mu in range(10)}
    assert best_of(found, Elasticity(0.0, 0.9)) == Elasticity(0.0, 0.0)
    assert best_of(found, Elasticity(0.0, 0.9), slack=0.02) == Elasticity(0.0, 0.5)
    assert best_of(found, Elasticity(0.0, 0.2), slack=0.02) == Elasticity(0.0, 0.2)


def test_likeness_alone_moves_only_where_it_says_so_clearly():
    alone = Evidence(fixed=evidence().fixed, moving=evidence().moving)
    near = Elasticity(BEST["left"].lam, BEST["left"].mu + 0.01)
    options = EstimateOptions("similarity", elasticity=near)
    found = estimate(ZonedField(dict.fromkeys(BEST, BEST["left"])), alone, options)
    surface = found.surface("everywhere")
    scores = dict(zip(surface.settings, surface.scores, strict=True))
    assert 0 < surface.best - scores[near] < 0.02
    assert found.elasticity["everywhere"] == near
    assert near in surface.plausible
    told = found.scores["everywhere"]
    assert told["after"] == told["before"] == pytest.approx(scores[near])


def test_weights_add_up():
    found = {
        objective: estimate(ZonedField(BEST), evidence(), EstimateOptions(objective)).surface(
            "left"
        )
        for objective in ("dice", "tre")
    }
    both = EstimateOptions({"dice": 2.0, "tre": 0.5})
    surface = estimate(ZonedField(BEST), evidence(), both).surface("left")
    expected = [
        2 * a + 0.5 * b for a, b in zip(found["dice"].scores, found["tre"].scores, strict=True)
    ]
    assert surface.scores == pytest.approx(expected, abs=1e-5)
    assert EstimateOptions("dice=2, tre=0.5").weights == both.weights


def test_the_evidence_is_named():
    def said(objective: str) -> str:
        return estimate(ZonedField(BEST), evidence(), EstimateOptions(objective)).evidence

    assert "chosen on the very labels" in said("dice")
    assert "4 landmarks: chosen on the very landmarks" in said("tre")
    assert "uses up no label and no landmark" in said("similarity")


def test_images_alone_give_one_setting_for_everywhere():
    known = evidence()
    alone = Evidence(fixed=known.fixed, moving=known.moving)
    best = {"left": BEST["left"], "right": BEST["left"]}
    found = estimate(ZonedField(best), alone, EstimateOptions("similarity"))
    assert found.elasticity == {"everywhere": BEST["left"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "dce"}, "the objective 'dce'"),
        ({"objective": ""}, "the objective ''"),
        ({"objective": "dice=x"}, "NAME or NAME=WEIGHT"),
        ({"objective": "tre,tre"}, "'tre' twice"),
        ({"objective": {}}, "at least one"),
        ({"objective": {"dice": -1.0}}, "a number above 0"),
        ({"method": "random"}, "the method 'random'"),
        ({"step": 0.3}, "a step of 0.3"),
        ({"method": "gradient"}, "the objective dice with the method gradient"),
        ({"sweeps": -1}, "-1 sweeps"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        EstimateOptions(**options)


@pytest.mark.parametrize(
    ("objective", "missing"),
    [("dice", "fixed labels"), ("tre", "fixed points"), ("similarity", "fixed")],
)
def test_objectives_without_their_evidence_are_refused(objective, missing):
    field = ZonedField(BEST)
    with pytest.raises(InputError, match=f"the objective {objective} without {missing}"):
        estimate(field, Evidence(), EstimateOptions(objective))
    assert field.asked == []


def surface_scores(surface: Surface) -> list[tuple[Elasticity, float]]:
    return list(zip(surface.settings, surface.scores, strict=True))


@pytest.mark.parametrize("objective", [["dice"], 3, None])
def test_an_objective_of_another_kind_is_refused(objective):
    with pytest.raises(InputError, match="a name, or a mapping"):
        EstimateOptions(objective)


def test_progress_grows_and_surfaces_arrive_as_they_are_made():
    seen: list[float] = []
    surfaces: list[Surface] = []
    found = estimate(
        ZonedField(BEST, tissues=BOTH),
        evidence(),
        progress=lambda step, fraction: seen.append(fraction),
        on_surface=surfaces.append,
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    glimpse, *rest = surfaces
    assert tuple(rest) == found.surfaces
    assert (glimpse.tissue, len(glimpse.settings)) == ("everywhere", 6)


def test_the_whole_is_seen_coarse_before_it_is_seen_fine():
    surfaces: list[Surface] = []
    options = EstimateOptions(method="coarse-to-fine")
    found = estimate(ZonedField(BEST), evidence(), options, on_surface=surfaces.append)
    early = surfaces[: -len(found.surfaces)]
    assert [len(surface.settings) for surface in early] == [6, 15]
    for surface in early:
        known = dict(surface_scores(found.surface()))
        assert surface.tissue == "everywhere"
        assert all(known[s] == score for s, score in surface_scores(surface))


def test_it_can_be_cancelled_at_any_field():
    field = ZonedField(BEST)
    with pytest.raises(Cancelled):
        estimate(field, evidence(), cancelled=lambda: len(field.asked) > 5)
    assert len(field.asked) == 6


def test_the_file_is_what_register_reads(tmp_path):
    found = estimate(ZonedField(BEST), evidence())
    found.write(tmp_path / "found.json")
    assert read_elasticity(tmp_path / "found.json") == dict(found.elasticity)
    record = json.loads((tmp_path / "found.json").read_text())
    assert record["elasticity"] == found.to_table()
    assert [0.2, 0.3, pytest.approx(1)] in record["surfaces"][1]["scores"]


def test_the_plausible_settings_are_those_as_good():
    field = ZonedField(BEST, tissues=BOTH, slope=0.1)
    found = estimate(field, evidence(), EstimateOptions("tre"))
    plausible = found.plausible()
    assert plausible[0].tissues == BEST
    assert 1 < len(plausible) < 30
    spread = sensitivity(field, plausible, evidence().fixed_labels)
    assert set(spread.means) == {"everywhere", "left", "right"}


@pytest.mark.parametrize("sweeps", [0, 1])
def test_what_was_chosen_in_the_end_is_plausible_and_marked(sweeps):
    field = ZonedField(BEST, tissues=BOTH)
    found = estimate(field, evidence(), EstimateOptions("tre", sweeps=sweeps))
    assert found.tissues == field.tissues
    assert found.plausible()[0].tissues == {n: found.elasticity[n] for n in BOTH}
    assert all(found.surface(name).chosen == found.elasticity[name] for name in BOTH)


@pytest.mark.parametrize("objective", ["dice", "soft-dice"])
def test_one_tissue_of_a_mean_has_its_part_of_the_tolerance(objective):
    options = EstimateOptions(objective, sweeps=1, step=0.5)
    found = estimate(ZonedField(BEST, tissues=BOTH), evidence(), options)
    held, whole = found.surface("left"), found.surface()
    assert (held.others, whole.others) == ("held", "same setting")
    assert held.tolerance == pytest.approx(whole.tolerance / 2)


def test_a_tissue_without_a_voxel_on_the_fields_grid_comes_last():
    known = evidence()
    assert known.fixed_labels is not None
    names = {**known.fixed_labels.names, 3: "tiny"}
    labels = LabelMap(known.fixed_labels.data.repeat_interleave(3, 4), FINE, names)
    labels.data[..., 0, 0, 0] = 3  # between the voxels of the field's grid
    field = ZonedField(BEST, tissues=("tiny", *BOTH))
    options = EstimateOptions("tre", sweeps=1, step=0.5)
    found = estimate(field, replace(known, fixed_labels=labels), options)
    order = [surface.tissue for surface in found.surfaces if surface.others == "held"]
    assert order[-1] == "tiny"


def test_a_choice_that_was_found_elsewhere_has_no_score_here():
    settings = tuple(lattice(0.5))
    flat = Surface("lung", "same setting", settings, (0.5,) * 6, Elasticity(0.21, 0.34), 0.01)
    assert np.isnan(flat.reached)
    assert str(flat.warning()).endswith("λ 0.21, μ 0.34 is what all tissues together led to")
    assert replace(flat, chosen=settings[2]).reached == 0.5


def test_the_heat_map_is_a_picture(tmp_path):
    plot_surfaces(estimate(ZonedField(BEST), evidence()), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[1:4] == b"PNG"


def test_a_network_is_climbed(tmp_path):
    request = small_request()
    model = (
        lively(tiny_spec("elas-g"), scale=2.0),
        install(lively(tiny_spec("elas-g"), scale=2.0), tmp_path / "tiny"),
    )
    prepared = prepare(request)
    field = NetworkField(model, prepared, np.eye(4), request.fixed_labels, torch.device("cpu"))
    options = EstimateOptions("soft-dice", method="gradient", iterations=5)
    found = estimate(field, Evidence.of(request, np.eye(4)), options)
    assert found.fields == 15 + 1 + 5
    assert len(set(found.surface().scores)) > 10
    assert found.scores["everywhere"]["after"] >= found.scores["everywhere"]["before"]


def test_what_is_not_determined_stays_where_the_search_started():
    start = Elasticity(0.1, 0.3)
    flat = {Elasticity(0.0, m / 10): 0.9 + 0.0005 * m for m in range(10)} | {start: 0.9}
    surface = Surface.over("bone", "held", flat, Choice(start, 0.01))
    assert surface.undetermined == ("μ",)
    assert surface.chosen == start
    sharp = {Elasticity(0.0, m / 10): 0.9 - 0.05 * abs(m - 7) for m in range(10)} | {start: 0.5}
    assert Surface.over("bone", "held", sharp, Choice(start, 0.01)).chosen == Elasticity(0.0, 0.7)

"""What an estimate tells of its choice, and what its scores count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import Elasticity, InputError, LabelMap
from ElasticHyperRegLib.estimation import EstimateOptions, estimate
from ElasticHyperRegLib.estimation.estimate import _warnings
from ElasticHyperRegLib.estimation.place import Place
from ElasticHyperRegLib.estimation.scorer import Scorer
from ElasticHyperRegLib.estimation.surface import Choice, Surface
from Testing.unit.fake_fields import GRID, SmoothField, ZonedField, evidence
from Testing.unit.test_estimation_scores import scores

BEST = {"left": Elasticity(0.2, 0.3), "right": Elasticity(0.0, 0.7)}
BOTH = ("left", "right")
CPU = torch.device("cpu")


def test_surfaces_of_an_ascent_are_marked_where_it_ended():
    options = EstimateOptions("tre", method="gradient", iterations=20)
    found = estimate(SmoothField(BEST, BOTH), evidence(), options)
    assert found.elasticity["left"] not in found.surface("left").settings
    assert all(found.surface(name).chosen == found.elasticity[name] for name in BOTH)


def test_the_whole_is_not_warned_of_where_each_tissue_was_searched_alone():
    start = Elasticity(0.1, 0.3)
    flat = {Elasticity(0.0, m / 10): 0.9 for m in range(10)} | {start: 0.9}
    sharp = {Elasticity(0.0, m / 10): 0.9 - 0.05 * abs(m - 7) for m in range(10)}
    surfaces = (
        Surface.over("everywhere", "same setting", flat, Choice(start, 0.01)),
        Surface.over("lung", "held", sharp, Choice(start, 0.01)),
    )
    assert _warnings(surfaces, {"everywhere": start, "lung": Elasticity(0.0, 0.7)}) == ()
    assert len(_warnings(surfaces[:1], {"everywhere": start})) == 1


def test_one_choice_for_everything_was_tried_as_it_is():
    found = estimate(ZonedField(BEST), evidence(), EstimateOptions("soft-dice"))
    assert "have not been tried" not in found.evidence


def test_all_fields_are_done_only_at_the_end():
    told = []
    field = ZonedField(BEST, tissues=BOTH)
    options = EstimateOptions("tre", sweeps=1)
    found = estimate(field, evidence(), options, lambda step, done: told.append(done))
    assert told[-1] == 1.0
    assert found.fields > 100
    assert max(told[:-1]) < 1.0


def test_what_lies_outside_the_fixed_mask_does_not_count_beside_a_moving_mask():
    known = evidence()
    assert known.fixed is not None
    data, mask = known.fixed.data.clone(), torch.zeros(1, 1, *GRID.shape, dtype=torch.int32)
    data[..., 24:] = torch.rand_like(data[..., 24:])
    mask[..., :16] = 1
    masked = replace(
        known,
        moving=replace(known.fixed, data=data),
        fixed_mask=LabelMap(mask, GRID),
        moving_mask=LabelMap(torch.ones_like(mask), GRID),
    )
    rest = torch.zeros(1, 3, *GRID.shape)
    alone = scores(replace(masked, moving_mask=None), "similarity", rest, GRID)
    assert scores(masked, "similarity", rest, GRID)["everywhere"] == pytest.approx(
        alone["everywhere"]
    )


def test_a_tissue_has_its_part_of_what_counts():
    known, mask = evidence(), torch.zeros(1, 1, *GRID.shape, dtype=torch.int32)
    mask[..., : GRID.size[0] // 2] = 1
    scorer = Scorer(
        Place(GRID, replace(known, fixed_mask=LabelMap(mask, GRID)), CPU), {"similarity": 1.0}
    )
    whole = Scorer(Place(GRID, known, CPU), {"similarity": 1.0})
    assert scorer.tolerance_of("left") > whole.tolerance_of("left")
    assert scorer.tolerance_of("right") == 0.0


def test_labels_without_a_common_tissue_are_refused():
    known = evidence()
    assert known.moving_labels is not None
    other = replace(known.moving_labels, names={1: "liver", 2: "spleen"})
    with pytest.raises(InputError, match="without a common tissue"):
        estimate(ZonedField(BEST), replace(known, moving_labels=other))


def test_where_one_setting_holds_everywhere_that_of_a_tissue_is_not_plausible():
    found = estimate(ZonedField(BEST), evidence())
    assert all(not setting.tissues for setting in found.plausible())


def test_background_of_another_name_is_as_large_as_it_is():
    known = evidence()
    assert known.fixed_labels is not None
    labels = replace(known.fixed_labels, names={0: "air", **known.fixed_labels.names})
    field = ZonedField(BEST, tissues=("left", "air", "right"))
    found = estimate(field, replace(known, fixed_labels=labels), EstimateOptions("tre", step=0.5))
    assert found.tissues[0] == "air"

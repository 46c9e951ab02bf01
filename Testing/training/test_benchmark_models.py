"""Who is asked for in a table, and where label-free choices begin."""

from __future__ import annotations

import pytest

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.estimation import Setting
from Testing.training.test_benchmark import (
    CPU,
    MR,
    coarse,
    data,
    models,
    rows_of,
    still,
)
from Testing.unit.tiny_models import constant, install, tiny_spec
from training.benchmark import BENCHMARKS
from training.benchmark.acdc import acdc_cases
from training.benchmark.choices import LABEL_FREE, Wanted, global_choice, subject_choice

__all__ = ["coarse", "data", "models"]


def test_what_is_wrong_with_a_model_is_told_before_the_others_are_computed(data, models):
    still(models / "net")
    parts = Setting(Elasticity(0.0, 0.3), {"myocardium": Elasticity(0.1, 0.4)})
    with pytest.raises(InputError, match="different λ and μ for myocardium and the model net"):
        rows_of(data, "solver", "net", setting=parts)
    with pytest.raises(InputError, match="--models cardiac-\\*: .*expected solver, all, or names"):
        rows_of(data, "solver", "cardiac-*")
    weights = models / "net" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        rows_of(data, "solver", "net")


def test_everyone_may_stand_among_others_and_nobody_twice(data, models, monkeypatch):
    still(models / "net")
    everyone = ("solver", "net")
    monkeypatch.setattr(type(BENCHMARKS["acdc"]), "everyone", lambda self: everyone)
    setting = Setting(Elasticity(0.0, 0.3))
    rows = rows_of(data, "net", "all", "solver", setting=setting)
    assert [row.model for row in rows[1:]] == ["net", "solver"]


def test_without_labels_the_choice_stays_near_the_one_for_all(data, models, coarse):
    """Not near the program's default: what is likely as good would then be that for everybody."""
    metrics = {"val": {"dice at 0 0.5": 0.9, "dice at 0.5 0": 0.8}}
    card = install(
        constant(tiny_spec("elas-g", 2), (0.0, 0.0)), models / "net", MR, metrics=metrics
    )
    cases = acdc_cases(data, "train")
    start = global_choice(card, "test", len(cases))
    chosen = subject_choice(card, cases, CPU, Wanted(LABEL_FREE, start))
    assert {s.default for s in chosen.settings} == {Elasticity(0.0, 0.5)}
    assert chosen.parameters.endswith(f"; 1 different for {len(cases)} pairs")

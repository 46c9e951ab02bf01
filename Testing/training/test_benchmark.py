"""The ACDC table on tiny copies of its folders: what is scored, how λ and μ are chosen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import (
    Elasticity,
    InputError,
    LabelMap,
    RegistrationRequest,
)
from ElasticHyperRegLib.cli import extras
from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY, RegistrationOptions
from ElasticHyperRegLib.engine.solver_settings import solver_settings
from ElasticHyperRegLib.estimation import Setting
from ElasticHyperRegLib.metrics import dice
from ElasticHyperRegLib.weights import ModelCard, find_model, load_model, read_card
from Testing.training.layouts import acdc
from Testing.unit.cli_help import refused, run
from Testing.unit.tiny_models import TRAINING, constant, install, lively, tiny_spec
from training.benchmark import (
    BENCHMARKS,
    BenchmarkOptions,
    as_markdown,
    as_records,
    choices,
    contenders,
    run_benchmark,
)
from training.benchmark.acdc import acdc_cases
from training.benchmark.choices import LABEL_FREE, Choice, Wanted, global_choice, subject_choice
from training.benchmark.contenders import parse_contender, register_cases
from training.benchmark.score import Row, score

CPU = torch.device("cpu")
MR = {
    "modality": "MR",
    "intensity_window": None,
    "spacing_mm": [1.8, 1.8],
    "size": [128, 128],
}
TISSUES = ["right_ventricle", "myocardium", "left_ventricle"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return acdc(tmp_path_factory.mktemp("acdc"))


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch) -> Path:
    """The user's model folder of this test."""
    monkeypatch.setenv("ELASTIC_HYPERREG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def still(folder: Path, **about) -> ModelCard:
    """A model that moves nothing."""
    return install(constant(tiny_spec(ndim=2), (0.0, 0.0)), folder, MR, **about)


def rows_of(data: Path, *names: str, **more) -> list[Row]:
    options = BenchmarkOptions(data, "train", names, device="cpu", **more)
    return run_benchmark("acdc", options, lambda step, fraction: None)


def labels_of(case: RegistrationRequest) -> tuple[LabelMap, LabelMap]:
    assert case.fixed_labels is not None
    assert case.moving_labels is not None
    return case.fixed_labels, case.moving_labels


# Pairs


def test_cases_are_the_prepared_slices(data):
    cases = acdc_cases(data, "train")
    assert [case.fixed.name for case in cases] == ["patient001 ED", "patient002 ED"]
    for case in cases:
        assert case.fixed.grid.shape == (128, 128)
        assert case.fixed.grid.spacing == (1.8, 1.8)
        assert (float(case.fixed.data.min()), float(case.fixed.data.max())) == (0.0, 1.0)
        assert set(labels_of(case)[0].present()) == {0, 1, 2, 3}


# Rows


def test_first_row_is_unregistered_and_the_solver_improves_on_it(data):
    first, solved = rows_of(data, "solver", refine=3)
    cases = acdc_cases(data, "train")
    by_hand = np.mean([list(dice(*labels_of(case)).values()) for case in cases], axis=0)
    assert first.model == "unregistered"
    assert list(first.class_dice) == TISSUES
    assert list(first.class_dice.values()) == pytest.approx(by_hand)
    assert solved.mean_dice > first.mean_dice + 0.05
    assert solved.hd95_mm < first.hd95_mm
    assert solved.parameters == "global: λ 0.05, μ 0.15, the program's default"
    assert solved.velocity_folds_fraction is None


def test_a_network_and_what_the_solver_makes_of_it(data, models):
    still(models / "still")
    install(constant(tiny_spec(ndim=2), (3.0, 0.0)), models / "away", MR)
    names = ("still", "away", "still+refine")
    first, rested, away, refined = rows_of(data, *names, subject_wise=False, refine=10)
    assert rested.mean_dice == pytest.approx(first.mean_dice)
    assert rested.velocity_folds_fraction == 0
    assert away.mean_dice < first.mean_dice
    assert refined.mean_dice > first.mean_dice + 0.05
    assert refined.seconds_per_pair > rested.seconds_per_pair > 0


def test_every_pair_has_its_own_setting(data, models):
    cases = acdc_cases(data, "train")
    install(lively(tiny_spec("elas-g", 2)), models / "net", MR)
    soft, hard = (global_choice(None, "train", 1).settings[0] for _ in range(2))
    hard = replace(hard, default=Elasticity(0.0, 0.9))
    for name in ("net", "net+refine"):
        contender = parse_contender(name)
        mixed, plain = (
            register_cases(contender, cases, settings, CPU, 3).u_mm
            for settings in ((soft, hard), (soft, soft))
        )
        torch.testing.assert_close(mixed[0], plain[0], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(mixed[1], plain[1], atol=1e-3)


def test_loading_a_model_costs_no_pair_its_time(data, models, monkeypatch):
    still(models / "still")
    now = [0.0]

    def slowly(folder: Path):
        now[0] += 1000.0
        return load_model(folder)

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(contenders, "load_model", slowly)
    monkeypatch.setattr(contenders, "perf_counter", clock)
    cases = acdc_cases(data, "train")
    settings = global_choice(None, "train", len(cases)).settings
    assert register_cases(parse_contender("still"), cases, settings, CPU).seconds < 10


def test_models_that_labels_taught_are_marked(data, models):
    still(models / "plain")
    still(models / "taught", training={**TRAINING, "supervision": "images and labels"})
    setting = Setting(Elasticity(0.0, 0.3))
    rows = rows_of(data, "plain", "taught", "taught+refine", "solver", setting=setting, refine=1)
    assert [row.labels_in_training for row in rows] == [False, False, True, True, False]
    text = as_markdown(rows, "table")
    assert "| taught ‡ |" in text
    assert "| plain |" in text
    assert "‡ Labels in training" in text
    assert "‡" not in as_markdown(rows[:2], "table")
    assert as_records(rows)[2]["labels_in_training"] is True


@pytest.fixture
def coarse(monkeypatch) -> None:
    """Six settings in place of 66."""
    monkeypatch.setattr(choices, "STEP", 0.5)


# How λ and μ are chosen


def test_the_card_chooses_the_setting_for_all(models):
    metrics = {"val": {"dice at 0 0.05": 0.86, "folds at 0 0.05": 0.002, "dice at 0.1 0.2": 0.85}}
    card = still(models / "still", metrics=metrics)
    chosen = global_choice(card, "test", 3)
    assert [s.default for s in chosen.settings] == [Elasticity(0.1, 0.2)] * 3
    assert not chosen.by_scored_labels
    assert chosen.parameters == "global: λ 0.1, μ 0.2, the best on val as the card says"
    assert global_choice(card, "val", 3).by_scored_labels
    silent = global_choice(still(models / "silent"), "val", 1)
    assert silent.settings[0].default == DEFAULT_ELASTICITY


def test_the_default_was_chosen_on_the_validation_patients(models):
    for card in (None, still(models / "silent")):
        assert global_choice(card, "val", 1).by_scored_labels
        assert not global_choice(card, "test", 1).by_scored_labels


def test_only_the_choice_by_dice_sees_labels(data, models, coarse):
    card = install(lively(tiny_spec("elas-g", 2), scale=3.0), models / "net", MR)
    cases = acdc_cases(data, "train")
    blind = [replace(case, fixed_labels=None, moving_labels=None) for case in cases]
    start = global_choice(card, "test", len(cases))
    free = subject_choice(card, cases, CPU, Wanted(LABEL_FREE, start))
    assert free.settings == subject_choice(card, blind, CPU, Wanted(LABEL_FREE, start)).settings
    assert not free.by_scored_labels
    by_dice = subject_choice(card, cases, CPU, Wanted("dice", start))
    assert by_dice.by_scored_labels
    begun = global_choice(card, "train", 1)
    seen = subject_choice(card, cases[:1], CPU, Wanted(LABEL_FREE, begun))
    assert seen.by_scored_labels  # by way of the one for all that it stays near to
    assert "scored labels" in by_dice.parameters
    best, other = (
        score(cases, register_cases(parse_contender("net"), cases, c.settings, CPU), "net", "")
        for c in (by_dice, free)
    )
    assert best.mean_dice >= other.mean_dice


def test_the_papers_way_takes_the_highest_score_itself(data, models, coarse):
    card = install(lively(tiny_spec("elas-g", 2), scale=3.0), models / "net", MR)
    cases = acdc_cases(data, "train")
    start = global_choice(card, "test", 1)
    chosen = subject_choice(card, cases, CPU, Wanted("dice", start)).settings
    contender = parse_contender("net")
    for case, setting in zip(cases, chosen, strict=True):
        others = [Elasticity(lam, mu) for lam in (0, 0.5, 1) for mu in (0, 0.5, 1) if lam + mu <= 1]
        dices = [
            score([case], register_cases(contender, [case], [Setting(s)], CPU), "", "").mean_dice
            for s in (setting.default, *others)
        ]
        assert dices[0] == pytest.approx(max(dices), abs=1e-3)


def test_a_diffusion_model_has_its_own_weight_and_an_elastic_finish(data, models):
    spec = tiny_spec("diff-g", 2)
    metrics = {"train": {"dice at 0.1": 0.8}}
    card = install(lively(spec), models / "net", MR, metrics=metrics)
    assert global_choice(card, "train", 1).parameters.startswith("global: α 0.1, the best")
    options = {"refine": 1, "subject_wise": False}
    plain, refined = rows_of(data, "net", "net+refine", **options)[1:]
    assert "elastic" not in plain.parameters
    told = "; chosen for the network alone; the solver's energy is elastic, λ 0, μ as α"
    assert refined.parameters.endswith(told)


def test_a_diffusion_model_and_its_finish_are_given_one_weight(data, models):
    install(lively(tiny_spec("diff-g", 2)), models / "net", MR)
    found = [
        rows_of(data, "net+refine", refine=1, setting=Setting(Elasticity(*given)))[1]
        for given in ((0.3, 0.1), (0.0, 0.4))
    ]
    assert found[0].mean_dice == found[1].mean_dice
    assert found[0].parameters == "given: α 0.4; the solver's energy is elastic, λ 0, μ as α"


def test_passes_for_nobody_are_refused(data, models):
    still(models / "net")
    with pytest.raises(InputError, match="--refine 5 for networks alone"):
        rows_of(data, "net", refine=5)


def test_a_model_for_other_intensities_is_refused(data, models):
    ct = {**MR, "intensity_window": [-1000.0, 600.0]}
    install(lively(tiny_spec("elas-g", 2)), models / "net", ct)
    with pytest.raises(InputError, match="for intensities of .*one without a window"):
        rows_of(data, "net")


def test_tissues_are_chosen_one_by_one(data, models, coarse):
    tissues = ("background", *TISSUES)
    card = install(lively(tiny_spec("elas-sas", 2, tissues=tissues), scale=3.0), models / "sas", MR)
    start = global_choice(card, "test", 1)
    chosen = subject_choice(card, acdc_cases(data, "train")[:1], CPU, Wanted("dice", start))
    assert "each tissue by itself" in chosen.parameters
    assert chosen.parameters.endswith("; 1 different for 1 pairs")
    assert set(chosen.settings[0].tissues) <= set(tissues)
    assert len(chosen.settings[0].tissues) >= 3


def test_a_model_and_its_refinement_share_their_choice(data, models, monkeypatch):
    still(models / "still")
    asked = []

    def chosen(card: ModelCard, cases: list[RegistrationRequest], *rest: object) -> Choice:
        asked.append(card.name)
        return global_choice(card, "train", len(cases))

    monkeypatch.setattr("training.benchmark.run.subject_choice", chosen)
    rows = rows_of(data, "still", "still+refine", refine=1)
    assert asked == ["still"] * 2  # without labels and by Dice
    assert [row.model for row in rows[1:]] == ["still"] * 3 + ["still+refine"] * 3


def test_the_finish_of_a_slice_network_takes_at_most_50_iterations():
    slices = read_card(find_model("cardiac-elas-g"))
    levels = solver_settings(RegistrationOptions(), 2, slices).levels
    assert sum(level.iterations for level in levels) <= 50


# The command


def test_command_writes_the_table(capsys, data, tmp_path, models):
    metrics = {"train": {"dice at 0 0.1": 0.8}}
    still(models / "still", metrics=metrics)
    out = tmp_path / "table"
    words = ("benchmark", "acdc", "--data", data, "--split", "train", "--models", "solver,still")
    more = ("--out", out, "--refine", 2, "--no-subject-wise", "--paper-compat", "--device", "cpu")
    code, said, err = run(capsys, *words, *more)
    assert (code, err) == (0, "")
    records = json.loads((out / "table.json").read_text("utf-8"))
    assert [record["model"] for record in records] == ["unregistered", "solver", "still"]
    needed = {
        "model", "class_dice", "mean_dice", "mean_dice_sd", "hd95_mm", "folds_fraction",
        "seconds_per_pair", "parameters",
    }  # fmt: skip
    assert all(needed <= set(record) for record in records)
    assert records[2]["by_scored_labels"] is True
    assert "velocity_folds_fraction" in records[2]
    assert "velocity_folds_fraction" not in records[1]
    assert all(0 < record["mask_hd95_mm"] < record["hd95_mm"] for record in records)
    text = (out / "table.md").read_text("utf-8")
    assert text.startswith("# acdc, train: 2 pairs\n")
    assert "as the card says †" in text
    assert "† λ and μ were chosen by the labels that this table scores." in text
    assert "√TRE" in text
    assert "still" in said
    assert "is not empty" in refused(capsys, *words, *more)


def test_given_values_are_obeyed(capsys, data, tmp_path, models):
    still(models / "still")
    words = ("benchmark", "acdc", "--data", data, "--split", "train", "--models", "still")
    out = tmp_path / "table"
    assert run(capsys, *words, "--out", out, "--elasticity", "0.1,0.3")[0] == 0
    records = json.loads((out / "table.json").read_text("utf-8"))
    assert [record["parameters"] for record in records] == ["none", "given: λ 0.1, μ 0.3"]
    assert not any("mask_hd95_mm" in record for record in records)
    differing = ("--elasticity", "myocardium=0.1,0.3")
    line = refused(capsys, *words, "--out", tmp_path / "other", *differing)
    assert "different λ and μ for myocardium and the model still; expected one" in line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"NAME": "nlst"}, "the benchmark 'nlst'; expected acdc"),
        ({"--split": "all"}, "the split 'all'; expected train or val or test"),
        ({"--split": "val"}, "without patient102, patient103, patient104, patient105, patient106 "),
        ({"--models": "mystery"}, "no model mystery"),
        ({"--models": ","}, "no models; expected solver, all, or names"),
        ({"--refine": "-1"}, "-1 iterations"),
        ({"--elasticity": "2,2"}, "λ=2, μ=2"),
        ({"--models": "solver", "--elasticity": "nonsense=0.1,0.3"}, "nonsense"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, data, tmp_path, change, line):
    given = {"--data": data, "--split": "train", "--out": tmp_path / "table", **change}
    name = given.pop("NAME", "acdc")
    said = refused(capsys, "benchmark", name, *(w for pair in given.items() for w in pair))
    assert line in said
    assert not (tmp_path / "table").exists()


def test_a_split_with_nobody(capsys, data, tmp_path):
    root = tmp_path / "acdc"
    shutil.copytree(data / "training", root / "training")
    words = ("--data", root, "--split", "test", "--out", tmp_path / "table")
    assert "no patient of the split 'test'" in refused(capsys, "benchmark", "acdc", *words)


def test_without_training_installed(capsys, data, tmp_path, monkeypatch):
    def absent(name: str):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name.partition(".")[0])

    monkeypatch.setattr(extras, "import_module", absent)
    line = refused(capsys, "benchmark", "acdc", "--data", data, "--out", tmp_path / "table")
    assert line == (
        "elastic-hyperreg: the package training is missing, which this command needs; "
        'run pip install "elastic-hyperreg[train]".\n'
    )


def test_all_is_the_solver_and_every_model_of_the_kind(models):
    still(models / "mine")
    thorax = {**MR, "modality": "CT"}
    install(constant(tiny_spec(ndim=2), (0.0, 0.0)), models / "theirs", thorax)
    everyone = BENCHMARKS["acdc"].everyone()
    assert everyone[0] == "solver"
    assert {"mine", "mine+refine", "cardiac-elas-g", "cardiac-elas-g+refine"} <= set(everyone)
    assert not any(name.startswith(("theirs", "thorax")) for name in everyone)
    assert len(set(everyone)) == len(everyone)


def test_all_stands_for_everyone_in_the_table(data, models, monkeypatch):
    mine = still(models / "mine")
    monkeypatch.setattr("training.benchmark.run.list_models", lambda: [mine])
    rows = rows_of(data, "all", setting=Setting(Elasticity(0.0, 0.3)), refine=1)
    assert [row.model for row in rows] == ["unregistered", "solver", "mine", "mine+refine"]

"""What a row of a manifest says is what is done, and what stands is not taken for more."""

from __future__ import annotations

import json

import pytest

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.cli import cohort
from Testing.unit.cli_help import QUICK, run
from Testing.unit.small_pair import PairOnDisk, write_pair
from Testing.unit.test_cli_cohort import manifest


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("cohort"))


@pytest.mark.parametrize(
    ("more", "other"),
    [
        (("--refine", 3), "refine"),
        (("--initial", "translation"), "initial"),
        (("--model", "auto"), "model"),
        (("--similarity", "mind"), "similarity"),
    ],
)
def test_a_case_registered_otherwise_is_not_taken_for_done(files, tmp_path, capsys, more, other):
    table = manifest(tmp_path, f"one,{files.fixed},{files.moving}")
    words = ("batch", table, "--out", tmp_path / "out", *QUICK, "--model", "none")
    assert run(capsys, *words)[0] == 0
    code, said, _ = run(capsys, *words, *more)
    assert (code, f"made before with another {other};" in said) == (2, True)


def test_a_fault_of_ours_outweighs_an_input_at_fault(files, tmp_path, capsys, monkeypatch):
    def fails(job, title):
        raise InputError("a bad scan") if title == "a" else ZeroDivisionError("oops")

    monkeypatch.setattr(cohort, "register_files", fails)
    row = f"{files.fixed},{files.moving}"
    table = manifest(tmp_path, f"a,{row}", f"b,{row}")
    assert run(capsys, "batch", table, "--out", tmp_path / "out")[0] == 1


def test_values_of_a_row_take_the_place_of_those_of_the_options(
    files, tmp_path, capsys, monkeypatch
):
    asked = []

    def remember(job, title):
        asked.append(job.settings.options())
        return {}

    monkeypatch.setattr(cohort, "register_files", remember)
    for name, tissue in (("row", "1"), ("all", "2")):
        (tmp_path / f"{name}.json").write_text(json.dumps({tissue: [0.2, 0.3]}))
    header = "case,fixed,moving,elasticity"
    table = manifest(tmp_path, "a,f,m,'3=0.1,0.6'", "b,f,m,row.json", "c,f,m", header=header)
    words = ("--elasticity", "4=0.3,0.3", "--elasticity-file", tmp_path / "all.json")
    assert run(capsys, "batch", table, "--out", tmp_path / "out", *words)[0] == 0
    assert [set(given.tissues) for given in asked] == [{"3"}, {"1"}, {"2", "4"}]


def test_what_a_look_leaves_behind_is_no_stranger(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cohort, "register_files", lambda job, title: {})
    table, out = manifest(tmp_path, f"a,{files.fixed},{files.moving}"), tmp_path / "out"
    out.mkdir()
    for name in (".DS_Store", "Thumbs.db", ".hidden"):
        (out / name).touch()
    assert run(capsys, "batch", table, "--out", out)[0] == 0

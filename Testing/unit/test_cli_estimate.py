"""``estimate`` and ``register --estimate``: from files to λ and μ, and back into a registration."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ElasticHyperRegLib import (
    Elasticity,
    RegistrationOptions,
    estimation,
    read_labels,
    session,
)
from ElasticHyperRegLib.cli import estimate as command  # registers the command
from ElasticHyperRegLib.cli import estimation as searching
from ElasticHyperRegLib.cli.estimation import estimate_request
from ElasticHyperRegLib.cli.pair import PairFiles, read_request
from ElasticHyperRegLib.cli.settings import Settings, read_elasticity
from ElasticHyperRegLib.engine.elasticity import check_tissues
from ElasticHyperRegLib.engine.sliding import SlidingBorder
from ElasticHyperRegLib.estimation.evidence import usual_objective
from ElasticHyperRegLib.io import write_labels
from Testing.unit.cli_help import QUICK, refused, run
from Testing.unit.small_pair import PairOnDisk, small_request, write_pair

SOLVER = ("--initial", "none", "--model", "none", "--device", "cpu")
"""The solver answers: no trained model is needed."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def quick(monkeypatch) -> None:
    """Searches of a few fields: steps of 1/2 and no sweeps."""
    real = estimation.estimate

    def fewer(field, evidence, options, *more):
        options = estimation.EstimateOptions(
            options.objective, "grid", 0.5, options.elasticity, options.tissues, sweeps=0
        )
        return real(field, evidence, options, *more)

    monkeypatch.setattr(session.session, "estimate", fewer)


def images(files: PairOnDisk) -> tuple[object, ...]:
    return ("--fixed", files.fixed, "--moving", files.moving)


def labels(files: PairOnDisk) -> tuple[object, ...]:
    return ("--fixed-labels", files.fixed_labels, "--moving-labels", files.moving_labels)


def points(files: PairOnDisk) -> tuple[object, ...]:
    return ("--fixed-points", files.fixed_points, "--moving-points", files.moving_points)


def test_the_file_holds_the_choice_and_register_takes_it(files, tmp_path, capsys):
    file, picture = tmp_path / "found.json", tmp_path / "surfaces.png"
    words = (*images(files), *labels(files), *SOLVER, "--out", file, "--plot", picture)
    code, out, _ = run(capsys, "estimate", *words, "--step", 0.5, "--sweeps", 0)
    assert code == 0
    record = json.loads(file.read_text())
    assert {surface["others"] for surface in record["surfaces"]} == {"same setting"}
    assert 6 <= record["fields"] <= 9
    assert record["objective"] == {"dice": 1.0}
    assert set(record["elasticity"]) == {"everywhere", "background", "1", "2"}
    assert record["scores"]["1"]["after"] >= record["scores"]["1"]["initial"]
    assert picture.read_bytes()[1:4] == b"PNG"
    assert "chosen on the very labels" in out
    assert "Research use only" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found.json", "surfaces.png"]

    options = Settings(elasticity_file=file).options()
    check_tissues(options.tissues, read_labels(files.fixed_labels))
    assert options.elasticity == Elasticity(*record["elasticity"]["everywhere"])
    assert options.tissues["1"] == Elasticity(*record["elasticity"]["1"])


@pytest.mark.usefixtures("quick")
def test_register_estimates_first(files, tmp_path, capsys):
    out = tmp_path / "out"
    words = (*images(files), *points(files), *QUICK, "--model", "none", "--estimate", "--out", out)
    assert run(capsys, "register", *words)[0] == 0
    record = json.loads((out / "estimate.json").read_text())
    assert record["objective"] == {"tre": 1.0}
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["elasticity"] == record["elasticity"]
    command_again = json.loads((out / "request.json").read_text())["command"]
    assert "--estimate" not in command_again
    assert "{!r},{!r}".format(*record["elasticity"]["everywhere"]) in command_again


def test_without_an_estimate_an_old_one_does_not_stay(files, tmp_path, capsys):
    (tmp_path / "estimate.json").write_text("{}")
    words = (*images(files), *QUICK, "--out", tmp_path, "--overwrite")
    assert run(capsys, "register", *words)[0] == 0
    assert not (tmp_path / "estimate.json").exists()


def test_the_usual_objective_is_the_best_that_there_is():
    request = small_request()
    assert usual_objective(request) == "dice"
    assert usual_objective(small_request(moving_labels=None)) == "tre"
    alone = small_request(moving_labels=None, fixed_points=None)
    assert usual_objective(alone) == "similarity"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--objective", "dce"), "the objective 'dce'"),
        (("--objective", "dice=x"), "NAME or NAME=WEIGHT"),
        (("--objective", "tre"), "the objective tre without fixed points"),
        (("--method", "guess"), "the method 'guess'"),
        (("--elasticity", "lnug=0.1,0.2"), "λ and μ for lnug without fixed labels"),
        (("--method", "gradient", "--objective", "dice"), "dice with the method gradient"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(files, tmp_path, capsys, more, line):
    words = (*images(files), *SOLVER, "--out", tmp_path / "found.json", *more)
    assert line in refused(capsys, "estimate", *words)
    assert list(tmp_path.iterdir()) == []


def test_a_tissue_that_is_not_there_is_refused(files, tmp_path, capsys):
    words = (*images(files), *labels(files), *SOLVER, "--elasticity", "lnug=0.1,0.2")
    line = refused(capsys, "estimate", *words, "--out", tmp_path / "found.json")
    assert "λ and μ for lnug" in line
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_file_says_what_it_is(files, tmp_path, capsys):
    assert "ends in .json" in refused(
        capsys, "estimate", *images(files), "--out", tmp_path / "a.txt"
    )


def test_a_file_that_is_there_stays(files, tmp_path, capsys):
    file = tmp_path / "found.json"
    file.write_text('{"lung": [0.1, 0.2]}')
    assert "exists already" in refused(capsys, "estimate", *images(files), "--out", file)
    assert read_elasticity(file) == {"lung": Elasticity(0.1, 0.2)}


def test_the_command_explains_itself(capsys):
    code, out, _ = run(capsys, "estimate", "--help")
    assert code == 0
    assert "response surfaces" in " ".join(out.split())
    assert callable(command.estimate)


GRADIENT = ("--objective", "similarity", "--method", "gradient")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--step", 0.3), "0.3"),
        (("--sweeps", -1), "-1"),
        ((*GRADIENT, "--step", 0.5), "--step"),
        ((*GRADIENT, "--sweeps", 0), "--sweeps"),
    ],
)
def test_a_search_that_cannot_be_is_one_line(files, tmp_path, capsys, options, told):
    words = (*images(files), *SOLVER, "--out", tmp_path / "found.json", *options)
    code, _, err = run(capsys, "estimate", *words)
    assert code == 2
    assert told in err
    assert "expected" in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_borders_are_spelled_as_the_labels_are(tmp_path):
    pair = write_pair(tmp_path)
    labels = small_request().fixed_labels
    write_labels(replace(labels, names={1: "Body", 2: "Organ"}), tmp_path / "named.nrrd")
    settings = Settings(elasticity=("organ=0.1,0.6",), sliding=("organ:body",))
    named = PairFiles(pair.fixed, pair.moving, tmp_path / "named.nrrd")
    found = read_request(named, settings.options(), settings).options
    assert found.sliding == (SlidingBorder("Organ", "Body"),)
    assert set(found.tissues) == {"Organ"}


def test_a_search_begins_at_the_values_of_each_tissue(monkeypatch):
    wanted = []

    class Session:
        from_request = classmethod(lambda cls, request: cls())
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *given: None  # noqa: E731

        def estimate(self, options, on_progress):
            wanted.append(options)

    monkeypatch.setattr(searching, "Session", Session)
    starts = {"organ": Elasticity(0.1, 0.6)}
    estimate_request(small_request(options=RegistrationOptions(tissues=starts)))
    assert wanted[0].tissues == starts

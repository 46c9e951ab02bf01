"""``batch`` and ``demo``: a cohort that resumes, and the job that needs no data."""

from __future__ import annotations

import csv
import errno
import json
import re
from pathlib import Path

import pytest

from ElasticHyperRegLib import InputError, read_labels
from ElasticHyperRegLib.cli import cohort, demonstration
from ElasticHyperRegLib.cli.manifest import read_manifest
from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY
from ElasticHyperRegLib.engine.sliding import SlidingBorder
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from Testing.unit.cli_help import QUICK, everything_in, refused, run
from Testing.unit.small_pair import PairOnDisk, write_pair


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("cohort"))


def manifest(folder: Path, *rows: str, header: str = "case,fixed,moving") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]).replace("'", '"') + "\n", encoding="utf-8")
    return path


def summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def cohort_table(files) -> Path:
    return manifest(
        files.fixed.parent,
        "one,fixed.nii.gz,moving.nii.gz,fixed_labels.nrrd,moving_labels.nrrd,,'0.1,0.6'",
        "two,fixed.nii.gz,gone.nii.gz",
        "three,fixed.nii.gz,moving.nii.gz,fixed_labels.nrrd,,none,'1=0,0.1;2=0.1,0.6'",
        "four,,moving.nii.gz",
        header="case,fixed,moving,fixed_labels,moving_labels,model,elasticity",
    )


def test_one_failing_row_does_not_stop_the_others(cohort_table, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    code, said, err = run(capsys, "batch", cohort_table, "--out", out, *QUICK)
    assert (code, err.count("\n")) == (2, 1)
    assert "2 of 4 cases failed (two, four); see" in err
    assert "[1/4] one: done" in said
    found = summary(out)
    assert [row["status"] for row in found.values()] == ["done", "failed", "done", "failed"]
    assert "gone.nii.gz does not exist" in found["two"]["reason"]
    assert "a row without fixed" in found["four"]["reason"]
    assert float(found["one"]["mean_dice_after"]) > float(found["one"]["mean_dice_before"])
    assert found["three"]["mean_dice_after"] == ""
    assert float(found["three"]["seconds"]) > 0
    assert {path.name for path in out.iterdir()} == {"one", "three", "summary.csv"}
    metrics = [json.loads((out / n / "metrics.json").read_text()) for n in ("one", "three")]
    default = [DEFAULT_ELASTICITY.lam, DEFAULT_ELASTICITY.mu]
    assert metrics[0]["elasticity"] == {"everywhere": [0.1, 0.6]}
    assert metrics[1]["elasticity"] == {"background": default, "1": [0, 0.1], "2": [0.1, 0.6]}
    assert metrics[1]["model"] == "none"


def test_a_case_made_otherwise_is_not_taken_for_done(files, tmp_path, capsys):
    out = tmp_path / "out"
    table = manifest(tmp_path, f"one,{files.fixed},{files.moving}")
    words = ("batch", table, "--out", out)
    assert run(capsys, *words, *QUICK, "--elasticity", "0.1,0.2")[0] == 0
    made = (out / "one" / "metrics.json").read_bytes()
    code, said, _ = run(capsys, *words, *QUICK, "--elasticity", "0.1,0.2")
    assert (code, "[1/1] one: done before" in said) == (0, True)
    copy = files.moving.with_name("copy.nii.gz")
    copy.write_bytes(files.moving.read_bytes())
    for row, more, other in (
        (f"{files.fixed},{copy}", ("--elasticity", "0.1,0.2"), None),
        (f"{files.moving},{files.fixed}", ("--elasticity", "0.1,0.2"), "fixed"),
        (f"{files.fixed},{files.moving}", ("--elasticity", "0.3,0.4"), "λ or μ"),
        (f"{files.fixed},{files.moving}", ("--elasticity", "0.1,0.2", "--seed", 3), "seed"),
    ):
        manifest(tmp_path, f"one,{row}")
        code, said, _ = run(capsys, *words, *QUICK, *more)
        assert code == (0 if other is None else 2)
        if other is not None:
            assert f"made before with another {other}; expected the same files" in said
            assert summary(out)["one"]["status"] == "failed"
        assert (out / "one" / "metrics.json").read_bytes() == made


def test_metrics_alone_are_no_finished_case(files, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "one").mkdir(parents=True)
    (out / "one" / "metrics.json").write_text('{"folds_fraction": 0}')
    table = manifest(tmp_path, f"one,{files.fixed},{files.moving}")
    code, said, _ = run(capsys, "batch", table, "--out", out)
    assert (code, "request.json are not of this command" in said) == (2, True)
    assert summary(out)["one"]["folds_fraction"] == ""


LABELLED = "case,fixed,moving,fixed_labels"
SCHEME = """
name = "two"
slides = [["ball", "rod"]]
""" + "".join(
    f"""
[[tissue]]
name = "{name}"
label = {label}
labels = [{label or 4}]
color = [{label}, 0, 0]
preset = "soft-tissue"
"""
    for label, name in enumerate(("background", "ball", "rod", "lost"))
)


def with_scheme(files: PairOnDisk, folder: Path) -> tuple[Path, Path]:
    """A cohort of one case with labels, and a scheme for them that knows a tissue more."""
    scheme = folder / "scheme.toml"
    scheme.write_text(SCHEME, encoding="utf-8")
    row = f"one,{files.fixed},{files.moving},{files.fixed.parent / 'fixed_labels.nrrd'}"
    return manifest(folder, row, header=LABELLED), scheme


def test_one_list_of_values_serves_a_cohort_again(files, tmp_path, capsys):
    table, scheme = with_scheme(files, tmp_path)
    values = ("--elasticity", "ball=0.05,0.2", "--elasticity", "lost=0.1,0.3")
    words = ("batch", table, "--out", tmp_path / "out", *QUICK, "--tissues", scheme, *values)
    assert run(capsys, *words)[0] == 0
    assert "lost" not in json.loads((tmp_path / "out/one/metrics.json").read_text())["elasticity"]
    code, said, _ = run(capsys, *words)
    assert (code, "one: done before" in said) == (0, True)


@pytest.mark.parametrize(
    ("first", "then", "other"),
    [
        ((), ("--estimate",), "way to λ and μ"),
        ((), ("--elasticity", "0.05,0.15"), "λ or μ"),
        (("--elasticity", "ball=0.3,0.3"), (), "λ or μ"),
        ((), ("--sliding", "scheme"), "sliding border"),
        (("--sliding", "scheme"), ("--sliding", "ball:rod"), "sliding border"),
    ],
)
def test_what_a_run_finds_by_itself_is_not_what_was_asked_for(
    files, tmp_path, capsys, first, then, other
):
    table, scheme = with_scheme(files, tmp_path)
    words = ("batch", table, "--out", tmp_path / "out", *QUICK, "--tissues", scheme)
    assert run(capsys, *words, *first)[0] == 0
    code, said, _ = run(capsys, *words, *then)
    assert (code, f"made before with another {other}" in said) == (2, True)


def test_a_file_that_was_replaced_is_another_one(files, tmp_path, capsys):
    fixed = tmp_path / "fixed.nii.gz"
    fixed.write_bytes(files.fixed.read_bytes())
    table = manifest(tmp_path, f"one,fixed.nii.gz,{files.moving}")
    words = ("batch", table, "--out", tmp_path / "out", *QUICK)
    assert run(capsys, *words)[0] == 0
    fixed.write_bytes(files.moving.read_bytes())
    code, said, _ = run(capsys, *words)
    assert (code, "made before with another fixed" in said) == (2, True)


def test_a_scheme_is_the_same_under_another_path(files, tmp_path, capsys, monkeypatch):
    table, scheme = with_scheme(files, tmp_path)
    words = ("batch", table, "--out", tmp_path / "out", *QUICK, "--tissues")
    assert run(capsys, *words, scheme)[0] == 0
    monkeypatch.chdir(tmp_path)
    code, said, _ = run(capsys, *words, "scheme.toml")
    assert (code, "one: done before" in said) == (0, True)


@pytest.mark.parametrize("text", ["{}", "[1]", '{"inputs": {"fixed": 3}}', "no JSON"])
def test_a_record_of_something_else_is_one_line(files, tmp_path, capsys, text):
    (tmp_path / "out" / "one").mkdir(parents=True)
    (tmp_path / "out" / "one" / "metrics.json").write_text("{}")
    (tmp_path / "out" / "one" / "request.json").write_text(text)
    table = manifest(tmp_path, f"one,{files.fixed},{files.moving}")
    code, said, _ = run(capsys, "batch", table, "--out", tmp_path / "out", *QUICK)
    assert (code, "are not of this command" in said) == (2, True)


def test_a_cohort_that_cannot_be_written_is_one_line(files, tmp_path, capsys, monkeypatch):
    def refuses(path, **_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    table = manifest(tmp_path, f"a,{files.fixed},{files.moving}")
    monkeypatch.setattr(Path, "mkdir", refuses)
    line = refused(capsys, "batch", table, "--out", tmp_path / "out", *QUICK)
    assert "out cannot be written (Read-only file system)" in line


def test_a_model_of_a_row_lies_beside_the_manifest(files, tmp_path, capsys, monkeypatch):
    asked: list[str] = []

    def remember(job, title):
        asked.append(job.settings.model)
        return {}

    monkeypatch.setattr(cohort, "register_files", remember)
    header = "case,fixed,moving,model"
    table = manifest(tmp_path, "a,f,m,none", "b,f,m,sub/model", header=header)
    run(capsys, "batch", table, "--out", tmp_path / "out")
    assert asked == ["none", str(tmp_path / "sub" / "model")]


def test_every_case_may_slide_and_be_estimated(files, tmp_path, capsys, monkeypatch):
    asked = []

    def remember(job, title):
        asked.append((job.settings.options().sliding, job.estimate))
        return {}

    monkeypatch.setattr(cohort, "register_files", remember)
    table = manifest(tmp_path, f"one,{files.fixed},{files.moving}")
    words = ("--sliding", "lung:rest", "--sliding", "liver:lung=6", "--estimate")
    assert run(capsys, "batch", table, "--out", tmp_path / "out", *words)[0] == 0
    assert asked == [((SlidingBorder("lung"), SlidingBorder("liver", "lung", 6.0)), True)]


def test_a_cohort_resumes(cohort_table, tmp_path, capsys, monkeypatch):
    asked: list[str] = []

    def finish(job, title):
        asked.append(title)
        if title == "two" and asked.count("two") == 1:
            raise InputError("too early")
        job.out.mkdir(parents=True, exist_ok=True)
        (job.out / "metrics.json").write_text('{"folds_fraction": 0.25}')
        (job.out / "request.json").write_text("{}")
        return {"folds_fraction": 0.25}

    monkeypatch.setattr(cohort, "register_files", finish)
    monkeypatch.setattr(cohort, "difference", lambda job, record: None)
    assert run(capsys, "batch", cohort_table, "--out", tmp_path)[0] == 2
    first = summary(tmp_path)
    assert asked == ["one", "two", "three"]
    asked.append("again")
    assert run(capsys, "batch", cohort_table, "--out", tmp_path)[0] == 2
    assert asked[4:] == ["two"], "only what is unfinished is done again"
    second = summary(tmp_path)
    assert (first["two"]["status"], second["two"]["status"]) == ("failed", "done")
    assert first["one"] == second["one"]
    assert second["one"]["folds_fraction"] == "0.25"
    asked.clear()
    run(capsys, "batch", cohort_table, "--out", tmp_path, "--overwrite")
    assert asked == ["one", "two", "three"]


def test_a_fault_of_ours_does_not_stop_the_others(files, tmp_path, capsys, monkeypatch):
    def broken(job, title):
        if title == "a":
            raise ZeroDivisionError("oops")
        return {"ncc": {"after": 0.5}}

    monkeypatch.setattr(cohort, "register_files", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    row = "fixed.nii.gz,moving.nii.gz"
    table = manifest(files.fixed.parent, f"a,{row}", f"b,{row}")
    assert run(capsys, "batch", table, "--out", tmp_path / "out")[0] == 1
    found = summary(tmp_path / "out")
    assert "ZeroDivisionError: oops" in found["a"]["reason"]
    assert (found["b"]["status"], found["b"]["ncc_after"]) == ("done", "0.5")


def test_stopping_a_cohort_keeps_what_is_done(files, tmp_path, capsys, monkeypatch):
    def stopped(job, title):
        if title == "b":
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(cohort, "register_files", stopped)
    row = "fixed.nii.gz,moving.nii.gz"
    table = manifest(files.fixed.parent, f"a,{row}", f"b,{row}")
    assert run(capsys, "batch", table, "--out", tmp_path / "out")[0] == 130
    assert list(summary(tmp_path / "out")) == ["a"]


def test_what_is_not_reached_keeps_its_row(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cohort, "register_files", lambda job, title: {"folds_fraction": 0.5})
    row = "fixed.nii.gz,moving.nii.gz"
    table, out = manifest(files.fixed.parent, *(f"{n},{row}" for n in "abc")), tmp_path / "out"
    assert run(capsys, "batch", table, "--out", out)[0] == 0

    def stopped(job, title):
        if title == "b":
            raise KeyboardInterrupt
        return {"folds_fraction": 0.25}

    monkeypatch.setattr(cohort, "register_files", stopped)
    assert run(capsys, "batch", table, "--out", out)[0] == 130
    found = {case: line["folds_fraction"] for case, line in summary(out).items()}
    assert found == {"a": "0.25", "b": "0.5", "c": "0.5"}


def test_what_another_run_has_done_meanwhile_is_done(files, tmp_path, capsys, monkeypatch):
    def slower(job, title):
        job.out.mkdir(parents=True)
        (job.out / "metrics.json").write_text('{"folds_fraction": 0.25}')
        (job.out / "request.json").write_text("{}")
        raise InputError(f"{job.out} is not empty")

    monkeypatch.setattr(cohort, "register_files", slower)
    monkeypatch.setattr(cohort, "difference", lambda job, record: None)
    table = manifest(files.fixed.parent, "a,fixed.nii.gz,moving.nii.gz")
    assert run(capsys, "batch", table, "--out", tmp_path)[0] == 0
    assert summary(tmp_path)["a"]["status"] == "done"


def test_cells_that_a_spreadsheet_leaves_empty_are_no_case(tmp_path):
    (tmp_path / "m.csv").write_text("case,fixed,moving\n,,\na,f,m,,,\n , ,\n")
    rows = read_manifest(tmp_path / "m.csv", "summary.csv")
    assert rows == [{"case": "a", "fixed": "f", "moving": "m"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,fixed\na,f.nii\n", "header without moving"),
        ("case,fixed,moving,fixed_label\na,f,m,l\n", "header with fixed_label"),
        ("case;fixed;moving\na;f;m\n", "header without case, fixed, moving"),
        ("case,fixed,moving\n", "lists no case"),
        ("case,fixed,moving\na,f,m\na,f,m\n", "the case 'a' 2 times"),
        ("case,fixed,moving\n,f,m\n", "the case ''"),
        ("case,fixed,moving\n../a,f,m\n", "the case '../a'; expected a name that a folder"),
        ("case,fixed,moving\nsummary.csv,f,m\n", "the case 'summary.csv'"),
        ("case,fixed,moving,elasticity\na,f,m,0.1,0.2\n", "line 2: more cells than columns"),
        ("case,fixed,moving\n\xff\n", "cannot be read"),
        ("case,fixed,moving\na\0,f,m\n", "expected a name that a folder can have"),
        ("case,fixed,moving,fixed\na,f,m,g\n", "header with fixed 2 times"),
    ],
)
def test_manifests_at_fault(text, words, tmp_path):
    (tmp_path / "m.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=re.escape(words)):
        read_manifest(tmp_path / "m.csv", "summary.csv")


def test_a_cohort_keeps_out_of_other_folders(files, tmp_path, capsys):
    table = manifest(files.fixed.parent, "a,fixed.nii.gz,moving.nii.gz")
    (tmp_path / "thesis.txt").write_text("mine")
    assert "holds thesis.txt" in refused(capsys, "batch", table, "--out", tmp_path)
    assert "is a file" in refused(capsys, "batch", table, "--out", tmp_path / "thesis.txt")
    line = refused(capsys, "batch", table, "--out", tmp_path / "o", "--device", "tpu")
    assert "the device 'tpu'" in line
    assert everything_in(tmp_path) == {"thesis.txt": b"mine"}


def test_demo_finds_the_truth_and_may_be_repeated(tmp_path, capsys, monkeypatch):
    phantom = make_phantom(PhantomOptions(size=32))
    monkeypatch.setattr(demonstration, "make_phantom", lambda options: phantom)
    out = tmp_path / "demo"
    for again in (("--model", "none"), ("--overwrite",)):
        code, said, err = run(capsys, "demo", "--size", 32, "--out", out, *again)
        assert (code, err) == (0, "")
        median = dict(re.findall(r"(before|after) \(mm\) +([\d.]+)", said))
        assert float(median["after"]) < 0.9 * float(median["before"])
        assert "soft_tissue" in said
        assert str(out / "preview.png") in said
        assert {path.name for path in (out / "input").iterdir()} == set(
            demonstration.NAMES.values()
        )
        assert read_labels(out / "warped_labels.nii.gz").present() == (0, 1, 2, 3, 4, 5)
        request = json.loads((out / "request.json").read_text())
        assert request["inputs"]["fixed"]["path"] == str(out / "input" / "fixed.nii.gz")
        assert (request["options"]["model"] == "none") == ("none" in again)
        assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert "not empty" in refused(capsys, "demo", "--size", 32, "--out", out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", 8), "three sizes of 32 voxels or more"),
        (("--size", 1000), "at most 256"),
        (("--seed", -1), "the seed -1"),
    ],
)
def test_demo_options_at_fault(options, words, tmp_path, capsys):
    assert words in refused(capsys, "demo", *options, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

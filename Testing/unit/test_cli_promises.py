"""What callers rely on: nothing is dropped, mislabelled or taken for something else in silence."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import InputError, LabelMap, RegistrationOptions, read_image, read_labels
from ElasticHyperRegLib.engine import register
from ElasticHyperRegLib.engine.report import forget_peak_memory, peak_memory_mib
from ElasticHyperRegLib.engine.sliding import SlidingBorder
from ElasticHyperRegLib.io import OutputFolder, read_points, write_image, write_labels, write_points
from ElasticHyperRegLib.io.itk import ras_lps, reading
from ElasticHyperRegLib.tissues import load_scheme
from ElasticHyperRegLib.types import Image
from Testing.unit.cli_help import QUICK, refused, run
from Testing.unit.small_pair import PairOnDisk, small_request, write_pair
from Testing.unit.test_cli_warp import wavy
from Testing.unit.tiny_models import install, lively, tiny_spec


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("promises"))


def pair_words(files: PairOnDisk) -> tuple[object, ...]:
    return ("--fixed", files.fixed, "--moving", files.moving)


def label_words(files: PairOnDisk) -> tuple[object, ...]:
    return ("--fixed-labels", files.fixed_labels, "--moving-labels", files.moving_labels)


# Tissues


def test_lungs_by_another_name_are_lungs():
    grid = small_request().fixed.grid
    data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    data.flatten()[:4] = torch.tensor([1, 2, 3, 4])
    labels = LabelMap(data, grid, {1: "lung_left", 2: "Lung-Right", 3: "femur_left", 4: "spam"})
    for name in ("thorax-ct", "nlst"):
        scheme = load_scheme(name)
        assert [scheme.named(labels).names[label] for label in (1, 2)] == ["lung", "lung"]
    lungs = load_scheme("thorax-ct").tissues[2]
    assert all(lungs.may_be(n) for n in ("left lung", "Lungs", "lung_r", "lung_upper_lobe_left"))
    assert not any(lungs.may_be(n) for n in ("lung_nodule", "lung_trachea_bronchia", "long"))
    told = load_scheme("thorax-ct").left_over(labels)
    assert told == "spam: no tissue of the scheme thorax-ct, taken for soft_tissue"
    lungs_only = replace(labels, names={1: "lung", 2: "Lung - right", 3: "lung_left", 4: "lungs"})
    assert load_scheme("thorax-ct").left_over(lungs_only) == ""


def test_labels_that_nothing_names_are_told():
    grid = small_request().fixed.grid
    data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    data.flatten()[:2] = torch.tensor([10, 77])
    scheme = load_scheme("thorax-ct")
    numbered = LabelMap(data, grid, {10: "Segment_1"})
    assert scheme.left_over(numbered).startswith("Segment_1, label 77: no tissue of the scheme")
    nameless = scheme.left_over(LabelMap(data, grid, {}))
    assert nameless == "labels without names, taken for classes of TotalSegmentator's task total"
    assert scheme.named(LabelMap(data, grid, {})).names[10] == "lung"


def test_a_map_of_the_schemes_own_that_has_lost_its_names_is_told(files):
    scheme, fixed = load_scheme("ct-threshold"), read_labels(files.fixed_labels)
    data = torch.zeros_like(fixed.data)
    data.flatten()[:3] = torch.tensor([1, 2, 3])
    nameless = LabelMap(data, fixed.grid, {})
    assert scheme.named(nameless).names[3] == "lung"  # which is bone in maps that it makes
    assert "numbers of classes in the scheme ct-threshold" in scheme.left_over(nameless)
    soft = LabelMap((data == 1).to(torch.int32), fixed.grid, {})
    assert scheme.left_over(soft) == ""


def test_one_map_without_names_is_told(files, tmp_path, capsys):
    named = tmp_path / "named.nrrd"
    labels = read_labels(files.fixed_labels)
    write_labels(replace(labels, names={1: "Body", 2: "Organ"}), named)
    words = ("--fixed-labels", named, "--moving-labels", files.moving_labels, "--model", "none")
    more = ("--elasticity", "organ=0.1,0.6", "--sliding", "ORGAN:rest", *QUICK)
    out = tmp_path / "out"
    code, _, err = run(capsys, "register", *pair_words(files), *words, *more, "--out", out)
    assert code == 0
    assert "has no names: its labels are matched to the numbers of" in err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["elasticity"]["Organ"] == [0.1, 0.6]  # whatever the case it is written in
    assert "Organ" in str(metrics["sliding"])


@pytest.mark.parametrize(("scored", "told"), [("none", False), ("thorax-elas-g", True)])
def test_another_model_than_the_estimates_is_told(files, tmp_path, capsys, scored, told):
    found = tmp_path / "found.json"
    found.write_text(json.dumps({"elasticity": {"everywhere": [0.1, 0.3]}, "model": scored}))
    words = ("--elasticity-file", found, "--model", "none", *QUICK, "--out", tmp_path / "out")
    code, _, err = run(capsys, "register", *pair_words(files), *words)
    assert code == 0
    assert ("λ and μ were found with thorax-elas-g and are used with none" in err) == told


def test_a_gradient_is_sought_of_what_has_one(files, tmp_path, capsys):
    words = (*pair_words(files), *label_words(files), "--model", "none")
    out = tmp_path / "found.json"
    assert run(capsys, "estimate", *words, "--method", "gradient", "--out", out)[0] == 0
    assert "soft-dice" in json.loads(out.read_text())["objective"]


def test_serve_refuses_what_every_tab_would(capsys):
    assert "no model nope" in refused(capsys, "serve", "--model", "nope", "--no-browser")
    assert "the device 'tpu'" in refused(capsys, "serve", "--device", "tpu", "--no-browser")


def test_an_interrupt_while_itk_speaks_is_no_damaged_file(tmp_path):
    def spoken() -> None:
        raise RuntimeError("SWIG director method error. In method 'DisplayWarningText'")

    with pytest.raises(KeyboardInterrupt), reading(tmp_path / "a.nii"):
        spoken()


def test_what_was_typed_for_a_tissue_that_is_not_there_is_told(files, tmp_path, capsys):
    words = ("--fixed-labels", files.fixed_labels, "--tissues", "thorax-ct", "--model", "none")
    more = ("--elasticity", "bone=0.1,0.6", "--sliding", "scheme", *QUICK)
    out = tmp_path / "out"
    code, _, err = run(capsys, "register", *pair_words(files), *words, *more, "--out", out)
    assert code == 0
    assert "the labels show no bone, whose λ and μ are left out." in err
    body = read_labels(files.fixed_labels)
    write_labels(replace(body, names={1: "Lung", 2: "liver"}), tmp_path / "named.nrrd")
    named = ("--fixed-labels", tmp_path / "named.nrrd", "--tissues", "thorax-ct", *QUICK)
    typed = ("--model", "none", "--elasticity", "LUNG=0.1,0.6", "--out", tmp_path / "more")
    code, _, err_of_others = run(capsys, "register", *pair_words(files), *named, *typed)
    assert (code, "left out" in err_of_others) == (0, False)  # whatever the case it is typed in
    assert "the labels show no border that slides in thorax-ct." in err


def test_what_a_scheme_does_not_know_is_told(files, tmp_path, capsys):
    labels = read_labels(files.fixed_labels)
    named = tmp_path / "named.nrrd"
    write_labels(replace(labels, names={1: "body", 2: "spam"}), named)
    words = ("--fixed-labels", named, "--tissues", "thorax-ct", "--model", "none")
    code, _, err = run(
        capsys, "register", *pair_words(files), *words, *QUICK, "--out", tmp_path / "out"
    )
    assert code == 0
    assert "spam: no tissue of the scheme thorax-ct, taken for soft_tissue" in err


def test_maps_without_a_common_tissue_are_refused(files, tmp_path, capsys):
    labels = read_labels(files.moving_labels)
    other = tmp_path / "other.nii.gz"
    write_labels(replace(labels, data=labels.data * 7000), other)
    words = ("--fixed-labels", files.fixed_labels, "--moving-labels", other)
    said = refused(
        capsys, "register", *pair_words(files), *words, *QUICK, "--out", tmp_path / "out"
    )
    assert "without a common tissue" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("models")
def test_a_border_that_no_pass_of_the_solver_sees_is_refused(models):
    install(lively(tiny_spec("elas-g")), models / "net")
    options = RegistrationOptions(
        initial="none", model="net", refine=0, sliding=(SlidingBorder("organ"),), device="cpu"
    )
    with pytest.raises(InputError, match="borders that slide with a network alone"):
        register(small_request(options=options))
    alone = register(small_request(options=replace(options, model="none")))
    assert "sliding" in alone.metrics


@pytest.mark.parametrize("width", ["inf", "nan", "-1", "0"])
def test_a_band_has_a_width(files, tmp_path, capsys, width):
    words = (*label_words(files), "--sliding", f"2:rest={width}")
    said = refused(
        capsys, "register", *pair_words(files), *words, *QUICK, "--out", tmp_path / "out"
    )
    assert "fault of this program" not in said


# What it cost, and what it rests on


def test_an_estimate_is_counted_and_says_what_it_rests_on(files, tmp_path, capsys):
    out = tmp_path / "out"
    words = (*pair_words(files), *label_words(files), "--estimate", "--model", "none", *QUICK)
    code, said, _ = run(capsys, "register", *words, "--out", out)
    assert code == 0
    metrics = json.loads((out / "metrics.json").read_text())
    found = json.loads((out / "estimate.json").read_text())
    seconds = metrics["seconds"]
    assert seconds["estimate"] == pytest.approx(found["seconds"], abs=0.01)
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert seconds["total"] >= 0.95 * parts
    told = {name: found[name] for name in ("evidence", "warnings", "model")}
    assert metrics["estimate"] == told
    assert "rests on Dice of" in " ".join(said.split())


def test_the_peak_of_memory_begins_anew():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not let it begin anew")
    large = torch.ones(64, 2**20)
    before = peak_memory_mib()["peak_memory_mib"]
    assert large.sum() == 64 * 2**20
    del large
    forget_peak_memory()
    assert peak_memory_mib()["peak_memory_mib"] < before - 200


# Repeating and resuming


def test_the_command_names_links_as_they_were_given(files, tmp_path, capsys):
    blob = tmp_path / "abc"
    blob.write_bytes(files.fixed.read_bytes())
    link = tmp_path / "f.nii.gz"
    link.symlink_to(blob)
    out = tmp_path / "out"
    words = ("--fixed", link, "--moving", files.moving, "--model", "none", *QUICK)
    assert run(capsys, "register", *words, "--out", out)[0] == 0
    command = json.loads((out / "request.json").read_text())["command"]
    assert command[command.index("--fixed") + 1] == str(link)
    assert run(capsys, *command[1:-1], tmp_path / "again")[0] == 0


@pytest.mark.usefixtures("models")
def test_a_case_of_other_weights_is_not_taken_for_done(files, tmp_path, capsys, models):
    table = tmp_path / "manifest.csv"
    table.write_text(f"case,fixed,moving\none,{files.fixed},{files.moving}\n")
    install(lively(tiny_spec("elas-g")), models / "net")
    words = ("batch", table, "--out", tmp_path / "out", "--model", "net", *QUICK)
    assert run(capsys, *words)[0] == 0
    code, said, _ = run(capsys, *words)
    assert (code, "one: done before" in said) == (0, True)
    install(lively(tiny_spec("elas-g"), scale=0.3), models / "net")
    code, said, _ = run(capsys, *words)
    assert code == 2
    assert "made before with another model net of other weights" in said
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "failed"
    assert row["seconds"] != ""  # the figures of the result that stands there


def test_what_tells_that_a_result_is_whole_is_there_last(tmp_path, monkeypatch):
    names = ("a.txt", "z.txt", "m.json")
    for text in ("old", "new"):
        placed: list[str] = []
        replace_file = os.replace

        def noted(source, target, placed=placed, move=replace_file):
            assert not (tmp_path / "out" / "m.json").exists() or not placed
            placed.append(Path(target).name)
            move(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", noted)
            with OutputFolder(tmp_path / "out", names, overwrite=True) as folder:
                for name in names:
                    (folder / name).write_text(text)
    assert placed[-3:] == ["a.txt", "z.txt", "m.json"]
    assert placed[:-3] == ([] if text == "old" else ["m.json", "z.txt", "a.txt"])
    assert (tmp_path / "out" / "m.json").read_text() == "new"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal")
def test_a_closed_terminal_leaves_nothing(files, tmp_path):
    (tmp_path / "m.csv").write_text(
        "case,fixed,moving\n" + "".join(f"c{n},{files.fixed},{files.moving}\n" for n in range(9))
    )
    words = ["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), "--model", "none"]
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "ElasticHyperRegLib", *words]
    process = subprocess.Popen(
        command,
        stderr=end,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # as under nohup it is not
    )
    os.close(end)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.partial")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 130
    assert not list(tmp_path.rglob("*.partial"))
    assert len(list((tmp_path / "out").glob("c*"))) < 9


def test_a_loop_of_links_is_one_line(files, tmp_path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    said = refused(capsys, "register", *pair_words(files), *QUICK, "--out", loop)
    assert "fault of this program" not in said


# Files


def test_landmarks_beyond_the_end_of_a_field_are_not_measured(files, tmp_path, capsys):
    transform = tmp_path / "wavy.h5"
    sitk.WriteTransform(wavy(), str(transform))
    inside = ras_lps(np.array([[0.0, 0.0, 0.0], [10.0, -8.0, 5.0]]))
    points = np.vstack([inside, [[900.0, 0.0, 0.0]]])
    write_points(points, tmp_path / "fixed.csv")
    write_points(points, tmp_path / "moving.csv")
    words = ("--fixed-points", tmp_path / "fixed.csv", "--moving-points", tmp_path / "moving.csv")
    code, said, _ = run(capsys, "evaluate", *words, "--transform", transform)
    assert code == 0
    tre = json.loads(said)["tre_mm"]
    assert (tre["n"], tre["outside"]) == (2, 1)
    write_points(points[2:], tmp_path / "fixed.csv")
    write_points(points[2:], tmp_path / "moving.csv")
    said = refused(capsys, "evaluate", *words, "--transform", transform)
    assert "defined at none of the landmarks" in said


def test_points_beyond_the_end_of_a_field_are_told(files, tmp_path, capsys):
    transform, points = tmp_path / "wavy.h5", tmp_path / "points.csv"
    sitk.WriteTransform(wavy(), str(transform))
    write_points(np.array([[900.0, 0.0, 0.0]]), points)
    out = tmp_path / "moved.csv"
    words = ("--transform", transform, "--reference", files.fixed, "--points", points)
    code, said, _ = run(capsys, "warp", *words, "--out", out)
    assert code == 0
    assert "1 of them lie beyond the end of the transform" in said
    assert len(read_points(out)) == 1


def test_a_reference_is_asked_where_it_lies_alone(files, tmp_path, capsys):
    image = read_image(files.fixed)
    data = image.data.clone()
    data[..., 0, 0, 0] = torch.nan
    holed = tmp_path / "nan.nii.gz"
    write_image(Image(data, image.grid, "nan", "float32"), holed)
    out = tmp_path / "out"
    assert (
        run(capsys, "register", *pair_words(files), *QUICK, "--model", "none", "--out", out)[0] == 0
    )
    words = ("--transform", out / "transform.h5", "--reference", holed, "--image", files.moving)
    assert run(capsys, "warp", *words, "--out", tmp_path / "warped.nii.gz")[0] == 0
    said = refused(
        capsys, "register", "--fixed", holed, "--moving", files.moving, "--out", tmp_path / "no"
    )
    assert "NaN" in said


@pytest.mark.parametrize("name", ["found.json", "map.pdf"])
def test_a_plot_is_a_png(files, tmp_path, capsys, name):
    words = (*pair_words(files), "--out", tmp_path / "found.json", "--plot", tmp_path / name)
    assert "a file that ends in .png" in refused(capsys, "estimate", *words)


def test_help_is_named_where_there_is_some(capsys):
    assert refused(capsys, "foo").endswith("see elastic-hyperreg --help.\n")
    assert "see elastic-hyperreg register --help." in refused(capsys, "register", "--foo")

"""``warp`` and ``evaluate``: the right way round, and the figures that closed forms give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Grid, LabelMap, read_image, read_labels
from ElasticHyperRegLib.cli import main
from ElasticHyperRegLib.cli.invert_points import invert_points
from ElasticHyperRegLib.io import (
    apply_to_points,
    covered,
    read_point_names,
    read_points,
    transforms,
    write_labels,
    write_points,
)
from ElasticHyperRegLib.io.itk import array_to_sitk
from Testing.unit.cli_help import QUICK, everything_in, refused, run
from Testing.unit.small_pair import CENTRE, PairOnDisk, write_pair


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def result(files, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    words = ["register", "--fixed", files.fixed, "--moving", files.moving, "--out", out]
    words += ["--moving-labels", files.moving_labels, *QUICK]
    assert main([str(word) for word in words]) == 0
    return out


def into_fixed(files: PairOnDisk, result: Path) -> list[object]:
    return ["warp", "--transform", result / "transform.h5", "--reference", files.fixed]


def wavy(amplitude_mm: float = 3.0) -> sitk.Transform:
    """A rotation after a smooth wave, LPS."""
    field = sitk.Image(24, 24, 24, sitk.sitkVectorFloat64)
    field.SetSpacing((4.0,) * 3)
    field.SetOrigin((-46.0,) * 3)
    p = np.moveaxis(np.indices((24, 24, 24)), 0, -1) * 4.0
    values = sitk.GetImageFromArray(amplitude_mm * np.sin(p / 9), isVector=True)
    values.CopyInformation(field)
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.1, -0.2, 0.3)
    turn.SetTranslation((200.0, -30.0, 7.0))
    return sitk.CompositeTransform([turn, sitk.DisplacementFieldTransform(values)])


def test_images_and_labels_come_out_as_registered(files, result, tmp_path, capsys):
    words = into_fixed(files, result)
    image, labels = tmp_path / "image.nrrd", tmp_path / "labels.nii.gz"
    code, out, err = run(capsys, *words, "--image", files.moving, "--out", image)
    assert (code, err) == (0, "")
    assert "image of moving.nii.gz in the frame of fixed.nii.gz" in out
    assert run(capsys, *words, "--labels", files.moving_labels, "--out", labels)[0] == 0
    warped = read_image(image)
    expected = read_image(result / "warped.nii.gz")
    assert warped.dtype == expected.dtype == "int16"
    assert warped.grid.same_as(expected.grid)
    assert float((warped.data - expected.data).abs().max()) <= 1
    again = read_labels(labels).data
    assert float((again != read_labels(result / "warped_labels.nii.gz").data).float().mean()) < 1e-3


def test_points_go_from_moving_to_fixed(files, result, tmp_path, capsys):
    out = tmp_path / "points.mrk.json"
    words = [*into_fixed(files, result), "--points", files.moving_points, "--out", out]
    code, said, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert said.startswith("4 points; carried back they meet within 0.000")
    assert "0 of them lie outside the reference" in said
    found = read_points(out)
    assert np.linalg.norm(found - read_points(files.fixed_points), axis=1).max() < 2
    transform = sitk.ReadTransform(str(result / "transform.h5"))
    back = apply_to_points(transform, found)
    np.testing.assert_allclose(back, read_points(files.moving_points), atol=1e-3)


def test_inverse_and_moving_reference_lead_back(files, result, tmp_path, capsys):
    out = tmp_path / "points.csv"
    words = ["warp", "--transform", result / "inverse.h5", "--reference", files.moving]
    assert run(capsys, *words, "--points", files.fixed_points, "--out", out)[0] == 0
    forth = apply_to_points(
        sitk.ReadTransform(str(result / "transform.h5")), read_points(files.fixed_points)
    )
    assert np.linalg.norm(read_points(out) - forth, axis=1).max() < 0.3


def test_points_are_inverted_exactly():
    transform = wavy()
    truth = np.random.default_rng(3).uniform(-35, 35, (200, 3))
    found = invert_points(transform, apply_to_points(transform, truth))
    np.testing.assert_allclose(found, truth, atol=1e-3)


def test_points_that_nothing_maps_to_are_refused(files, tmp_path, capsys):
    """A field that folds everything onto a plane reaches hardly any point."""
    p = np.moveaxis(np.indices((24, 24, 24)), 0, -1)[..., ::-1] * 4.0 - 46.0
    flat = np.zeros_like(p)
    flat[..., 2] = -p[..., 2]
    image = sitk.GetImageFromArray(flat, isVector=True)
    image.SetSpacing((4.0,) * 3)
    image.SetOrigin((-46.0,) * 3)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(tmp_path / "flat.h5"))
    write_points(np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 9.0]]), tmp_path / "points.csv")
    before = everything_in(tmp_path)
    line = refused(
        capsys, "warp", "--transform", tmp_path / "flat.h5", "--reference", files.fixed,
        "--points", tmp_path / "points.csv", "--out", tmp_path / "out.csv",
    )  # fmt: skip
    assert "1 of 2 points that the transform reaches from nowhere" in line
    assert "number 2" in line
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to warp; expected exactly one of --image, --labels and --points"),
        (("image", "labels"), "--image and --labels to warp; expected exactly one"),
    ],
)
def test_one_thing_at_a_time(options, words, files, result, tmp_path, capsys):
    given = [w for name in options for w in (f"--{name}", files.moving_labels)]
    line = refused(capsys, *into_fixed(files, result), *given, "--out", tmp_path / "o.nrrd")
    assert words in line


def test_warp_refuses_and_writes_nothing(files, result, tmp_path, capsys):
    words = [*into_fixed(files, result), "--image", files.moving, "--out"]
    (tmp_path / "there.nrrd").write_text("mine")
    before = everything_in(tmp_path)
    assert "exists already" in refused(capsys, *words, tmp_path / "there.nrrd")
    assert "convert it first" in refused(capsys, *words, tmp_path / "out.jpg")
    assert "does not exist" in refused(capsys, *words, tmp_path / "no" / "out.nrrd")
    broken = ["warp", "--transform", files.fixed_points, "--reference", files.fixed]
    out = tmp_path / "out.nrrd"
    line = refused(capsys, *broken, "--image", files.moving, "--out", out)
    assert "is not a transform" in line
    assert everything_in(tmp_path) == before
    assert run(capsys, *words, tmp_path / "there.nrrd", "--overwrite")[0] == 0


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_what_comes_nowhere_is_refused(kind, files, tmp_path, capsys):
    away = tmp_path / "away.tfm"
    sitk.WriteTransform(sitk.TranslationTransform(3, (900.0, 0.0, 0.0)), str(away))
    path = files.moving if kind == "image" else files.moving_labels
    words = ("--transform", away, "--reference", files.fixed, "--out", tmp_path / "o.nrrd")
    line = refused(capsys, "warp", *words, f"--{kind}", path)
    assert "nothing of which comes into the reference" in line
    assert not (tmp_path / "o.nrrd").exists()
    corner = sitk.ReadImage(str(path)) * 0
    corner[0, 0, 0] = 1
    for image, name in ((corner, "corner"), (corner[4:, 4:, 4:], "crop")):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
    sitk.WriteTransform(sitk.TranslationTransform(3), str(tmp_path / "still.tfm"))
    still = ("--transform", tmp_path / "still.tfm", "--reference", tmp_path / "crop.nrrd")
    given = (f"--{kind}", tmp_path / "corner.nrrd", "--out", tmp_path / "o.nrrd")
    code, said, _ = run(capsys, "warp", *still, *given)
    assert (code, "all of it lies outside of the reference" in said) == (0, True)


def test_a_scan_is_not_replaced_by_itself(files, result, tmp_path, capsys):
    own = tmp_path / "scan.nii.gz"
    own.write_bytes(files.moving.read_bytes())
    words = (*into_fixed(files, result), "--image", own, "--out", own, "--overwrite")
    assert "an input that the results would replace" in refused(capsys, *words)
    assert own.read_bytes() == files.moving.read_bytes()


# Evaluate


def test_the_metrics_of_a_registration_again(files, result, capsys):
    code, out, err = run(
        capsys, "evaluate", "--fixed-labels", files.fixed_labels, "--warped-labels",
        result / "warped_labels.nii.gz", "--transform", result / "transform.h5",
        "--fixed-points", files.fixed_points, "--moving-points", files.moving_points,
    )  # fmt: skip
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {
        "dice", "mean_dice", "hd95_mm", "surface_distance_mm", "folds_fraction", "jacobian",
        "jacobian_by_tissue", "tre_mm",
    }  # fmt: skip
    known = json.loads((result / "metrics.json").read_text())
    assert found["folds_fraction"] == known["folds_fraction"] == 0
    assert found["jacobian"]["p99"] == pytest.approx(known["jacobian"]["p99"], rel=1e-3)
    assert found["mean_dice"] > 0.8
    assert set(found["jacobian_by_tissue"]) == {"1", "2"}
    assert found["tre_mm"]["mean"] < 2
    assert found["tre_mm"]["n"] == 4


def test_known_figures(files, tmp_path, capsys):
    """A label shifted by one voxel, landmarks 3-4-0 mm apart, no transform."""
    labels = read_labels(files.fixed_labels)
    data = labels.data.clone() * 0
    data[..., 4:10, 5:15, 6:16] = 3
    shifted = data.roll(1, dims=-1)
    write_labels(LabelMap(data, labels.grid), tmp_path / "a.nrrd")
    write_labels(LabelMap(shifted, labels.grid), tmp_path / "b.nrrd")
    write_points(CENTRE + np.zeros((5, 3)), tmp_path / "p.csv")
    write_points(CENTRE + [3.0, 4.0, 0.0] * np.ones((5, 3)), tmp_path / "q.csv")
    code, out, _ = run(
        capsys, "evaluate", "--fixed-labels", tmp_path / "a.nrrd",
        "--warped-labels", tmp_path / "b.nrrd",
        "--fixed-points", tmp_path / "p.csv", "--moving-points", tmp_path / "q.csv",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found["dice"] == {"3": pytest.approx(0.9)}
    assert found["hd95_mm"]["3"] == pytest.approx(labels.grid.spacing[0])
    assert found["tre_mm"] == {"mean": 5, "median": 5, "p95": 5, "max": 5, "n": 5}
    assert "jacobian" not in found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to measure"),
        (("fixed_labels",), "only one of --fixed-labels and --warped-labels"),
        (("moving_points",), "only one of --fixed-points and --moving-points"),
    ],
)
def test_evaluate_needs_pairs(options, words, files, capsys):
    given = [w for n in options for w in (f"--{n.replace('_', '-')}", getattr(files, n))]
    assert words in refused(capsys, "evaluate", *given)


def test_warped_labels_cut_to_what_is_drawn_are_measured_on_the_whole_grid(
    files, result, tmp_path, capsys
):
    warped = sitk.ReadImage(str(result / "warped_labels.nii.gz"))
    shown = np.argwhere(sitk.GetArrayFromImage(warped))
    low, high = shown.min(0)[::-1].tolist(), shown.max(0)[::-1].tolist()
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    sitk.WriteImage(warped[box], str(tmp_path / "cut.nrrd"))
    words = ("evaluate", "--transform", result / "transform.h5", "--fixed-labels")
    whole, cut = (
        json.loads(run(capsys, *words, files.fixed_labels, "--warped-labels", labels)[1])
        for labels in (result / "warped_labels.nii.gz", tmp_path / "cut.nrrd")
    )
    assert cut == whole


def test_where_a_field_ends_nothing_folds(files, tmp_path, capsys):
    """A shift by 12 mm, given on a part of the labels' grid, after a small linear shift."""
    labels = read_labels(files.fixed_labels)
    whole = labels.grid
    part = Grid(tuple(n - 8 for n in whole.shape), whole.ijk_to_ras @ shifted(np.eye(4), 4))
    vectors = np.zeros((*part.shape, 3))
    vectors[..., 0] = 12.0
    field = sitk.DisplacementFieldTransform(array_to_sitk(vectors, part))
    first = sitk.TranslationTransform(3, (0.1, 0.0, 0.0))
    sitk.WriteTransform(sitk.CompositeTransform([field, first]), str(tmp_path / "part.h5"))
    words = ["evaluate", "--fixed-labels", files.fixed_labels]
    words += ["--warped-labels", files.fixed_labels, "--transform", tmp_path / "part.h5"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    found = json.loads(out)
    assert found["folds_fraction"] == 0
    assert found["jacobian"]["min"] == pytest.approx(1, abs=1e-5)
    assert found["jacobian"]["max"] == pytest.approx(1, abs=1e-5)
    assert found["covered_fraction"] == pytest.approx(part.voxels / whole.voxels, rel=0.1)
    far = sitk.DisplacementFieldTransform(
        array_to_sitk(vectors, Grid(part.shape, shifted(part.ijk_to_ras, 900)))
    )
    sitk.WriteTransform(far, str(tmp_path / "far.h5"))
    words[-1] = tmp_path / "far.h5"
    assert "which is defined nowhere on the labels" in refused(capsys, *words)


def test_fields_with_sheared_axes_are_measured_too(files, tmp_path, capsys):
    grid = read_labels(files.fixed_labels).grid
    vectors = array_to_sitk(np.zeros((*grid.shape, 3)), grid)
    skewed = np.reshape(vectors.GetDirection(), (3, 3)) + [[0, 0.02, 0], [0, 0, 0], [0, 0, 0]]
    vectors.SetDirection(skewed.ravel().tolist())
    sitk.WriteTransform(sitk.DisplacementFieldTransform(vectors), str(tmp_path / "skewed.h5"))
    words = ["evaluate", "--fixed-labels", files.fixed_labels, "--warped-labels"]
    code, out, _ = run(capsys, *words, files.fixed_labels, "--transform", tmp_path / "skewed.h5")
    assert code == 0 and json.loads(out)["folds_fraction"] == 0


def test_a_transform_that_covers_everything_costs_no_field(files, monkeypatch):
    grid = read_labels(files.fixed_labels).grid
    whole = sitk.DisplacementFieldTransform(array_to_sitk(np.zeros((*grid.shape, 3)), grid))
    monkeypatch.setattr(transforms, "transform_displacement", None)
    turned = sitk.CompositeTransform([whole, sitk.TranslationTransform(3, (0.01, 0, 0))])
    assert covered(whole, grid).all() and covered(turned, grid).all()


def test_labels_that_cannot_be_told_apart_name_no_points(files, result, tmp_path, capsys):
    head = "# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n"
    where = ",".join(f"{x:.3f}" for x in CENTRE)
    rows = [f"{n},{where},0,0,0,1,1,1,0,{name},," for n, name in enumerate(('"odd', "even"))]
    (tmp_path / "p.fcsv").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    words = ["warp", "--transform", result / "transform.h5", "--points", tmp_path / "p.fcsv"]
    words += ["--reference", files.fixed, "--out", tmp_path / "q.csv"]
    assert run(capsys, *words)[0] == 0
    assert len(read_points(tmp_path / "q.csv")) == 2


def test_a_spline_is_defined_in_its_box(files):
    grid = read_labels(files.fixed_labels).grid
    image = array_to_sitk(np.zeros(grid.shape, np.float32), grid)
    spline = sitk.BSplineTransformInitializer(image, [4, 4, 4])
    assert covered(spline, grid).double().mean() > 0.9
    beside = Grid(grid.shape, shifted(grid.ijk_to_ras, 500))
    assert not covered(spline, beside).any()
    assert covered(sitk.Euler3DTransform(), beside).all()


def shifted(matrix: np.ndarray, step: float) -> np.ndarray:
    moved = matrix.copy()
    moved[:3, 3] += step
    return moved


def test_a_reference_is_only_a_grid(files, result, tmp_path, capsys):
    fixed = sitk.ReadImage(str(files.fixed))
    sitk.WriteImage(fixed * float("nan"), str(tmp_path / "empty.nrrd"))
    words = ("warp", "--transform", result / "transform.h5", "--image", files.moving, "--out")
    said = run(capsys, *words, tmp_path / "out.nrrd", "--reference", tmp_path / "empty.nrrd")
    assert said[0] == 0
    assert run(capsys, *words, tmp_path / "known.nrrd", "--reference", files.fixed)[0] == 0
    out, known = (read_image(tmp_path / f"{name}.nrrd").data for name in ("out", "known"))
    torch.testing.assert_close(out, known)


def test_evaluate_refuses_another_grid(files, capsys):
    line = refused(
        capsys, "evaluate", "--fixed-labels", files.fixed_labels,
        "--warped-labels", files.moving_labels,
    )  # fmt: skip
    assert "resample one of the label maps" in line


def test_tissues_can_be_named(files, tmp_path, capsys):
    both = ["--fixed-labels", files.fixed_labels, "--warped-labels", files.fixed_labels]
    found = json.loads(run(capsys, "evaluate", *both, "--tissues", "phantom")[1])
    assert found["dice"] == {"soft_tissue": 1, "lung": 1}
    points = ["--fixed-points", files.fixed_points, "--moving-points", files.moving_points]
    line = refused(capsys, "evaluate", *points, "--tissues", "phantom")
    assert "--tissues without labels" in line


def test_a_reference_is_not_replaced_by_what_is_warped(files, result, tmp_path, capsys):
    own = tmp_path / "fixed.nii.gz"
    own.write_bytes(files.fixed.read_bytes())
    words = ("warp", "--transform", result / "transform.h5", "--reference", own)
    line = refused(capsys, *words, "--image", files.moving, "--out", own, "--overwrite")
    assert "an input that the results would replace" in line
    assert own.read_bytes() == files.fixed.read_bytes()


def test_landmarks_keep_their_names(files, result, tmp_path, capsys):
    given, out = tmp_path / "given.mrk.json", tmp_path / "out.mrk.json"
    write_points(read_points(files.moving_points), given, ("apex", "base", "hilum", "carina"))
    assert run(capsys, *into_fixed(files, result), "--points", given, "--out", out)[0] == 0
    assert tuple(read_point_names(out)) == ("apex", "base", "hilum", "carina")

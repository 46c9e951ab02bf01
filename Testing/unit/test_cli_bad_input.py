"""Whatever is wrong with the input: exit code 2, one line, nothing written or overwritten."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib.cli import pair
from Testing.unit.cli_help import everything_in, refused
from Testing.unit.small_pair import PairOnDisk, write_pair

ENGINE = import_module("ElasticHyperRegLib.engine.answer")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def refusal(files, tmp_path, capsys, monkeypatch) -> Callable[..., str]:
    """The line with which ``register`` refuses options given in place of the good ones."""

    def attempt(**options: object) -> str:
        monkeypatch.setattr(
            ENGINE,
            "prepare",
            lambda request: pytest.fail("work began on a request at fault"),
        )
        given = {"fixed": files.fixed, "moving": files.moving, "out": tmp_path / "out", **options}
        words = [w for name, v in given.items() for w in (f"--{name.replace('_', '-')}", v)]
        before = everything_in(tmp_path)
        line = refused(capsys, "register", *words)
        assert everything_in(tmp_path) == before
        assert not (tmp_path / "out").exists()
        return line

    return attempt


def copy(array: np.ndarray, path: Path, like: Path) -> Path:
    image = sitk.GetImageFromArray(array)
    if array.ndim == 3:
        image.CopyInformation(sitk.ReadImage(str(like)))
    sitk.WriteImage(image, str(path))
    return path


def values(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)


def missing(files: PairOnDisk, folder: Path) -> Path:
    return folder / "nowhere.nii.gz"


def empty(files: PairOnDisk, folder: Path) -> Path:
    (folder / "empty.nii.gz").touch()
    return folder / "empty.nii.gz"


def truncated(files: PairOnDisk, folder: Path) -> Path:
    data = gzip.decompress(files.moving.read_bytes())
    (folder / "short.nii").write_bytes(data[: len(data) // 2])
    return folder / "short.nii"


def no_image(files: PairOnDisk, folder: Path) -> Path:
    (folder / "text.nii.gz").write_text("this is no image")
    return folder / "text.nii.gz"


def other_format(files: PairOnDisk, folder: Path) -> Path:
    (folder / "scan.jpg").write_bytes(b"\xff\xd8\xff")
    return folder / "scan.jpg"


def not_a_number(files: PairOnDisk, folder: Path) -> Path:
    array = values(files.moving)
    array[3, 3, 3] = np.nan
    return copy(array, folder / "nan.nrrd", files.moving)


def constant(files: PairOnDisk, folder: Path) -> Path:
    return copy(values(files.moving) * 0 + 7, folder / "flat.nrrd", files.moving)


def slice_only(files: PairOnDisk, folder: Path) -> Path:
    return copy(values(files.moving)[5], folder / "slice.nrrd", files.moving)


def series_of_volumes(files: PairOnDisk, folder: Path) -> Path:
    array = np.stack([values(files.moving)] * 2).astype(np.int16)
    nib.save(nib.Nifti1Image(array.T, np.eye(4)), folder / "4d.nii")
    return folder / "4d.nii"


def impossible_geometry(files: PairOnDisk, folder: Path) -> Path:
    matrix = np.diag([2.0, 2, 2, 1])
    matrix[0, 1] = 1.5
    nib.save(nib.Nifti1Image(values(files.moving), matrix), folder / "sheared.nii")
    return folder / "sheared.nii"


def folder_of_something(files: PairOnDisk, folder: Path) -> Path:
    (folder / "series").mkdir()
    (folder / "series" / "notes.txt").write_text("no slices")
    return folder / "series"


@pytest.mark.parametrize("side", ["fixed", "moving"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "nowhere.nii.gz does not exist; check the path."),
        (empty, "empty.nii.gz is empty"),
        (truncated, "short.nii is cut short"),
        (no_image, "text.nii.gz is damaged or cut short"),
        (other_format, "scan.jpg; expected a volume in NIfTI"),
        (not_a_number, "1 of 12000 voxels are NaN or infinite"),
        (constant, "every voxel is 7"),
        (slice_only, "a single slice; expected a 3D volume"),
        (series_of_volumes, "4D; expected a 3D volume"),
        (impossible_geometry, "sheared"),
        (folder_of_something, "holds no DICOM slices"),
    ],
)
def test_images_at_fault(side, make, words, files, tmp_path, refusal):
    assert words in refusal(**{side: make(files, tmp_path)})


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("elasticity", "0.7,0.5", "λ and μ in [0, 1] with λ + μ ≤ 1"),
        ("elasticity", "-0.1,0.5", "λ=-0.1"),
        ("elasticity", "stiff", "--elasticity 'stiff'; expected λ,μ as in 0.1,0.3"),
        ("elasticity", "lung=0.1,0.2", "for lung without fixed labels"),
        ("elasticity_file", "none.json", "none.json does not exist"),
        ("model", "elas-g", "no model elas-g; expected a folder with a card.json, or one of: "),
        ("device", "gpu", "the device 'gpu'; expected auto, cpu or cuda"),
        ("initial", "bspline", "'bspline'; expected none, translation, rigid, affine or a tr"),
        ("refine", "-3", "-3 iterations"),
        ("refine", "many", "Invalid value for '--refine'"),
        ("seed", "-1", "the seed -1"),
        ("tissues", "thorax-ish", "tissue scheme"),
        ("speed", "9", "No such option: --speed"),
    ],
)
def test_options_at_fault(option, value, words, refusal):
    assert words in refusal(**{option: value})


def test_cuda_where_there_is_none(refusal, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "'cuda', but PyTorch sees no CUDA GPU" in refusal(device="cuda")


def test_unknown_tissues(files, refusal):
    line = refusal(fixed_labels=files.fixed_labels, elasticity="lung=0.1,0.2")
    assert "for lung; expected tissues of fixed_labels.nrrd: 1, 2, background" in line


def test_a_scheme_without_labels(refusal):
    assert "a tissue scheme without labels" in refusal(tissues="thorax-ct")


@pytest.mark.parametrize("kind", ["labels", "mask"])
def test_labels_of_the_other_scan(kind, files, refusal):
    line = refusal(**{f"fixed_{kind}": files.moving_labels})
    assert f"fixed {kind} moving_labels.nrrd on a grid of 25×24×20 voxels" in line
    assert "expected the grid of fixed.nii.gz, 24×22×18 voxels" in line


def test_labels_whose_axes_were_lost_are_told_from_those_of_their_image(files, tmp_path, refusal):
    turned = sitk.ReadImage(str(files.fixed_labels))
    turned.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(turned, str(tmp_path / "turned.nrrd"))
    line = refusal(fixed_labels=tmp_path / "turned.nrrd")
    given, expected = line.split("; expected ")
    assert "with axes along (1, 0, 0), (0, -1, 0), (0, 0, 1)" in given
    assert "with axes along" in expected


@pytest.mark.parametrize("option", ["fixed", "fixed_labels", "initial", "out"])
def test_an_unset_variable_is_no_folder(option, refusal):
    assert f"nothing for --{option.replace('_', '-')}; expected a value" in refusal(**{option: ""})


def test_a_folder_from_within_is_read_as_from_without(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, "register", "--fixed", ".", "--moving", ".", "--out", "result")
    assert "fault of this program" not in line


def test_an_unknown_similarity(refusal):
    assert "the similarity 'mi'; expected auto, ncc, mind" in refusal(similarity="mi")


def test_more_iterations_than_anybody_waits_for(refusal):
    assert "iterations; expected 0 to 1000000" in refusal(refine=10**20)


def test_labels_that_are_none(files, tmp_path, refusal):
    assert "values from -1000" in refusal(fixed_labels=files.fixed)
    halves = copy(values(files.fixed_labels) / 2, tmp_path / "halves.nrrd", files.fixed_labels)
    assert "no whole numbers" in refusal(moving_labels=halves)
    nothing = copy(values(files.fixed_labels) * 0, tmp_path / "zero.nrrd", files.fixed_labels)
    assert "no labelled voxel" in refusal(fixed_mask=nothing)


def test_landmarks_at_fault(files, tmp_path, refusal):
    assert "4 fixed and 0 moving landmarks" in refusal(fixed_points=files.fixed_points)
    points = tmp_path / "points.csv"
    points.write_text("R,A,S\n1,2,3\n")
    pairs = {"fixed_points": files.fixed_points, "moving_points": points}
    assert "4 fixed and 1 moving landmarks" in refusal(**pairs)
    points.write_text("x;y;z\n1;2;3\n")
    assert "points.csv" in refusal(**pairs)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.tfm", "no transform", "a.tfm is not a transform"),
        ("a.h5", "no transform", "a.h5 is not an HDF5 file"),
    ],
)
def test_initial_transforms_at_fault(name, text, words, tmp_path, refusal):
    (tmp_path / name).write_text(text)
    assert words in refusal(initial=tmp_path / name)


def test_a_deforming_transform_is_no_initial_alignment(tmp_path, refusal):
    field = sitk.Image(4, 4, 4, sitk.sitkVectorFloat64)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(field), str(tmp_path / "field.h5"))
    assert "deforms" in refusal(initial=tmp_path / "field.h5")


def test_a_command_that_does_not_exist(capsys):
    line = refused(capsys, "regsiter", "--fixed", "a")
    assert "No such command 'regsiter'" in line


def test_required_options(capsys):
    line = refused(capsys, "register", "--fixed", "a")
    assert "Missing option '--moving'; see elastic-hyperreg register --help." in line


def test_a_disk_that_fills_leaves_nothing(files, tmp_path, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pair, "write_result", full)
    monkeypatch.setattr(pair, "register", lambda request, progress: None)
    monkeypatch.setattr(pair, "with_earlier", lambda *given: None)
    words = ["--fixed", files.fixed, "--moving", files.moving, "--out", tmp_path / "out"]
    assert "no space left" in refused(capsys, "register", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("--moving", "warped.nii.gz"),
        ("--fixed-labels", "warped_labels.nii.gz"),
        ("--initial", "transform.h5"),
        ("--elasticity-file", "../out/estimate.json"),
    ],
)
def test_inputs_are_not_replaced_by_results(files, tmp_path, capsys, kind, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"everywhere": [0.1, 0.2]}', encoding="utf-8")
    given = {"--fixed": files.fixed, "--moving": files.moving, kind: out / name, "--out": out}
    words = [word for option in given.items() for word in option]
    before = everything_in(tmp_path)
    line = refused(capsys, "register", *words, "--overwrite")
    assert "an input that the results would replace" in line
    assert everything_in(tmp_path) == before

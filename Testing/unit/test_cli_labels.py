"""Labels as clinics have them, given to the commands as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap, RegistrationOptions
from ElasticHyperRegLib.cli.labels import read_any_labels
from ElasticHyperRegLib.cli.pair import PairFiles, read_request
from ElasticHyperRegLib.cli.settings import Settings
from ElasticHyperRegLib.estimation.evidence import Evidence
from ElasticHyperRegLib.estimation.place import Place
from ElasticHyperRegLib.io import write_image, write_labels
from ElasticHyperRegLib.tissues import on_voxels_of
from Testing.unit.cli_help import refused, run
from Testing.unit.dicom_objects import rectangle, structure_set, write_seg

SHAPE = (8, 20, 24)
ORGAN = (slice(1, 7), slice(3, 15), slice(4, 18))
LESION = (slice(3, 5), slice(6, 9), slice(8, 12))


@pytest.fixture
def grid(oblique_grid) -> Grid:
    return oblique_grid(SHAPE, (2.0, 1.5, 3.0), 20.0)


def drawn(grid: Grid, organ: int = 1, lesion: int = 2) -> LabelMap:
    values = np.zeros(SHAPE, np.int32)
    values[ORGAN], values[LESION] = organ, lesion
    data = torch.from_numpy(values)[None, None]
    return LabelMap(data, grid, {organ: "organ", lesion: "lesion"}, "drawn")


def part_of(labels: LabelMap) -> LabelMap:
    """Cut to slices 1 to 6, which are counted from the other end, as another program may."""
    matrix = labels.grid.ijk_to_ras.copy()
    matrix[:, 3] += 6 * matrix[:, 2]
    matrix[:, 2] *= -1
    data = labels.data[:, :, 1:7].flip(2)
    return LabelMap(data, Grid(tuple(data.shape[2:]), matrix), labels.names, "part")


@pytest.fixture
def scan(tmp_path, grid) -> Path:
    data = torch.arange(int(np.prod(SHAPE))).reshape(1, 1, *SHAPE).float()
    write_image(Image(data, grid, "scan", "int16"), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def any_labels(tmp_path, grid) -> dict[str, Path]:
    """The organ, in the formats that labels come in, by suffix."""
    whole = np.zeros(SHAPE, bool)
    whole[ORGAN] = True
    write_seg(tmp_path / "seg.dcm", grid, {"organ": whole})
    outlines = [rectangle((4, 3), (17, 14), k) for k in range(1, 7)]
    structures = structure_set(grid, {"organ": outlines})
    structures.save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    labels = LabelMap(torch.from_numpy(whole.astype(np.int32))[None, None], grid, {1: "organ"})
    write_labels(part_of(labels), tmp_path / "part.seg.nrrd")
    return {
        "SEG": tmp_path / "seg.dcm",
        "RT": tmp_path / "rt.dcm",
        "part": tmp_path / "part.seg.nrrd",
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["SEG", "RT", "part"])
def test_a_pair_may_have_labels_of_any_format(scan, any_labels, grid, kind):
    file = any_labels[kind]
    files = PairFiles(scan, scan, file, file, file, file)
    request = read_request(files, RegistrationOptions(), Settings())
    for labels in ("fixed_labels", "moving_labels", "fixed_mask", "moving_mask"):
        found = getattr(request, labels)
        assert found.grid.same_as(grid)
        assert found.names == {1: "organ"}
        assert torch.equal(found.data > 0, drawn(grid).data > 0)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["SEG", "RT", "part"])
def test_evaluate_matches_labels_of_any_format_by_their_names(
    tmp_path, any_labels, grid, capsys, kind
):
    warped = LabelMap(5 * (drawn(grid).data > 0).int(), grid, {5: "organ"})
    write_labels(warped, tmp_path / "warped.nii.gz")
    code, out, err = run(
        capsys, "evaluate", "--fixed-labels", any_labels[kind],
        "--warped-labels", tmp_path / "warped.nii.gz",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert json.loads(out)["dice"] == {"organ": 1}


def test_evaluate_refuses_labels_that_have_nothing_in_common(tmp_path, grid, capsys):
    for name, label in (("fixed", 1), ("warped", 5)):
        write_labels(
            LabelMap(label * (drawn(grid).data > 0).int(), grid), tmp_path / f"{name}.nrrd"
        )
    code, _, err = run(
        capsys, "evaluate", "--fixed-labels", tmp_path / "fixed.nrrd",
        "--warped-labels", tmp_path / "warped.nrrd",
    )  # fmt: skip
    assert (code, "without a common tissue (1; 5)" in err) == (2, True)


def test_the_only_object_of_a_folder_is_read(tmp_path, grid, capsys):
    inner = rectangle((4, 3), (17, 14), 2)
    (tmp_path / "rt").mkdir()
    structure_set(grid, {"organ": [inner]}).save_as(
        tmp_path / "rt" / "1.dcm", enforce_file_format=True
    )
    assert read_any_labels(tmp_path / "rt", grid).names == {1: "organ"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_was_resolved_is_told(tmp_path, scan, grid, capsys):
    organ, lesion = np.zeros((2, *SHAPE), bool)
    organ[ORGAN], lesion[LESION] = True, True
    write_seg(tmp_path / "two.dcm", grid, {"organ": organ, "lesion": lesion})
    files = PairFiles(scan, scan, fixed_labels=tmp_path / "two.dcm")
    found = read_request(files, RegistrationOptions(), Settings()).fixed_labels
    assert found is not None
    assert torch.equal(found.data, drawn(grid).data)
    said = capsys.readouterr().err
    assert said == (
        f"elastic-hyperreg: two.dcm: organ gave {lesion.sum()} of {organ.sum()} voxels to smaller "
        "ones over it.\n"
    )


def test_warp_names_the_way_to_a_label_map(tmp_path, scan, any_labels, capsys):
    sitk.WriteTransform(sitk.TranslationTransform(3), str(tmp_path / "rest.tfm"))
    words = ("warp", "--transform", tmp_path / "rest.tfm", "--reference", scan, "--labels")
    line = refused(capsys, *words, any_labels["RT"], "--out", tmp_path / "warped.nii.gz")
    assert "outlines without a scan" in line
    assert "segment --labels" in line


def test_only_labels_on_the_very_voxels_are_put_onto_a_grid(grid):
    labels = drawn(grid)
    assert torch.equal(on_voxels_of(grid, part_of(labels)).data, labels.data)
    beside = grid.ijk_to_ras.copy()
    beside[:3, 3] += 0.4 * beside[:3, 0]
    coarse = grid.ijk_to_ras.copy()
    coarse[:, :3] *= 2
    apart = grid.ijk_to_ras.copy()
    apart[:3, 3] += 10 * apart[:3, 0]
    for matrix in (beside, coarse, apart):
        other = LabelMap(labels.data, Grid(SHAPE, matrix), labels.names)
        assert on_voxels_of(grid, other) is other


def test_two_programs_may_number_tissues_differently(grid):
    """A lesion that is 2 here and 1 there is the same lesion, for the estimate too."""
    fixed, moving = drawn(grid), drawn(grid, organ=2, lesion=1)
    image = Image(torch.rand(1, 1, *SHAPE), grid)
    evidence = Evidence(image, image, fixed, moving)
    place = Place(grid, evidence, torch.device("cpu"))
    assert place.names == ("organ", "lesion")
    assert torch.equal(place.moving_numbers(moving.data), place.numbers)


def test_labels_of_another_scan_are_refused(tmp_path, scan, grid):
    far = grid.ijk_to_ras.copy()
    far[:3, 3] += 500
    write_labels(LabelMap(drawn(grid).data, Grid(SHAPE, far)), tmp_path / "far.nii.gz")
    files = PairFiles(scan, scan, fixed_labels=tmp_path / "far.nii.gz")
    found = read_request(files, RegistrationOptions(), Settings()).fixed_labels
    assert found is not None
    assert not found.grid.same_as(grid)  # and so the engine refuses them
    with pytest.raises(InputError, match="no_such"):
        read_request(PairFiles(scan, scan, tmp_path / "no_such"), RegistrationOptions(), Settings())

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, InputError
from ElasticHyperRegLib.alignment import enlargement
from ElasticHyperRegLib.engine.prepare import RIM_MM, dilated
from training.data import open_source

from .layouts import blob, learn2reg, write_description, write_raw, write_volume

RNG = np.random.default_rng(0)


def pairs_of(*numbers: str) -> list[tuple[str, str]]:
    return [(f"{number}_0000", f"{number}_0001") for number in numbers]


def test_training_leaves_out_whoever_is_validated_on(tmp_path: Path) -> None:
    """The published table of NLST lists its validation pairs, one misspelt, in training too."""
    published = {
        "train": pairs_of("0001", "0002", "0102", "00101"),
        "val": pairs_of("0101", "0102"),
    }
    root = learn2reg(tmp_path, "NLST", published)
    train, val = (open_source("nlst", root, split) for split in ("train", "val"))
    assert train.patients == ("NLST 1", "NLST 2")
    assert val.patients == ("NLST 101", "NLST 102")
    assert (len(train), len(val)) == (2, 2)
    with pytest.raises(InputError, match="no pair in the split 'test'"):
        open_source("nlst", root, "test")


def test_pair_has_images_masks_and_points_in_voxels(tmp_path: Path) -> None:
    published = {"train": pairs_of("0004"), "val": pairs_of("0001")}
    learn2reg(tmp_path / "LungCT", "LungCT", published)
    source = open_source("lungct", tmp_path, "val")
    sample = source.sample(0, RNG)
    assert source.shape == (10, 12, 14)
    assert source.spacing == pytest.approx((1.5, 1.5, 1.5))
    expected = torch.from_numpy((blob() + 1000) / 1600)
    torch.testing.assert_close(sample.fixed[0], expected.clamp(0, 1), atol=1e-3, rtol=0)
    assert sample.fixed_mask is not None and sample.moving_mask is not None
    for mask, shift in ((sample.fixed_mask, 0), (sample.moving_mask, 1)):
        lung = torch.from_numpy(blob(shift=shift) > -500)[None, None]
        grid = Grid.from_spacing((10, 12, 14), (1.5, 1.5, 1.5))
        assert torch.equal(mask[None], dilated(lung, grid, RIM_MM / enlargement(grid)))
    everywhere = open_source("lungct", tmp_path, "val", {"masks": "none"}).sample(0, RNG)
    assert everywhere.fixed_mask is None and everywhere.moving_mask is None
    with pytest.raises(InputError, match="masks is 'lung'; expected published or none"):
        open_source("lungct", tmp_path, "val", {"masks": "lung"})
    assert sample.fixed_points is not None and sample.moving_points is not None
    fixed = torch.tensor([[5.0, 6, 5], [7, 6, 5], [9, 6, 5]])
    torch.testing.assert_close(sample.fixed_points, fixed)
    torch.testing.assert_close(sample.moving_points - fixed, torch.tensor([[1.0, 0, 0]] * 3))
    assert sample.fixed_labels is None
    assert source.label_names == {}


def test_manual_landmarks_are_preferred_to_key_points(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "LungCT", {"val": pairs_of("0001")})
    (root / "landmarksTr").mkdir()
    for case in ("0000", "0001"):
        (root / f"landmarksTr/LungCT_0001_{case}.csv").write_text("1,2,3\n")
    sample = open_source("lungct", root, "val").sample(0, RNG)
    assert sample.fixed_points is not None
    assert sample.fixed_points.tolist() == [[1, 2, 3]]


def test_points_follow_a_coarser_lattice(tmp_path: Path) -> None:
    """A voxel of 3 mm holds two of 1.5: index i becomes (i − ½) / 2."""
    root = learn2reg(tmp_path, "NLST", {"val": pairs_of("0101")})
    source = open_source("nlst", root, "val", {"spacing_mm": 3.0})
    sample = source.sample(0, RNG)
    assert source.shape == (5, 6, 7)
    assert sample.fixed.shape == (1, 5, 6, 7)
    assert source.spacing == pytest.approx((3, 3, 3))
    assert sample.fixed_points is not None
    expected = (torch.tensor([[5.0, 6, 5], [7, 6, 5], [9, 6, 5]]) - 0.5) / 2
    torch.testing.assert_close(sample.fixed_points, expected)


def test_totalsegmentator_labels_become_the_published_tissues(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "LungCT", {"train": pairs_of("0004")})
    labels = np.zeros((10, 12, 14), np.int16)
    labels[2:4], labels[5], labels[7], labels[8] = 10, 27, 5, 90  # lobe, vertebra, liver, brain
    for case in ("0000", "0001"):
        write_volume(root / f"labelsTr/LungCT_0004_{case}.nii.gz", labels, (1.5,) * 3)
    source = open_source("lungct", root, "train", {"labels": "totalsegmentator"})
    sample = source.sample(0, RNG)
    names = source.label_names
    assert names == {0: "background", 1: "lung", 2: "bone", 3: "liver"}
    assert sample.fixed_labels is not None
    columns = sample.fixed_labels[0, :, 0, 0]
    found = [names[int(value)] for value in columns]
    assert found[2:9] == ["lung", "lung", "background", "bone", "background", "liver", "background"]


def oasis(root: Path) -> Path:
    """Four single scans, the last two of them validated on."""
    for number in range(1, 5):
        labels = np.zeros((8, 9, 10), np.int16)
        labels[2:6, 2:6, 2:6] = number
        name = f"OASIS_{number:04d}_0000.nii.gz"
        write_volume(root / "imagesTr" / name, labels + 0.5 + blob((8, 9, 10)) / 1e4, (1.0,) * 3)
        write_volume(root / "labelsTr" / name, labels, (1.0,) * 3)
        write_volume(root / "masksTr" / name, (labels > 0).astype(np.int16), (1.0,) * 3)
    cases = [f"{number:04d}_0000" for number in range(1, 5)]
    table = {"singles": [(cases[0], cases[1]), (cases[2], cases[3])], "val": [(cases[2], cases[3])]}
    write_description(root, "OASIS", table, ["image", "label", "mask"])
    return root


def test_oasis_trains_on_random_pairs_of_the_others(tmp_path: Path) -> None:
    source = open_source("oasis", oasis(tmp_path), "train")
    assert source.patients == ("OASIS 1", "OASIS 2")
    assert source.label_names == {0: "background", 1: "1", 2: "2"}
    for index, patient in ((0, "OASIS 1 OASIS 2"), (1, "OASIS 2 OASIS 1")):
        sample = source.sample(index, np.random.default_rng(index))
        assert sample.patient == patient
        assert sample.fixed_labels is not None and sample.moving_labels is not None
        assert int(sample.fixed_labels.max()) == index + 1
        assert int(sample.moving_labels.max()) == 2 - index


def test_oasis_validates_on_the_published_pairs(tmp_path: Path) -> None:
    source = open_source("oasis", oasis(tmp_path), "val")
    sample = source.sample(0, RNG)
    assert len(source) == 1
    assert sample.patient == "OASIS 3 OASIS 4"
    assert sample.moving_labels is not None
    assert int(sample.moving_labels.max()) == 4


def test_held_back_masks_of_the_test_split_are_none(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "LungCT", {"test": pairs_of("0021")})
    for path in (*(root / "masksTr").iterdir(), *(root / "keypointsTr").iterdir()):
        path.unlink()
    sample = open_source("lungct", root, "test").sample(0, RNG)
    assert sample.fixed_mask is None
    assert sample.fixed_points is None


def spoiled(root: Path, fault: str) -> Path:
    """What of the pair of patient 2 in NLST is at fault."""
    image = root / "imagesTr/NLST_0002_0001.nii.gz"
    mask = root / "masksTr/NLST_0002_0001.nii.gz"
    points = root / "keypointsTr/NLST_0002_0001.csv"
    if fault == "missing":
        image.unlink()
    elif fault == "no mask":
        mask.unlink()
    elif fault == "spacing":
        for path in (image, mask):
            write_volume(path, (blob() > 0).astype(np.int16), (1.5, 1.5, 2.5))
    elif fault == "mask spacing":
        write_volume(mask, (blob() > 0).astype(np.int16), (1.5, 1.5, 2.5))
    elif fault == "nan":
        write_raw(image, np.where(blob() > 0, np.nan, blob()), (1.5,) * 3)
    elif fault == "points":
        points.write_text("1,2\n")
    elif fault == "words":
        points.write_text("x,y,z\n1,2,3\n")
    elif fault == "json":
        (root / "NLST_dataset.json").write_text("{}")
    return {
        "no mask": mask,
        "mask spacing": mask,
        "points": points,
        "words": points,
        "json": root / "NLST_dataset.json",
    }.get(fault, image)


@pytest.mark.parametrize(
    "fault",
    ["missing", "no mask", "spacing", "mask spacing", "nan", "points", "words", "json"],
)
def test_fault_is_one_line_that_names_the_file(tmp_path: Path, fault: str) -> None:
    root = learn2reg(tmp_path, "NLST", {"train": pairs_of("0001", "0002")})
    path = spoiled(root, fault)
    with pytest.raises(InputError) as caught:
        open_source("nlst", root, "train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mask_where_the_scanner_saw_nothing_is_refused(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "NLST", {"train": pairs_of("0001")})
    image = root / "imagesTr/NLST_0001_0001.nii.gz"
    padded, unseen = blob(), np.zeros_like(blob(), dtype=np.int16)
    padded[..., :7], unseen[..., 0] = -2048.0, 1
    write_volume(image, padded, (1.5,) * 3)
    write_volume(root / "masksTr" / image.name, unseen, (1.5,) * 3)
    with pytest.raises(InputError, match=f"outside the field of view of .*{image.name}"):
        open_source("nlst", root, "train")


def test_landmarks_must_come_in_pairs(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "NLST", {"train": pairs_of("0001")})
    (root / "keypointsTr/NLST_0001_0001.csv").write_text("1,2,3\n")
    with pytest.raises(InputError, match="NLST_0001_0000.nii.gz: 3 fixed and 1 moving"):
        open_source("nlst", root, "train")


def test_patient_validated_and_tested_on_is_refused(tmp_path: Path) -> None:
    root = learn2reg(tmp_path, "LungCT", {"val": pairs_of("0001"), "test": pairs_of("0001")})
    with pytest.raises(InputError, match="LungCT 1 stands in registration_val"):
        open_source("lungct", root, "val")


def test_folder_without_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"OASIS_dataset\.json does not exist"):
        open_source("oasis", tmp_path, "train")

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, InputError, LabelMap
from ElasticHyperRegLib.metrics import dice, mean_dice
from training.config import DataConfig
from training.data import open_source, refuse_shared_patients
from training.data.acdc import AcdcSource
from training.data.prepare import min_max, window

from .layouts import acdc, add_acdc_patient, heart, scan, write_raw, write_volume

RNG = np.random.default_rng(0)


def test_splits_are_those_published(tmp_path: Path) -> None:
    root = acdc(tmp_path)
    found = {split: open_source("acdc", root, split).patients for split in ("train", "val", "test")}
    assert found == {
        "train": ("patient001", "patient002"),
        "val": ("patient101",),
        "test": ("patient121",),
    }


def test_middle_slice_is_prepared_as_published(tmp_path: Path) -> None:
    """At 1.8 mm nothing is resampled, so the slice can be cut out by hand."""
    source = open_source("acdc", acdc(tmp_path), "val", {"slices": "middle"})
    sample = source.sample(0, RNG)
    labels = heart(radius=9.0)
    rows, columns = (np.flatnonzero(labels.any(axis=(0, axis))) for axis in (2, 1))
    centre = ((rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2)
    expected = np.zeros((128, 128), np.float32)
    corner = 64 - centre[0], 64 - centre[1]
    here = (slice(corner[0], corner[0] + 40), slice(corner[1], corner[1] + 44))
    expected[here] = scan(labels, 1 + 101)[2]
    expected /= expected.max()
    assert len(source) == 1
    assert sample.fixed.shape == (1, *source.shape) == (1, 128, 128)
    assert sample.fixed.dtype == torch.float32
    assert sample.fixed_labels is not None
    assert sample.fixed_labels.dtype == torch.int64
    np.testing.assert_allclose(sample.fixed[0].numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(sample.fixed_labels[0].numpy()[here], labels[2])


def test_fixed_is_end_diastole_by_info_not_by_number(tmp_path: Path) -> None:
    root = acdc(tmp_path)
    before = open_source("acdc", root, "val").sample(0, RNG)
    (root / "testing/patient101/Info.cfg").write_text("ED: 7\nES: 1\n")
    after = open_source("acdc", root, "val").sample(0, RNG)

    def cavity(labels: torch.Tensor | None) -> int:
        assert labels is not None
        return int(labels.eq(3).sum())

    assert cavity(before.fixed_labels) == cavity(after.moving_labels)
    assert cavity(before.fixed_labels) > cavity(after.fixed_labels)


def test_all_slices_show_every_label_in_both_frames(tmp_path: Path) -> None:
    root = acdc(tmp_path)
    labels = heart(radius=7.0)
    labels[1][labels[1] == 1] = 0
    write_volume(root / "training/patient002/patient002_frame07_gt.nii.gz", labels)
    source = open_source("acdc", root, "train", {"slices": "all"})
    samples = [source.sample(i, RNG) for i in range(len(source))]
    assert [s.patient for s in samples] == ["patient001"] * 3 + ["patient002"] * 2
    for sample in samples:
        for found in (sample.fixed_labels, sample.moving_labels):
            assert found is not None
            assert found.unique().tolist() == [0, 1, 2, 3]
        assert (float(sample.fixed.min()), float(sample.fixed.max())) == (0, 1)


def test_voxels_become_cubes_of_1_8_mm(tmp_path: Path) -> None:
    root = tmp_path
    folder = add_acdc_patient(root, "training", 1)
    for path in folder.glob("*.nii.gz"):
        frame = 9.0 if "frame01" in path.name else 7.0
        values = heart(radius=frame)
        write_volume(path, values if "_gt" in path.name else scan(values), (1.2, 1.2, 9.0))
    source = open_source("acdc", root, "train", {"slices": "all"})
    labels = source.sample(0, RNG).fixed_labels
    assert labels is not None
    assert len(source) == 15  # three slices of 9 mm
    found = int((labels == 2).sum() + (labels == 3).sum()) * 1.8**2
    assert found == pytest.approx(np.pi * (9 * 1.2) ** 2, rel=0.1)


def _no_patient(root: Path) -> Path:
    for path in sorted((root / "testing").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    return root / "testing"


def _no_label(root: Path) -> Path:
    path = root / "testing/patient101/patient101_frame07_gt.nii.gz"
    path.unlink()
    return path


def _no_es(root: Path) -> Path:
    path = root / "testing/patient101/Info.cfg"
    path.write_text("ED: 1\nGroup: NOR\n")
    return path


def _no_es_frame(root: Path) -> Path:
    path = root / "testing/patient101/Info.cfg"
    path.write_text("ED: 1\nES: 8\n")
    return path.with_name("patient101_frame08.nii.gz")


def _wrong_spacing(root: Path) -> Path:
    path = root / "testing/patient101/patient101_frame07.nii.gz"
    write_volume(path, scan(heart(radius=7.0)), (1.0, 1.0, 1.0))
    return path.with_name("patient101_frame07_gt.nii.gz")


def _wrong_spacing_everywhere(root: Path) -> Path:
    for path in (root / "testing/patient101").glob("*.nii.gz"):
        values = heart(radius=7.0)
        write_volume(path, values if "_gt" in path.name else scan(values), (15.0, 15.0, 1.8))
    return root / "testing/patient101/patient101_frame01.nii.gz"


def _spacing_lost(root: Path) -> Path:
    for path in (root / "testing/patient101").glob("*.nii.gz"):
        values = heart(radius=7.0)
        write_volume(path, values if "_gt" in path.name else scan(values), (0.5, 0.5, 1.0))
    return root / "testing/patient101/patient101_frame01.nii.gz"


def _header_lost(root: Path) -> Path:
    for path in (root / "testing/patient101").glob("*.nii.gz"):
        values = heart(radius=9.0)
        write_volume(path, values if "_gt" in path.name else scan(values), (1.0, 1.0, 1.0))
    return root / "testing/patient101/patient101_frame01.nii.gz"


def _nan(root: Path) -> Path:
    values = scan(heart())
    values[2, 3, 4] = np.nan
    return write_raw(root / "testing/patient101/patient101_frame01.nii.gz", values)


def _no_right_ventricle(root: Path) -> Path:
    labels = heart()
    labels[labels == 1] = 0
    return write_volume(root / "testing/patient101/patient101_frame01_gt.nii.gz", labels)


FAULTS = (
    _no_patient,
    _no_label,
    _no_es,
    _no_es_frame,
    _wrong_spacing,
    _wrong_spacing_everywhere,
    _spacing_lost,
    _header_lost,
    _nan,
    _no_right_ventricle,
)


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_fault_is_one_line_that_names_the_file(
    tmp_path: Path, spoil: Callable[[Path], Path]
) -> None:
    path = spoil(acdc(tmp_path))
    with pytest.raises(InputError) as caught:
        open_source("acdc", tmp_path, "val")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patient_in_both_folders_is_refused(tmp_path: Path) -> None:
    add_acdc_patient(acdc(tmp_path), "testing", 1)
    with pytest.raises(InputError, match=r"patient001 stands in .*training and in .*testing"):
        open_source("acdc", tmp_path, "train")


def test_one_split_cannot_train_and_validate() -> None:
    with pytest.raises(InputError, match="'train' both to train on and to validate on"):
        DataConfig("acdc", "train", "train", "patients", "none")


def test_patient_of_two_sources_is_refused() -> None:
    refuse_shared_patients({"train": ("a", "b", "a"), "val": ("c",)})
    with pytest.raises(InputError, match="b stands in train and in val"):
        refuse_shared_patients({"train": ("a", "b"), "val": ("b",)})


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    root = acdc(tmp_path)
    for name, split, options in (
        ("acdx", "val", {}),
        ("acdc", "holdout", {}),
        ("acdc", "val", {"slice": "all"}),
        ("acdc", "val", {"slices": "some"}),
    ):
        with pytest.raises(InputError):
            open_source(name, root, split, options)
    with pytest.raises(InputError, match="does not exist"):
        open_source("acdc", tmp_path / "elsewhere", "val")


def test_window_pads_and_cuts() -> None:
    stack = np.arange(1, 13).reshape(1, 3, 4)
    np.testing.assert_array_equal(window(stack, (1, 2), 2), [[[2, 3], [6, 7]]])
    padded = window(stack, (1, 2), 8)
    assert padded.sum() == stack.sum()
    np.testing.assert_array_equal(padded[0, 3:6, 2:6], stack[0])


def test_flat_slice_becomes_zero() -> None:
    stack = np.stack([np.full((2, 2), 7.0), np.array([[1.0, 2], [3, 5]])])
    expected = np.array([[[0, 0], [0, 0]], [[0, 0.25], [0.5, 1]]])
    np.testing.assert_allclose(min_max(stack), expected)


@pytest.mark.slow
@pytest.mark.shared_data
def test_unregistered_dice_of_the_validation_patients(shared_data: Path) -> None:
    """.623 is what the published preparation gives on these twenty."""
    source = open_source("acdc", shared_data / "acdc", "val", {"slices": "middle"})
    grid = Grid.from_spacing(source.shape, source.spacing)
    scores = []
    for index in range(len(source)):
        sample = source.sample(index, RNG)
        assert sample.fixed_labels is not None and sample.moving_labels is not None
        fixed, moving = (
            LabelMap(labels[None].int(), grid)
            for labels in (sample.fixed_labels, sample.moving_labels)
        )
        scores.append(mean_dice(dice(fixed, moving)))
    assert len(scores) == 20
    assert np.mean(scores) == pytest.approx(0.623, abs=5e-4)


def test_the_archives_own_folder_and_unpacked_frames_are_read(tmp_path: Path) -> None:
    whole = AcdcSource(acdc(tmp_path / "a"), "val")
    acdc(tmp_path / "b" / "database")
    for path in (tmp_path / "b").rglob("*.nii.gz"):
        with gzip.open(path) as file:
            path.with_suffix("").write_bytes(file.read())
        path.unlink()
    for info in (tmp_path / "b").rglob("Info.cfg"):
        info.write_text("\ufeff" + info.read_text(), encoding="utf-8")
    again = AcdcSource(tmp_path / "b", "val")
    rng = np.random.default_rng(0)
    assert torch.equal(again.sample(0, rng).fixed, whole.sample(0, rng).fixed)

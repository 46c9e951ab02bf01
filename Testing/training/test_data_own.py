from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, InputError, RegistrationRequest
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.io import read_image, read_labels, write_image, write_points
from training.data import open_source
from training.data.folders import PAIRED, read_cases

from .layouts import blob, write_raw, write_volume

RNG = np.random.default_rng(0)
KEPT = {"initial": "none"}
LABELS = (blob() > -500).astype(np.int16)


def folders(root: Path) -> Path:
    """Anna and Bert to train on, Carl to validate; everything a pair can have."""
    for split, patient in (("train", "anna"), ("train", "bert"), ("val", "carl")):
        folder = root / split / patient
        for shift, side in enumerate(("fixed", "moving")):
            write_volume(folder / f"{side}.nii.gz", blob(shift=shift))
            for kind in ("labels", "mask"):
                write_volume(folder / f"{side}_{kind}.nii.gz", np.roll(LABELS, shift, axis=2))
            points = np.array([[9.0, 10.8, 9.0]]) + (1.8 * shift, 0, 0)
            write_points(points, folder / f"{side}_points.csv")
    return root


def table(root: Path, rows: list[str]) -> Path:
    for patient in ("anna", "bert"):
        for shift, side in enumerate(("fixed", "moving")):
            write_volume(root / "scans" / f"{patient}_{side}.nii.gz", blob(shift=shift))
    path = root / "pairs.csv"
    path.write_text("\n".join(["patient,split,fixed,moving,fixed_labels", *rows]) + "\n")
    return path


def row(patient: str, split: str) -> str:
    return f"{patient},{split},scans/{patient}_fixed.nii.gz,scans/{patient}_moving.nii.gz,"


def test_images_are_compared_where_register_compares_them(tmp_path: Path) -> None:
    """Within the mask and the rim about it, of what the scanner saw."""
    folder = folders(tmp_path) / "train" / "anna"
    for side in ("fixed", "moving"):
        image = blob()
        image[:3] = -2048
        write_volume(folder / f"{side}.nii.gz", image)
    sample = open_source("own", tmp_path, "train", KEPT).sample(0, RNG)
    images = [read_image(folder / f"{side}.nii.gz") for side in ("fixed", "moving")]
    masks = [read_labels(folder / f"{side}_mask.nii.gz") for side in ("fixed", "moving")]
    fixed, moving = images
    used = prepare(RegistrationRequest(fixed, moving, fixed_mask=masks[0], moving_mask=masks[1]))
    for side in ("fixed", "moving"):
        wanted, mine = getattr(used, side).mask, getattr(sample, f"{side}_mask")
        assert torch.equal(mine[None], wanted)
        seen = masks[0].data[:, :, 3:] > 0
        assert not mine[:, :3].any() and int(mine.sum()) >= int(seen.sum())
    for path in folder.glob("*_mask.nii.gz"):
        path.unlink()
    (tmp_path / "train" / "bert").rename(tmp_path / "bert")
    sample = open_source("own", tmp_path, "train", KEPT).sample(0, RNG)
    assert sample.fixed_mask is not None
    assert not sample.fixed_mask[:, :3].any() and bool(sample.fixed_mask[:, 3:].all())


def test_pair_from_folders(tmp_path: Path) -> None:
    source = open_source("own", folders(tmp_path), "train", KEPT)
    assert source.patients == ("anna", "bert")
    assert source.label_names == {0: "background", 1: "1"}
    sample = source.sample(0, RNG)
    assert sample.patient == "anna"
    expected = torch.from_numpy((blob(shift=1) + 1000) / 1600).clamp(0, 1)
    torch.testing.assert_close(sample.moving[0], expected, atol=1e-3, rtol=0)
    assert sample.moving_labels is not None and sample.moving_mask is not None
    np.testing.assert_array_equal(sample.moving_labels[0].numpy(), np.roll(LABELS, 1, axis=2))
    assert bool(sample.moving_mask[0][np.roll(LABELS, 1, axis=2) > 0].all())
    assert sample.fixed_points is not None and sample.moving_points is not None
    torch.testing.assert_close(sample.fixed_points, torch.tensor([[5.0, 6, 5]]))
    torch.testing.assert_close(sample.moving_points, torch.tensor([[6.0, 6, 5]]))
    assert open_source("own", tmp_path, "val", KEPT).patients == ("carl",)


def test_pair_from_a_table(tmp_path: Path) -> None:
    path = table(tmp_path, [row("anna", "train"), row("bert", "val")])
    source = open_source("own", path, "val", KEPT)
    assert source.patients == ("bert",)
    assert source.label_names == {}
    assert source.sample(0, RNG).fixed_labels is None


def test_alignment_brings_image_labels_and_points_along(tmp_path: Path) -> None:
    """A blob moved by one voxel lies on the fixed one after a translation."""
    for path in folders(tmp_path).rglob("*_mask.nii.gz"):
        path.unlink()
    source = open_source("own", tmp_path, "val", {"initial": "translation"})
    sample = source.sample(0, RNG)
    assert sample.fixed_labels is not None and sample.moving_labels is not None
    assert sample.fixed_points is not None and sample.moving_points is not None
    assert (sample.fixed_points - sample.moving_points).abs().max() < 0.3
    inside = (slice(None), slice(2, -2), slice(2, -2), slice(2, -2))
    same = (sample.fixed_labels[inside] == sample.moving_labels[inside]).float().mean()
    assert same > 0.95
    assert (sample.fixed - sample.moving)[inside].abs().mean() < 0.05


def test_lattice_has_the_spacing_and_size_asked_for_about_the_centre(tmp_path: Path) -> None:
    folder = tmp_path / "train/anna"
    values = np.zeros((8, 12, 16), np.float32)
    values[2:6, 4:8, 4:12] = 1.0
    for side in ("fixed", "moving"):
        write_volume(folder / f"{side}.nii.gz", values, (1.0, 1.0, 2.0))
    options = {**KEPT, "spacing_mm": [2.0, 2.0, 2.0], "size": [10, 6, 6]}
    source = open_source("own", tmp_path, "train", options)
    assert source.shape == (6, 6, 10)
    assert source.spacing == pytest.approx((2, 2, 2))
    found = source.sample(0, RNG).fixed[0].numpy() > 0.5
    expected = np.zeros((6, 6, 10), bool)
    expected[1:5, 2:4, 3:7] = True
    np.testing.assert_array_equal(found, expected)


def test_axes_run_along_r_a_s_however_they_are_stored(tmp_path: Path) -> None:
    """The same scan with i along S and j backwards gives the same pair."""
    values = blob()
    turned = np.ascontiguousarray(values.transpose(2, 1, 0)[:, ::-1])
    direction = np.array([[0.0, 0, 1], [0, -1, 0], [1, 0, 0]])
    grids = {"anna": Grid.from_spacing(values.shape, (1.8,) * 3)}
    grids["bert"] = Grid.from_spacing(turned.shape, (1.8,) * 3, (0, 11 * 1.8, 0), direction)
    for patient, data in (("anna", values), ("bert", turned)):
        folder = tmp_path / "train" / patient
        folder.mkdir(parents=True)
        image = Image(torch.from_numpy(data)[None, None], grids[patient])
        for side in ("fixed", "moving"):
            write_image(image, folder / f"{side}.nii.gz")
    source = open_source("own", tmp_path, "train", KEPT)
    torch.testing.assert_close(source.sample(0, RNG).fixed, source.sample(1, RNG).fixed)


def spoil(root: Path, fault: str) -> str:
    folder = root / "train/bert"
    if fault == "nan":
        path = folder / "moving.nii.gz"
        write_raw(path, np.full((10, 12, 14), np.nan))
        return str(path)
    if fault == "spacing":
        for path in folder.glob("fixed*.nii.gz"):
            write_volume(path, LABELS if "_" in path.name else blob(), (1.8, 1.8, 2.4))
        return str(folder / "fixed.nii.gz")
    if fault == "label grid":
        write_volume(folder / "fixed_labels.nii.gz", LABELS, (2.0, 2.0, 2.0))
        return str(folder / "fixed_labels.nii.gz")
    (folder / {"missing": "moving", "label": "fixed_labels"}[fault]).with_suffix(".nii.gz").unlink()
    return str(folder)


@pytest.mark.parametrize("fault", ["nan", "spacing", "label grid", "missing", "label"])
def test_fault_is_one_line_that_names_the_file(tmp_path: Path, fault: str) -> None:
    named = spoil(folders(tmp_path), fault)
    with pytest.raises(InputError) as caught:
        open_source("own", tmp_path, "train", KEPT)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, [row("anna", "train"), row("anna", "val")])
    with pytest.raises(InputError, match="anna stands in the split 'train' .* 'val'"):
        open_source("own", path, "train", KEPT)
    folders(tmp_path / "more")
    (tmp_path / "more/val/carl").rename(tmp_path / "more/val/anna")
    with pytest.raises(InputError, match="anna stands in the split 'train'"):
        open_source("own", tmp_path / "more", "train", KEPT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,split,fixed\n", "column 'moving'"),
        ("patient,split,fixed,moving,age\n", "column 'age'"),
        ("patient,split,fixed,moving\n,train,a,b\n", "line 2: no patient"),
        ("patient,split,fixed,moving\nanna,all,a,b\n", "line 2: the split 'all'"),
        ("patient,split,fixed,moving\nanna,train,a,\n", "line 2: no moving"),
        ("patient,split,fixed,moving\nanna,train,a.nii,b.nii\n", r"a\.nii does not exist"),
        ("patient,split,fixed,moving\n", "nobody in the split 'train'"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        open_source("own", path, "train")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: nobody in the split 'train'"):
        open_source("own", tmp_path, "train")


@pytest.mark.parametrize("options", [{"spacing_mm": -1.0}, {"size": [4, 4]}, {"initial": "warp"}])
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        open_source("own", folders(tmp_path), "train", options)


def test_what_lies_beside_a_volume_is_not_taken_for_one(tmp_path: Path) -> None:
    root = folders(tmp_path)
    before = read_cases(root, "train", PAIRED)
    for file in [*root.rglob("fixed.*"), *root.rglob("moving.*")]:
        for suffix in (".raw", ".json"):
            file.with_name(file.name.split(".")[0] + suffix).write_bytes(b"{}")
    assert read_cases(root, "train", PAIRED) == before

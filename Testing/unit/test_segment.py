"""``segment``: the built-in rules, labels one has, what is filled and what is found odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap, read_labels
from ElasticHyperRegLib.io import write_image, write_labels
from ElasticHyperRegLib.segmentation import SegmentOptions, segment, tissues_from_labels
from ElasticHyperRegLib.tissues import (
    CANNOT_SEE,
    CT,
    MR,
    body_mask,
    fill_body,
    fill_pockets,
    find_flaws,
    labels_on,
    load_scheme,
)
from Testing.unit.cli_help import refused, run
from Testing.unit.test_threshold_segmenter import chest, scan

BODY = 1


@pytest.fixture(scope="module")
def small_chest() -> tuple[Image, np.ndarray]:
    """A few slices of the chest made of ellipsoids, and its true labels."""
    hu, labels = (part[18:30, ::2, ::2].copy() for part in chest())
    grid = Grid.from_spacing(hu.shape, (6.0, 6.0, 4.0), (-195.0, -150.0, 0.0))
    return scan(hu, grid), labels


def label_map(values: np.ndarray, spacing: float = 2.0, **names: int) -> LabelMap:
    data = torch.from_numpy(values.astype(np.int32))[None, None]
    grid = Grid.from_spacing(values.shape, (spacing,) * 3)
    return LabelMap(data, grid, {n: name for name, n in names.items()})


def test_the_built_in_segmenter_gives_the_schemes_tissues(small_chest):
    found = segment(small_chest[0])
    assert {found.labels.name_of(n) for n in found.labels.present()} >= {"lung", "soft_tissue"}
    assert found.notes == (CANNOT_SEE,)
    own = segment(small_chest[0], SegmentOptions(tissues="none")).labels
    assert {"lung_left", "lung_right"} <= {own.name_of(n) for n in own.present()}
    lungs = sum((own.data == n).sum() for n, name in own.names.items() if name.startswith("lung"))
    assert int((found.labels.data == 2).sum()) == int(lungs)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"backend": "magic"}, "the backend 'magic'; expected one of threshold, totalsegmentator"),
        ({"fast": True}, "the fast mode for the built-in segmenter; expected the backend total"),
        ({"device": "cuda"}, "the device cuda for the built-in segmenter"),
        ({"program": "/opt/ts"}, "the program /opt/ts for the built-in segmenter"),
        ({"cache": False}, "a cache switched off for the built-in segmenter"),
    ],
)
def test_options_at_fault(words, reason):
    with pytest.raises(InputError, match=reason):
        SegmentOptions(**words)


def test_flaws_are_told_and_left_alone():
    values = np.zeros((12, 12, 12), int)
    values[2:9, 2:9, 2:9] = 1
    values[10, 10, 10] = values[0, 0, 0] = 1
    values[11, 0, 0] = 2
    labels = label_map(values, liver=1, cyst=2)
    assert find_flaws(labels) == (
        "liver: 2 small islands, voxels in all: 2",
        "cyst is a single voxel",
    )
    big = label_map(np.repeat(values, 3, axis=0), spacing=20.0, liver=1, cyst=2)
    assert find_flaws(big) == ()


def test_pockets_go_to_the_nearest_tissue_and_cavities_stay():
    values = np.zeros((14, 14, 30), int)
    values[2:12, 2:12, 2:12], values[2:12, 2:12, 12:28] = 1, 2
    values[6, 6, 4] = values[6, 6, 24:26] = 0  # pockets of 8 and 16 µL
    values[4:9, 4:9, 15:20] = 0  # 1 mL
    filled, findings = fill_pockets(label_map(values, liver=1, spleen=2))
    out = filled.data.numpy()[0, 0]
    assert (out[6, 6, 4], set(out[6, 6, 24:26])) == (1, {2})
    assert (out[4:9, 4:9, 15:20] == 0).all()
    assert out[0].max() == 0
    assert findings == ("3 voxels without label between tissues went to the nearest tissue",)
    assert fill_pockets(filled) == (filled, ())


def test_the_body_is_filled_and_nothing_else_changes():
    values = np.zeros((6, 6, 6), int)
    values[2:4, 2:4, 2:4] = 3
    body = np.zeros_like(values, bool)
    body[1:5, 1:5, 1:5] = True
    labels = label_map(values, soft_tissue=1, liver=3)
    filled, findings = fill_body(labels, torch.from_numpy(body)[None, None], BODY)
    expected = np.where(values == 3, 3, np.where(body, BODY, 0))
    assert np.array_equal(filled.data.numpy()[0, 0], expected)
    assert "became soft_tissue" in findings[0]


def test_the_body_of_a_ct_is_all_but_table_and_gap(small_chest):
    image, truth = small_chest
    body = body_mask(image, CT).numpy()[0, 0]
    assert 2 * (body & (truth > 0)).sum() / (body.sum() + (truth > 0).sum()) > 0.97
    assert not body[:, : int((-115 + 150) / 6)].any()


def test_the_body_of_an_mr_scan(oblique_grid):
    grid = oblique_grid((20, 24, 26), (6.0, 6.0, 6.0))
    k, j, i = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    inside = ((k - 10) / 12) ** 2 + ((j - 12) / 9) ** 2 + ((i - 13) / 10) ** 2 < 1
    dark = (np.abs(j - 12) < 3) & (np.abs(i - 8) < 3)  # a lung, as dark as air
    noise = np.abs(np.random.default_rng(0).normal(0, 6, grid.shape))
    values = np.where(inside & ~dark, 200 + 20 * (i - 13), 0) + noise
    image = Image(torch.from_numpy(values.astype(np.float32))[None, None], grid, "mr")
    body = body_mask(image, MR).numpy()[0, 0]
    assert 2 * (body & inside).sum() / (body.sum() + inside.sum()) > 0.93
    assert body[inside & dark].mean() > 0.6
    with pytest.raises(InputError, match="the modality 'pet'; expected ct or mr"):
        body_mask(image, "pet")


def test_labels_reach_another_grid_by_geometry():
    values = np.zeros((10, 10, 10), int)
    values[2:8, 2:8, 2:8] = 1
    values[5, 5, 5] = 2
    labels = label_map(values, organ=1, dot=2)
    turned = labels.grid.ijk_to_ras @ np.diag([-2.0, -2.0, 2.0, 1.0])
    turned[:3, 3] = (18.0, 18.0, 0.0)
    other = Grid((5, 5, 5), turned)
    moved, findings = labels_on(labels, other)
    expected = values[::2, ::-2, ::-2].copy()
    assert np.array_equal(moved.data.numpy()[0, 0], np.where(expected == 2, 2, expected))
    assert findings == (
        f"the labels lie on other voxels, {labels.grid}, and were resampled",
        "dot, 1 voxels, has none on the grid of the image",
    )
    same, nothing = labels_on(labels, labels.grid)
    assert torch.equal(same.data, labels.data)
    assert nothing == ()


def test_labels_on_larger_voxels_of_the_same_places_are_told():
    labels = label_map(np.ones((5, 5, 5), int), organ=1)
    fine = Grid.from_spacing((9, 9, 9), tuple(s / 2 for s in labels.grid.spacing))
    _, findings = labels_on(labels, fine)
    assert "were resampled" in findings[0]


def test_the_body_of_what_is_no_ct_is_not_looked_for(small_chest):
    image, _ = small_chest
    for data in (image.data + 1024, image.data.clamp(-200, 300)):
        padded = data.clone()
        padded[..., :2] = -2000
        with pytest.raises(InputError, match="expected a CT scan in Hounsfield units"):
            body_mask(replace(image, data=padded), "ct")


def test_a_scan_of_nothing_but_tissue_is_a_body(small_chest):
    image, _ = small_chest
    tissue = torch.randn_like(image.data) * 30 + 20
    assert body_mask(replace(image, data=tissue), "ct").all()


def test_names_in_capitals_keep_their_voxels(files, capsys):
    out = files / "L.MHA"
    code, said, _ = run(capsys, "segment", "--image", files / "ct.nii.gz", "--out", out)
    assert code == 0
    assert "MetaImage keeps no names" in said
    assert len(read_labels(out).present()) == 4
    assert sorted(path.name for path in files.iterdir()) == ["L.MHA", "ct.nii.gz", "total.nii.gz"]


def test_labels_beside_the_image_are_counted():
    values = np.zeros((8, 8, 8), int)
    values[2:6, 2:6, 2:6] = 1
    labels = label_map(values, organ=1)
    moved = labels.grid.ijk_to_ras.copy()
    moved[:3, 3] = moved[:3, :3] @ (4, 0, 0)  # two of four columns lie before its first voxel
    found, findings = labels_on(labels, Grid((8, 8, 8), moved))
    assert int((found.data > 0).sum()) == 32
    told = "32 of 64 labelled voxels lie outside of the image and were left out"
    assert findings == (told,)


def test_labels_of_another_scan_are_refused(tmp_path, small_chest):
    image, truth = small_chest
    far = image.grid.ijk_to_ras.copy()
    far[0, 3] += 5000
    data = torch.from_numpy(truth)[None, None]
    write_labels(LabelMap(data, Grid(truth.shape, far)), tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match=r"far\.nii\.gz: no label lies in chest"):
        tissues_from_labels(tmp_path / "far.nii.gz", image)


@pytest.fixture
def files(tmp_path, small_chest):
    image, truth = small_chest
    write_image(image, tmp_path / "ct.nii.gz", "int16")
    data = torch.from_numpy(np.where(truth == 2, 10, np.where(truth == 5, 31, 0)).astype(np.int32))
    write_labels(LabelMap(data[None, None], image.grid), tmp_path / "total.nii.gz")
    return tmp_path


def test_command_with_the_built_in_rules(files, capsys):
    out = files / "L.nii.gz"
    code, said, _ = run(capsys, "segment", "--image", files / "ct.nii.gz", "--out", out)
    assert code == 0
    assert "lung" in said
    assert "note: Hounsfield units cannot tell liver" in said.replace("\n", " ")
    written = read_labels(out)
    assert written.names == {0: "background", 1: "soft_tissue", 2: "lung", 3: "bone"}
    again = refused(capsys, "segment", "--image", files / "ct.nii.gz", "--out", out)
    assert "exists already" in again


def test_a_map_that_was_written_is_understood_by_its_names(files, capsys):
    """TotalSegmentator's numbers in, the scheme's out, and those are not taken for the former."""
    out = files / "L.nii.gz"
    words = ["--image", files / "ct.nii.gz", "--labels", files / "total.nii.gz", "--out", out]
    code, said, _ = run(capsys, "segment", *words, "--tissues", "thorax-ct")
    assert code == 0
    assert "became soft_tissue" in said
    written = read_labels(out)
    total = read_labels(files / "total.nii.gz").data
    assert torch.equal(written.data == 2, total == 10)
    assert torch.equal(written.data == 3, total == 31)
    scheme = load_scheme("thorax-ct")
    assert torch.equal(scheme.apply(written).data, written.data)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--out", "L.txt"], "expected a volume in NIfTI"),
        (["--backend", "magic", "--out", "L.nii.gz"], "the backend 'magic'"),
        (["--install", "--out", "L.nii.gz"], "--install; expected it with --backend totalseg"),
        (["--device", "cpu", "--out", "L.nii.gz"], "the device cpu for the built-in segmenter"),
        (["--labels", "x.nii.gz", "--device", "cpu", "--out", "L.nii.gz"], "one of the two"),
        (
            ["--labels", "x.nii.gz", "--backend", "totalsegmentator", "--out", "L.nii.gz"],
            "one of the two",
        ),
        (["--tissues", "thorax", "--out", "L.nii.gz"], "perhaps you mean 'thorax-ct'."),
        (["--out", "ct.nii.gz", "--overwrite"], "an input that the results would replace"),
        (
            ["--backend", "totalsegmentator", "--install", "--out", "L.nii.gz"],
            "TotalSegmentator without a tissue scheme",
        ),
    ],
)
def test_what_the_command_refuses(files, capsys, monkeypatch, words, reason):
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    assert reason in refused(capsys, "segment", "--image", "ct.nii.gz", *words)
    assert sorted(files.iterdir()) == before


@pytest.mark.slow
@pytest.mark.shared_data
def test_61_classes_of_a_real_scan_become_its_tissues(shared_data):
    """Every class keeps its voxels; only label 0 changes, and what changes is reported."""
    folder = shared_data / "totalsegmentator_example"
    from ElasticHyperRegLib import read_image

    image, before = read_image(folder / "ct.nii.gz"), read_labels(folder / "labels.nii.gz")
    found = tissues_from_labels(folder / "labels.nii.gz", image, "abdomen-ct")
    mapped = load_scheme("abdomen-ct").apply(before)
    kept = before.data > 0
    assert len(before.present()) == 62
    assert torch.equal(found.labels.data[kept], mapped.data[kept])
    grown = int(((found.labels.data > 0) & ~kept).sum())
    millilitres = grown * float(np.prod(image.grid.spacing)) / 1000
    assert 10_000 < millilitres < 20_000
    assert any("became soft_tissue" in note for note in found.notes)


def test_pockets_are_enclosed_and_nearest_is_in_mm():
    grid = Grid.from_spacing((3, 7, 7), (1.0, 1.0, 5.0))
    values = torch.full((1, 1, 3, 7, 7), 2, dtype=torch.int32)
    values[0, 0, 1] = 1
    values[0, 0, 1, 2:5, 2:5] = 0
    values[0, 0, 0, 0, 0] = 0
    filled, _ = fill_pockets(LabelMap(values, grid, {1: "lung", 2: "rib"}))
    assert filled.data[0, 0, 1].unique().tolist() == [1]
    assert filled.data[0, 0, 0, 0, 0] == 0

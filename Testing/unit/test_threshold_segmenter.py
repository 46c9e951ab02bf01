"""The built-in CT segmenter on a chest made of ellipsoids, all of it known, and on real scans."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap, read_image, read_labels
from ElasticHyperRegLib.tissues import CANNOT_SEE, LABELS, load_scheme, segment_ct
from ElasticHyperRegLib.tissues.ct_bone import find_bone
from ElasticHyperRegLib.tissues.ct_lungs import split_sides
from ElasticHyperRegLib.tissues.morphology import Lattice

NUMBER = {name: label for label, name in LABELS.items()}
SPACING = (3.0, 3.0, 4.0)
SHAPE = (48, 90, 130)
ORIGIN = (-195.0, -150.0, 0.0)
NOISE_HU = 15.0


def chest(table: bool = True, arms: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """HU and true labels (K, J, I) on ``grid()``: the world is RAS, i to the right, j forwards."""
    k, j, i = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    r, a, s = (o + v * d for o, v, d in zip(ORIGIN, (i, j, k), SPACING, strict=True))

    def ellipse(r0: float, a0: float, width: float, depth: float) -> np.ndarray:
        return ((r - r0) / width) ** 2 + ((a - a0) / depth) ** 2

    hu, labels = np.full(SHAPE, -1000.0), np.zeros(SHAPE, np.int32)

    def put(where: np.ndarray, value: float, name: str) -> None:
        hu[where], labels[where] = value, NUMBER[name]

    if table:
        hu[(np.abs(r) < 150) & (np.abs(a + 118) < 4)] = 100
        hu[(np.abs(r) < 150) & (a > -150) & (a < -122)] = -700
    for side in (-1, 1):
        if arms:
            put(ellipse(side * 165, 0, 24, 24) < 1, 50, "soft_tissue")
            put(ellipse(side * 165, 0, 9, 9) < 1, 700, "bone")
    put(ellipse(0, 0, 130, 95) < 1, 40, "soft_tissue")
    put((ellipse(0, 0, 122, 87) < 1) & (ellipse(0, 0, 108, 73) > 1), -100, "fat")
    for side, name in ((-1, "lung_left"), (1, "lung_right")):
        lung = ellipse(side * 55, 5, 42, 58) + ((s - 80) / 75) ** 2 < 1
        put(lung, -850, name)
        put(lung & (ellipse(side * 55, 10, 4, 4) < 1), 40, name)  # a vessel, part of the lung
    put((ellipse(0, 10, 9, 9) < 1) & (s > 60), -995, "airways")
    put((ellipse(0, -45, 20, 18) < 1) | (ellipse(0, -76, 16, 15) < 1), 500, "bone")
    put(ellipse(0, -45, 15, 13) < 1, 100, "bone")  # marrow
    put(ellipse(0, -76, 10, 9) < 1, 20, "soft_tissue")  # the spinal canal
    put(ellipse(0, 50, 14, 14) + (s / 20) ** 2 < 1, -985, "gas")
    noisy = hu + np.random.default_rng(0).normal(0, NOISE_HU, SHAPE)
    return noisy.astype(np.float32), labels


def grid() -> Grid:
    return Grid.from_spacing(SHAPE, SPACING, ORIGIN)


def scan(hu: np.ndarray, where: Grid | None = None) -> Image:
    return Image(torch.from_numpy(np.ascontiguousarray(hu))[None, None], where or grid(), "chest")


def found(image: Image) -> np.ndarray:
    return segment_ct(image).data.numpy()[0, 0]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray]:
    return chest()


@pytest.fixture(scope="module")
def labelled(truth) -> LabelMap:
    return segment_ct(scan(truth[0]))


@pytest.fixture(scope="module")
def answer(labelled) -> np.ndarray:
    return labelled.data.numpy()[0, 0]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("background", 0.99),
        ("soft_tissue", 0.9),
        ("lung_left", 0.98),
        ("lung_right", 0.98),
        ("airways", 0.9),
        ("bone", 0.9),
        ("fat", 0.9),
        ("gas", 0.9),
    ],
)
def test_every_tissue_is_found(truth, answer, name, least):
    assert overlap(answer == NUMBER[name], truth[1] == NUMBER[name]) > least


def test_the_result_is_a_named_label_map_on_the_same_grid(labelled):
    assert labelled.grid.same_as(grid(), tolerance_mm=1e-9)
    assert labelled.names == LABELS
    assert labelled.data.dtype == torch.int32
    assert "liver" in CANNOT_SEE
    assert "heart" in CANNOT_SEE


def test_fine_voxels_decide_at_the_borders(truth):
    """Five slices in voxels of 0.75 mm, whose number is no whole multiple of the blocks."""
    hu, labels = (part[20:25].repeat(4, axis=1).repeat(4, axis=2) for part in truth)
    fine = Grid.from_spacing(hu.shape, (0.75, 0.75, 4.0), ORIGIN)
    answer = found(scan(hu, fine))
    for name, least in (("lung_left", 0.98), ("lung_right", 0.98), ("bone", 0.9), ("fat", 0.9)):
        assert overlap(answer == NUMBER[name], labels == NUMBER[name]) > least
    air = (hu < -500) & (labels > 0)
    assert not np.isin(answer[air], [NUMBER[n] for n in ("soft_tissue", "fat", "bone")]).any()


def test_vessels_belong_to_their_lung(truth, answer):
    vessel = np.isin(truth[1], (NUMBER["lung_left"], NUMBER["lung_right"])) & (truth[0] > -200)
    assert vessel.sum() > 200
    assert (answer[vessel] == truth[1][vessel]).mean() > 0.95


def test_table_and_cushion_are_background(truth, answer):
    below = np.s_[:, : int((-100 - ORIGIN[1]) / SPACING[1])]
    assert (truth[0][below] > -800).sum() > 10_000
    assert not answer[below].any()


def test_arms_belong_to_the_body(truth, answer):
    arm = np.s_[:, :, :17]
    assert (truth[1][arm] > 0).sum() > 5_000
    assert overlap(answer[arm] > 0, truth[1][arm] > 0) > 0.95


def test_a_gap_between_arm_and_trunk_is_outside(truth):
    """Hands on the hips close the gap in the lower slices; above, it is open."""
    hu = truth[0].copy()
    gap = np.s_[:12, 47:53, 18:21]
    hu[:12, 36:46, 10:30] = hu[:12, 54:64, 10:30] = 45.0
    answer = found(scan(hu))
    assert (hu[gap] < -900).mean() > 0.9
    assert (answer[gap][hu[gap] < -900] == 0).mean() > 0.95


def test_noise_outside_any_body_is_refused():
    hu = np.random.default_rng(0).normal(-1000, 20, SHAPE).astype(np.float32)
    with pytest.raises(InputError, match="chest: nothing as dense as tissue"):
        segment_ct(scan(hu))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (scan(np.random.default_rng(0).uniform(0, 900, SHAPE).astype(np.float32)), "Hounsfield"),
        (Image(torch.full((1, 1, 8, 8), -900.0), Grid.from_spacing((8, 8), (1, 1))), "a 2D image"),
    ],
)
def test_what_is_no_ct_volume_is_refused(image, reason):
    with pytest.raises(InputError, match=reason):
        segment_ct(image)


@pytest.mark.parametrize(
    ("order", "signs"),
    [((0, 1, 2), (1, -1, -1)), ((2, 0, 1), (-1, 1, -1)), ((1, 2, 0), (-1, -1, -1))],
)
def test_sides_are_the_patients_however_the_scan_is_stored(truth, answer, order, signs):
    """Axes permuted and turned round: the same voxel of the world has the same label."""
    where, steps = grid(), np.array(signs)
    turned = truth[0].transpose(order)[tuple(slice(None, None, int(s)) for s in steps)]
    axes = [2 - o for o in order][::-1]
    matrix = where.ijk_to_ras.copy()
    matrix[:3, :3] = where.ijk_to_ras[:3, axes] * steps[::-1]
    first = [where.size[a] - 1 if s < 0 else 0 for a, s in zip(axes, steps[::-1], strict=True)]
    index = np.zeros(3)
    index[axes] = first
    matrix[:3, 3] = (where.ijk_to_ras @ np.append(index, 1))[:3]
    again = found(scan(turned, Grid(turned.shape, matrix)))
    back = again[tuple(slice(None, None, int(s)) for s in steps)].transpose(np.argsort(order))
    assert np.array_equal(back, answer)


def test_an_oblique_scan_is_labelled_alike(truth, answer, oblique_grid):
    tilted = oblique_grid(SHAPE, SPACING, degrees=15.0)
    assert np.array_equal(found(scan(truth[0], tilted)), answer)


def part_of_a_chest(columns: slice) -> tuple[Image, np.ndarray]:
    """Scan and true labels of some columns i, neither table nor arms nor trachea in sight."""
    hu, labels = (part[:, :, columns].copy() for part in chest(table=False, arms=False))
    hu[labels == NUMBER["airways"]] = 40.0
    hu[:, :12, :6] = hu[:, :12, -6:] = -2048.0  # outside the field of view
    origin = (ORIGIN[0] + (columns.start or 0) * SPACING[0], *ORIGIN[1:])
    return scan(hu, Grid.from_spacing(hu.shape, SPACING, origin)), labels


@pytest.mark.parametrize(
    ("columns", "side", "other"),
    [
        (slice(62, None), "lung_right", "lung_left"),
        (slice(None, 68), "lung_left", "lung_right"),
    ],
)
def test_half_a_chest_has_one_lung(columns, side, other):
    image, labels = part_of_a_chest(columns)
    answer = found(image)
    assert overlap(answer == NUMBER[side], labels == NUMBER[side]) > 0.97
    assert not (answer == NUMBER[other]).any()


def test_a_lung_cut_by_the_edge_of_the_picture_is_found():
    image, labels = part_of_a_chest(slice(34, 100))
    answer = found(image)
    assert (labels[:, :, 0] == NUMBER["lung_left"]).sum() > 100
    assert overlap(answer == NUMBER["lung_left"], labels == NUMBER["lung_left"]) > 0.95


def test_lungs_cut_by_a_round_field_of_view_are_found():
    hu, labels = chest(table=False, arms=False)
    columns = slice(24, hu.shape[2] - 24)
    hu, labels = hu[:, :, columns].copy(), labels[:, :, columns]
    _, j, i = np.meshgrid(*[np.arange(n) for n in hu.shape], indexing="ij")
    middle, radius = (hu.shape[1] - 1) / 2, (hu.shape[2] - 1) / 2
    unseen = ((j - middle) * SPACING[1]) ** 2 + ((i - radius) * SPACING[0]) ** 2
    hu[unseen > (radius * SPACING[0]) ** 2] = -2000
    origin = (ORIGIN[0] + columns.start * SPACING[0], *ORIGIN[1:])
    answer = found(scan(hu, Grid.from_spacing(hu.shape, SPACING, origin)))
    for side in ("lung_left", "lung_right"):
        lung = (labels == NUMBER[side]) & (hu > -1500)
        assert (answer[lung] == NUMBER[side]).mean() > 0.9


@pytest.mark.parametrize(
    "rows", [slice(0, None), slice(0, 60), slice(30, 60)], ids=["two edges", "three", "no air left"]
)
def test_lungs_cut_by_a_tight_crop_are_found(rows):
    hu, labels = chest(arms=False)
    columns = slice(32, hu.shape[2] - 32)
    hu, labels = hu[:, rows, columns], labels[:, rows, columns]
    origin = (
        ORIGIN[0] + columns.start * SPACING[0],
        ORIGIN[1] + rows.start * SPACING[1],
        ORIGIN[2],
    )
    answer = found(scan(hu, Grid.from_spacing(hu.shape, SPACING, origin)))
    for side in ("lung_left", "lung_right"):
        assert overlap(answer == NUMBER[side], labels == NUMBER[side]) > 0.97


@pytest.mark.parametrize("crop", [slice(0, None), slice(32, -32)], ids=["whole", "crop"])
@pytest.mark.parametrize("floor", [-900, -800])
def test_the_room_about_a_patient_is_no_lung(crop, floor):
    """As in scans that are cut off at their darkest values, and with foam beside the patient."""
    hu, labels = (part[:, :, crop] for part in chest(table=False, arms=False))
    cut = np.maximum(hu, floor)
    cut[:, :10] = floor
    origin = (ORIGIN[0] + (crop.start or 0) * SPACING[0], *ORIGIN[1:])
    answer = found(scan(cut, Grid.from_spacing(cut.shape, SPACING, origin)))
    lungs = [NUMBER["lung_left"], NUMBER["lung_right"]]
    outside = np.isin(answer, lungs) & ~np.isin(labels, lungs)
    assert outside.sum() < 0.03 * np.isin(labels, lungs).sum()  # airways, as dark as the lung


@pytest.mark.parametrize("cushion_hu", [-900, -700])
def test_what_lies_beside_a_body_is_no_lung(truth, cushion_hu):
    hu, labels = (part.copy() for part in truth)
    hu[:, :8, :40] = cushion_hu  # a vacuum cushion that two edges of the picture cut
    lung = np.isin(labels, [NUMBER["lung_left"], NUMBER["lung_right"]])
    found_lung = np.isin(found(scan(hu)), [NUMBER["lung_left"], NUMBER["lung_right"]])
    assert overlap(found_lung, lung) > 0.97


def test_marrow_is_bone_and_the_spinal_canal_is_not(answer):
    marrow, canal = answer[:, 33:38, 63:68], answer[:, 23:27, 63:68]
    assert (marrow == NUMBER["bone"]).mean(axis=(1, 2)).min() > 0.8
    assert (canal == NUMBER["bone"]).mean() < 0.1


@pytest.mark.parametrize(("between_hu", "is_bone"), [(120.0, True), (50.0, False)])
def test_spongy_bone_between_plates_is_bone_and_muscle_is_not(between_hu, is_bone):
    hu = np.full((20, 20, 20), 50.0, np.float32)
    hu[4:16, 4:16, 4:6] = hu[4:16, 4:16, 12:14] = 600.0
    hu[4:16, 4:16, 6:12] = between_hu
    bone, _ = find_bone(hu, np.ones(hu.shape, bool), Lattice((2.0, 2.0, 2.0)))
    assert (bone[6:14, 6:14, 7:11].mean() > 0.9) == is_bone
    assert (bone[6:14, 6:14, 7:11].mean() < 0.1) != is_bone
    assert not bone[:, :, :2].any()


@pytest.mark.parametrize(("hu", "is_bone"), [(700.0, True), (220.0, False)])
def test_contrast_in_a_vein_is_no_bone(hu, is_bone):
    values = np.full((20, 20, 20), 50.0, np.float32)
    values[5:15, 5:15, 5:15] = hu
    bone, _ = find_bone(values, np.ones(values.shape, bool), Lattice((2.0, 2.0, 2.0)))
    assert bone.any() == is_bone


def test_lungs_that_touch_are_parted():
    k, j, i = np.meshgrid(np.arange(30), np.arange(30), np.arange(61), indexing="ij")
    left = ((i - 43) / 14) ** 2 + ((j - 15) / 13) ** 2 + ((k - 15) / 13) ** 2 < 1
    right = left[:, :, ::-1]
    bridge = (np.abs(j - 15) < 2) & (np.abs(k - 15) < 2) & (np.abs(i - 30) < 6)
    sides = split_sides(left | right | bridge, 30.0, Lattice((2.0, 2.0, 2.0)))
    assert np.array_equal(sides > 0, left | right | bridge)
    assert (sides[left] == 1).mean() > 0.99
    assert (sides[right] == 2).mean() > 0.99


def test_small_components_that_straddle_the_middle_are_kept():
    speck = np.zeros((9, 9, 9), bool)
    speck[4, 4, 3:6] = True
    sides = split_sides(speck, 4.0, Lattice((2.0, 2.0, 2.0)))
    assert np.array_equal(sides > 0, speck)


def test_the_scheme_makes_three_tissues_of_it(labelled):
    out = load_scheme("ct-threshold").apply(labelled)
    names = [out.name_of(label) for label in out.present()]
    assert names == ["background", "soft_tissue", "lung", "bone"]


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_the_lung_of_a_real_pair(shared_data, which):
    folder = shared_data / "lung_ct_pair"
    labels = segment_ct(read_image(folder / f"{which}.mha")).data
    mask = read_labels(folder / f"{which}_lung_mask.mha").data
    right = (labels == NUMBER["lung_right"]).to(torch.int32)
    assert overlap(right.numpy() > 0, mask.numpy() > 0) > 0.98
    assert int((labels == NUMBER["lung_left"]).sum()) == 0
    assert int(((labels == NUMBER["airways"]) & (mask > 0)).sum()) < 0.01 * int(mask.sum())


@pytest.mark.shared_data
def test_an_abdomen_has_gas_and_the_bases_of_the_lungs(shared_data):
    folder = shared_data / "totalsegmentator_example"
    found_ = found(read_image(folder / "ct.nii.gz"))
    labels = read_labels(folder / "labels.nii.gz").data.numpy()[0, 0]
    assert (found_[labels == 14] == NUMBER["lung_right"]).mean() > 0.9
    assert (found_[labels == 11] == NUMBER["lung_left"]).mean() > 0.9
    assert (found_[labels == 20] == NUMBER["lung_left"]).sum() == 0
    vertebrae = (labels >= 26) & (labels <= 33)
    assert (found_[vertebrae] == NUMBER["bone"]).mean() > 0.8
    assert (found_[labels == 5] == NUMBER["soft_tissue"]).mean() > 0.97
    assert (found_[labels == 79] == NUMBER["bone"]).mean() < 0.15


@pytest.mark.slow
@pytest.mark.shared_data
def test_a_whole_thorax(shared_data):
    image = read_image(shared_data / "thorax_ct" / "thorax_phase00.nii.gz")
    answer = found(image)
    voxel_ml = float(np.prod(image.grid.spacing)) / 1000
    volume_ml = {name: (answer == label).sum() * voxel_ml for name, label in NUMBER.items()}
    assert 2000 < volume_ml["lung_left"] < volume_ml["lung_right"] < 3500
    assert 40 < volume_ml["airways"] < 120
    assert 800 < volume_ml["bone"] < 1600
    centre = {name: np.argwhere(answer == NUMBER[name]).mean(axis=0) for name in NUMBER}
    right_of = {
        name: float((image.grid.ijk_to_ras[:3, :3] @ c[::-1])[0]) for name, c in centre.items()
    }
    assert right_of["lung_left"] < right_of["airways"] < right_of["lung_right"]

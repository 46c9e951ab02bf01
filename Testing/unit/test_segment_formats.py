"""Labels from anywhere: names, overlaps, DICOM SEG and RTSTRUCT, made here and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap, read_labels
from ElasticHyperRegLib.io import Segment, merge_segments, read_segmentation, write_labels
from ElasticHyperRegLib.io.itk import array_to_sitk
from ElasticHyperRegLib.io.rtstruct import read_rtstruct
from ElasticHyperRegLib.segmentation import tissues_from_labels
from Testing.unit.dicom_objects import ct_slices, rectangle, structure_set, write_seg

SHAPE = (8, 20, 24)


@pytest.fixture
def grid() -> Grid:
    return Grid.from_spacing(SHAPE, (2.0, 1.5, 3.0), (-20.0, 30.0, 100.0))


def box(k: slice, j: slice, i: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[k, j, i] = True
    return mask


ORGAN = box(slice(1, 7), slice(3, 15), slice(4, 18))
LESION = box(slice(3, 5), slice(6, 9), slice(8, 12))


def values(labels: LabelMap) -> np.ndarray:
    return labels.data.numpy()[0, 0]


def test_the_smaller_segment_counts_and_that_is_told(grid):
    parts = [Segment("lesion", LESION), Segment("organ", ORGAN), Segment("none", LESION & ~ORGAN)]
    labels, remarks = merge_segments(parts, grid, "drawn")
    assert labels.names == {1: "lesion", 2: "organ", 3: "none"}
    assert np.array_equal(values(labels), np.where(LESION, 1, np.where(ORGAN, 2, 0)))
    size, lost = ORGAN.sum(), LESION.sum()
    assert remarks == (
        f"organ gave {lost} of {size} voxels to smaller ones over it",
        "none is empty",
    )
    with pytest.raises(InputError, match="drawn: no segment has a voxel"):
        merge_segments(parts[2:], grid, "drawn")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
def test_names_stay_in_the_file(tmp_path, grid, suffix):
    data = torch.from_numpy(np.where(LESION, 7, np.where(ORGAN, 2, 0)).astype(np.int32))
    names = {0: "background", 2: "organ & co", 7: "Läsion <1>"}
    labels = LabelMap(data[None, None], grid, names)
    write_labels(labels, tmp_path / f"named{suffix}")
    write_labels(LabelMap(labels.data, grid), tmp_path / f"plain{suffix}")
    found = read_labels(tmp_path / f"named{suffix}")
    assert found.names == names
    assert torch.equal(found.data, labels.data)
    assert found.grid.same_as(grid)
    assert read_labels(tmp_path / f"plain{suffix}").names == {}


def test_an_extension_of_another_program_does_no_harm(tmp_path, grid):
    import nibabel

    image = nibabel.Nifti1Image(ORGAN.T.astype(np.uint8), np.eye(4))
    for content in (b"something else", b"<LabelTable> broken"):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, content))
    nibabel.save(image, tmp_path / "other.nii.gz")
    assert read_labels(tmp_path / "other.nii.gz").names == {}


def test_overlapping_layers_of_a_slicer_segmentation(tmp_path, grid):
    layers = np.stack([ORGAN, LESION], axis=-1).astype(np.uint8)
    volume = array_to_sitk(layers, grid)
    volume.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    for number, name in enumerate(("organ", "lesion")):
        for key, value in (("Name", name), ("LabelValue", "1"), ("Layer", str(number))):
            volume.SetMetaData(f"Segment{number}_{key}", value)
    sitk.WriteImage(volume, str(tmp_path / "two.seg.nrrd"))
    labels, remarks = read_segmentation(tmp_path / "two.seg.nrrd")
    assert labels.names == {1: "organ", 2: "lesion"}
    assert np.array_equal(values(labels), np.where(LESION, 2, np.where(ORGAN, 1, 0)))
    assert labels.grid.same_as(grid)
    assert len(remarks) == 1
    with pytest.raises(InputError, match="make a label map of it with the command segment"):
        read_labels(tmp_path / "two.seg.nrrd")


def old_segmentation(grid: Grid, *layers: np.ndarray, **told: str) -> sitk.Image:
    """As 3D Slicer wrote it before 4.11: a layer a segment, and no values."""
    arrays = [layer.astype(np.uint8) for layer in layers]
    volume = array_to_sitk(np.stack(arrays, axis=-1) if len(arrays) > 1 else arrays[0], grid)
    volume.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    for number in range(len(layers)):
        volume.SetMetaData(f"Segment{number}_Name", ("organ", "lesion")[number])
    for key, value in told.items():
        volume.SetMetaData(key, value)
    return volume


def test_old_slicer_segmentations_name_no_values(tmp_path, grid):
    sitk.WriteImage(old_segmentation(grid, ORGAN, LESION), str(tmp_path / "two.seg.nrrd"))
    labels, _ = read_segmentation(tmp_path / "two.seg.nrrd")
    assert labels.names == {1: "organ", 2: "lesion"}
    assert np.array_equal(values(labels), np.where(LESION, 2, np.where(ORGAN, 1, 0)))
    sitk.WriteImage(old_segmentation(grid, ORGAN), str(tmp_path / "one.seg.nrrd"))
    assert read_segmentation(tmp_path / "one.seg.nrrd")[0].names == {1: "organ"}


def test_values_without_layers_lie_in_the_first(tmp_path, grid):
    both = np.where(LESION, 2, np.where(ORGAN, 1, 0))
    told = {"Segment0_LabelValue": "1", "Segment1_LabelValue": "2"}
    volume = old_segmentation(grid, both, np.zeros_like(both), **told)
    sitk.WriteImage(volume, str(tmp_path / "one.seg.nrrd"))
    labels, _ = read_segmentation(tmp_path / "one.seg.nrrd")
    assert np.array_equal(values(labels), both)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"Segment0_LabelValue": "first"}, "organ with LabelValue 'first'"),
        ({"Segment1_Layer": "-1"}, "lesion with Layer '-1'"),
        ({"Segment1_Layer": "7"}, "lesion in layer 7; expected one of 2 layers"),
    ],
)
def test_segments_that_lie_nowhere_are_one_line(tmp_path, grid, told, fault):
    file = tmp_path / "bad.seg.nrrd"
    sitk.WriteImage(old_segmentation(grid, ORGAN, LESION, **told), str(file))
    with pytest.raises(InputError, match=fault):
        read_segmentation(file)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_a_dicom_segmentation_with_an_overlap(tmp_path, oblique_grid, degrees):
    grid = oblique_grid(SHAPE, (2.0, 1.5, 3.0), degrees)
    write_seg(tmp_path / "seg.dcm", grid, {"organ": ORGAN, "lesion": LESION})
    labels, remarks = read_segmentation(tmp_path / "seg.dcm")
    assert labels.names == {1: "organ", 2: "lesion"}
    assert len(remarks) == 1
    data = torch.zeros(1, 1, *SHAPE)
    made = tissues_from_labels(tmp_path / "seg.dcm", Image(data, grid, "scan"))
    assert np.array_equal(values(made.labels), np.where(LESION, 2, np.where(ORGAN, 1, 0)))


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_outlines_are_filled_with_their_holes(tmp_path, oblique_grid, degrees):
    grid = oblique_grid(SHAPE, (2.0, 1.5, 3.0), degrees)
    ring = []
    for k in range(1, 7):
        ring += [rectangle((4, 3), (17, 14), k), rectangle((8, 6), (11, 8), k)]
    thick = [rectangle((4, 16), (6, 18), 1), rectangle((4, 16), (6, 18), 4)]
    beyond = [rectangle((0, 0), (2, 2), 30), rectangle((-5, -5), (1, 1), 0)]
    file = structure_set(grid, {"ring": ring, "thick": thick, "beyond": beyond})
    file.save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    labels, remarks = read_segmentation(tmp_path / "rt.dcm", grid)
    hole = box(slice(1, 7), slice(6, 9), slice(8, 12))
    assert labels.names == {1: "ring", 2: "thick", 3: "beyond"}
    assert np.array_equal(values(labels) == 1, ORGAN & ~hole)
    # planes three slices apart: each stands for the slice beside it too
    assert np.array_equal(values(labels) == 2, box(slice(0, 6), slice(16, 19), slice(4, 7)))
    assert np.array_equal(values(labels) == 3, box(slice(0, 1), slice(0, 2), slice(0, 2)))
    assert remarks == ("beyond: 1 contours lie outside the image",)
    with pytest.raises(InputError, match="outlines without a scan"):
        read_segmentation(tmp_path / "rt.dcm")


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_rounded_outlines_of_one_slice_stay_together(tmp_path, oblique_grid, decimals):
    grid = oblique_grid(SHAPE, (2.0, 1.5, 3.0), 20.0)
    ring = []
    for k in range(1, 7):
        ring += [rectangle((4, 3), (17, 14), k), rectangle((8, 6), (11, 8), k)]
    file = structure_set(grid, {"ring": ring})
    for contour in file.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [round(float(x), decimals) for x in contour.ContourData]
    file.save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    found = values(read_segmentation(tmp_path / "rt.dcm", grid)[0])
    assert np.array_equal(found == 1, ORGAN & ~box(slice(1, 7), slice(6, 9), slice(8, 12)))


@pytest.mark.parametrize("step", [0.12, 0.15, 0.2, 0.5])
def test_outlines_finer_than_the_slices_keep_their_volume(grid, step):
    """Of a cone, each within the one below: no one is the hole of another."""
    levels = np.arange(1.0, 6.01, step)
    cone = [rectangle((4 + k, 3 + k), (20 - k, 16 - k), k) for k in levels]
    dataset = structure_set(grid, {"cone": cone})
    (segment,), remarks = read_rtstruct(Path("rt.dcm"), dataset, grid)
    assert remarks == ()
    expected = sum((17 - 2 * k) * (14 - 2 * k) for k in range(1, 7))
    assert segment.mask.sum() == pytest.approx(expected, rel=0.1)


def test_a_hole_may_share_its_wall(grid):
    outer, inner = rectangle((4, 3), (17, 14), 2), rectangle((3, 5), (14, 12), 2)
    drawn = structure_set(grid, {"outer": [outer], "inner": [inner], "ring": [outer, inner]})
    masks = {s.name: s.mask for s in read_rtstruct(Path("rt.dcm"), drawn, grid)[0]}
    assert (masks["inner"] & ~masks["outer"]).any()  # a column of twelve
    assert np.array_equal(masks["ring"], masks["outer"] & ~masks["inner"])


def test_doubled_and_touching_outlines_are_put_together(tmp_path, grid):
    left, right = rectangle((4, 3), (9, 14), 2), rectangle((8, 3), (15, 14), 2)
    island = [rectangle((4, 3), (17, 14), 4), rectangle((6, 5), (15, 12), 4)]
    island.append(rectangle((9, 8), (11, 9), 4))
    drawn = {"twice": [left, left], "both": [left, right], "island": island}
    masks = {s.name: s.mask for s in read_rtstruct(tmp_path, structure_set(grid, drawn), grid)[0]}
    first, second = (slice(3, 15), slice(4, 10)), (slice(3, 15), slice(8, 16))
    assert np.array_equal(masks["twice"], box(slice(2, 3), *first))
    assert np.array_equal(masks["both"], box(slice(2, 3), *first) | box(slice(2, 3), *second))
    inner = box(slice(4, 5), slice(5, 13), slice(6, 16))
    ring = box(slice(4, 5), slice(3, 15), slice(4, 18)) & ~inner
    assert np.array_equal(masks["island"], ring | box(slice(4, 5), slice(8, 10), slice(9, 12)))


def test_contours_without_points_are_left_out_and_told(tmp_path, grid):
    outlines = {"organ": [rectangle((4, 3), (17, 14), k) for k in (1, 2)], "none": []}
    file = structure_set(grid, outlines)
    contours = file.ROIContourSequence[0].ContourSequence
    contours[1].ContourData = contours[1].ContourData[:7]
    del file.StructureSetROISequence
    segments, remarks = read_rtstruct(tmp_path / "rt.dcm", file, grid)
    assert [segment.name for segment in segments] == ["1"]
    assert remarks == ("1: 1 contours without points were left out",)
    del contours[1].ContourData
    assert read_rtstruct(tmp_path / "rt.dcm", file, grid)[1] == remarks


def test_outlines_across_the_slices_are_refused(tmp_path, grid):
    tilted = rectangle((4, 3), (17, 14), 1)
    tilted[:2, 2] += 2
    structure_set(grid, {"cut": [tilted]}).save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="contours of cut that are not parallel to the slices"):
        read_segmentation(tmp_path / "rt.dcm", grid)


def test_other_dicom_objects_and_damaged_ones_are_refused(tmp_path, grid):
    one = ct_slices(grid)[0]
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="a DICOM object of the modality 'CT'; expected"):
        read_segmentation(tmp_path / "ct.dcm", grid)
    (tmp_path / "short.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\2\0")
    with pytest.raises(InputError, match=r"short\.dcm"):
        read_segmentation(tmp_path / "short.dcm", grid)


@pytest.mark.parametrize(("package", "kind"), [("pydicom", "any"), ("highdicom", "seg")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_missing_package_is_named(tmp_path, grid, monkeypatch, package, kind):
    import sys

    write_seg(tmp_path / "seg.dcm", grid, {"organ": ORGAN})
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"the package {package}.*elastic-hyperreg\[dicom\]"):
        read_segmentation(tmp_path / "seg.dcm", grid)


def test_a_quaternion_that_is_a_little_too_long_costs_no_names(tmp_path):
    labels = LabelMap(torch.ones(1, 1, 4, 5, 6, dtype=torch.int32), Grid((4, 5, 6), np.eye(4)))
    write_labels(replace(labels, names={1: "lung"}), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[252:256] = (1).to_bytes(2, "little") + bytes(2)  # by the qform alone
    content[256:264] = np.array([0.7072, 0.7072], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert read_segmentation(tmp_path / "a.nii")[0].names == {1: "lung"}

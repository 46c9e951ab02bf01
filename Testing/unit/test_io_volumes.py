"""Volumes and label maps: round trips on oblique grids, and every way a file can be at fault."""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap, read_image, read_labels
from ElasticHyperRegLib.io import (
    from_sitk,
    image_from_array,
    read_transform,
    to_sitk,
    write_image,
    write_labels,
)
from ElasticHyperRegLib.io.itk import reading

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
SHAPE = (6, 7, 8)


@pytest.fixture
def image(oblique_grid: Callable[..., Grid]) -> Image:
    values = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    return image_from_array(values, oblique_grid(SHAPE))


@pytest.fixture
def labels(oblique_grid: Callable[..., Grid]) -> LabelMap:
    values = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.int32)
    return LabelMap(torch.from_numpy(values)[None, None], oblique_grid(SHAPE))


def refusal(path: Path, read: Callable[[Path], object] = read_image) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def noise(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_comes_back_as_it_was_written(tmp_path, image, suffix):
    write_image(image, tmp_path / f"image{suffix}")
    again = read_image(tmp_path / f"image{suffix}")
    assert torch.equal(again.data, image.data)
    assert again.grid.same_as(image.grid, tolerance_mm=1e-3)
    assert again.dtype == "int16"
    assert again.name == f"image{suffix}"


def test_the_world_is_ras(tmp_path):
    """A voxel one step along i from a NIfTI header that says +R lies 2 mm to the right."""
    save_nifti(tmp_path / "ras.nii.gz", noise().T, np.diag([2.0, 3.0, 4.0, 1.0]))
    grid = read_image(tmp_path / "ras.nii.gz").grid
    np.testing.assert_allclose(grid.ijk_to_ras, np.diag([2.0, 3.0, 4.0, 1.0]), atol=1e-6)
    assert grid.shape == SHAPE


def test_nibabel_and_itk_agree_where_a_written_voxel_lies(tmp_path, image):
    write_image(image, tmp_path / "a.nii.gz")
    affine = nib.load(tmp_path / "a.nii.gz").affine
    np.testing.assert_allclose(affine, image.grid.ijk_to_ras, atol=1e-4)
    index = (3, 2, 1)
    lps = sitk.ReadImage(str(tmp_path / "a.nii.gz")).TransformIndexToPhysicalPoint(index)
    ras = image.grid.ijk_to_ras @ np.array([*index, 1.0])
    np.testing.assert_allclose(np.array(lps) * (-1, -1, 1), ras[:3], atol=1e-3)


def test_itk_images_go_both_ways(image):
    again = from_sitk(to_sitk(image.data, image.grid))
    assert torch.equal(again.data, image.data)
    assert again.grid.same_as(image.grid, tolerance_mm=1e-9)


def test_integers_are_rounded_and_kept_in_range(tmp_path, image):
    data = torch.zeros_like(image.data)
    data[0, 0, 0, 0, :4] = torch.tensor([1.6, -2.4, 1e6, -1e6])
    write_image(Image(data, image.grid, dtype="int16"), tmp_path / "a.nrrd")
    first = read_image(tmp_path / "a.nrrd").data[0, 0, 0, 0, :4]
    assert first.tolist() == [2, -2, 32767, -32768]


def test_a_pixel_type_may_be_asked_for(tmp_path, image):
    write_image(image, tmp_path / "a.mha", dtype="float64")
    assert read_image(tmp_path / "a.mha").dtype == "float64"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_come_back_as_they_were_written(tmp_path, labels, suffix):
    write_labels(labels, tmp_path / f"labels{suffix}")
    again = read_labels(tmp_path / f"labels{suffix}", {2: "lung"})
    assert torch.equal(again.data, labels.data)
    assert again.data.dtype == torch.int32
    assert again.name_of(2) == "lung"


@pytest.mark.parametrize(("highest", "stored"), [(255, "uint8"), (300, "int16"), (70000, "int32")])
def test_labels_are_stored_small(tmp_path, labels, highest, stored):
    data = labels.data.clone()
    data[..., 0] = highest
    write_labels(LabelMap(data, labels.grid), tmp_path / "labels.nii.gz")
    assert nib.load(tmp_path / "labels.nii.gz").get_data_dtype() == stored
    assert read_labels(tmp_path / "labels.nii.gz").present()[-1] == highest


def test_slicer_segments_keep_their_names(tmp_path, labels):
    segmentation = sitk.Cast(to_sitk(labels.data, labels.grid), sitk.sitkUInt8)
    for number, (name, value) in enumerate((("liver", 2), ("bone", 3))):
        segmentation.SetMetaData(f"Segment{number}_Name", name)
        segmentation.SetMetaData(f"Segment{number}_LabelValue", str(value))
        segmentation.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(segmentation, str(tmp_path / "a.seg.nrrd"))
    read = read_labels(tmp_path / "a.seg.nrrd", {3: "vertebrae"})
    assert read.names == {2: "liver", 3: "vertebrae"}


def test_overlapping_segments_are_refused(tmp_path):
    layers = sitk.GetImageFromArray(np.zeros((*SHAPE, 2), np.uint8), isVector=True)
    layers.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    sitk.WriteImage(layers, str(tmp_path / "a.seg.nrrd"))
    assert "2 layers" in refusal(tmp_path / "a.seg.nrrd", read_labels)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.2])
def test_a_file_cut_short_is_refused(tmp_path, image, suffix, kept, capfd):
    path = tmp_path / f"image{suffix}"
    write_image(image, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert str(path) in refusal(path)
    assert capfd.readouterr().err == ""


def test_a_nifti_file_that_lacks_four_bytes_is_refused(tmp_path, image):
    path = tmp_path / "image.nii"
    write_image(image, path)
    path.write_bytes(path.read_bytes()[:-4])
    assert "is cut short" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_damaged_compressed_file_is_refused(tmp_path, image, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(image, path)
    damaged = bytearray(path.read_bytes())
    damaged[-60] ^= 0xFF
    path.write_bytes(damaged)
    assert str(path) in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"hello world\n", bytes(range(256)) * 20])
def test_what_is_no_image_is_refused(tmp_path, suffix, content, capfd):
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    assert str(path) in refusal(path)
    assert capfd.readouterr().err == ""


def test_a_gzip_stream_of_something_else_is_refused(tmp_path):
    path = tmp_path / "image.nii.gz"
    path.write_bytes(gzip.compress(b"not a scan" * 100))
    assert "is not a NIfTI image" in refusal(path)


def test_missing_paths_and_unknown_formats_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nothing.nii.gz")
    (tmp_path / "photo.png").write_bytes(b"x")
    assert "NIfTI" in refusal(tmp_path / "photo.png")


def test_detached_metaimage_data_must_be_there(tmp_path, image):
    sitk.WriteImage(to_sitk(image.data, image.grid), str(tmp_path / "a.mhd"))
    assert torch.equal(read_image(tmp_path / "a.mhd").data, image.data)
    (tmp_path / "a.raw").unlink()
    assert "a.raw does not exist" in refusal(tmp_path / "a.mhd")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voxels_that_are_no_numbers_are_counted(tmp_path, image, suffix):
    data = image.data.clone()
    data[0, 0, 0, 0, :2], data[0, 0, 1, 1, 1] = torch.nan, torch.inf
    write_image(Image(data, image.grid), tmp_path / f"a{suffix}")
    assert "3 of 336 voxels" in refusal(tmp_path / f"a{suffix}")


def test_a_constant_image_is_refused(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", np.full(SHAPE, 7, np.int16))
    assert "every voxel is 7" in refusal(path)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((7, 8), "single slice"), ((7, 8, 1), "single slice"), ((7, 8, 9, 2), "extract one volume")],
)
def test_other_than_three_dimensions_are_refused(tmp_path, shape, words):
    assert words in refusal(save_nifti(tmp_path / "a.nii.gz", noise(shape)))


def test_colour_images_are_refused(tmp_path):
    colour = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "3 values per voxel" in refusal(save_nifti(tmp_path / "a.nii.gz", colour))


def test_complex_images_are_refused(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", noise().astype(np.complex64))
    assert "complex" in refusal(path)


def test_sheared_geometry_is_refused(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.3
    assert "sheared" in refusal(save_nifti(tmp_path / "a.nii.gz", noise(), affine))
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    sheared = header + "TransformMatrix = 1 0.2 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n01234567"
    (tmp_path / "a.mha").write_text(sheared)
    text = refusal(tmp_path / "a.mha")
    assert "sheared" in text
    assert "a.mha" in text


def test_zero_spacing_is_refused(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mha").write_text(
        header + "ElementSpacing = 0 1 1\nElementDataFile = LOCAL\n01234567"
    )
    assert "spacing of zero" in refusal(tmp_path / "a.mha")
    path = save_nifti(tmp_path / "a.nii", noise())
    raw = bytearray(path.read_bytes())
    raw[80:84] = bytes(4)  # pixdim[1]: ITK would read it as 1 mm
    path.write_bytes(raw)
    assert "spacing" in refusal(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "no whole numbers"), (-3, "from -3"), (np.nan, "NaN"), (3e9, "to 3e+09")],
)
def test_what_is_no_label_map_is_refused(tmp_path, value, words):
    values = np.ones(SHAPE, np.float32)
    values[0, 0, 0] = value
    assert words in refusal(save_nifti(tmp_path / "a.nii.gz", values), read_labels)


def test_labels_stored_as_floats_are_read(tmp_path):
    values = np.zeros(SHAPE, np.float32)
    values[0] = 2
    assert read_labels(save_nifti(tmp_path / "a.nii.gz", values)).present() == (0, 2)


def test_an_empty_label_map_is_refused(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.uint8))
    assert "no labelled voxel" in refusal(path, read_labels)


def test_writing_to_nowhere_is_refused(tmp_path, image):
    with pytest.raises(InputError, match="cannot be written"):
        write_image(image, tmp_path / "nowhere" / "a.nii.gz")
    with pytest.raises(InputError, match="cannot be written"):
        write_image(image, tmp_path / "nowhere" / "a.nrrd")
    with pytest.raises(InputError, match="NIfTI"):
        write_image(image, tmp_path / "a.jpg")


@pytest.mark.shared_data
def test_known_harmless_warnings_stay_silent(shared_data, capfd):
    path = shared_data / "acdc" / "training" / "patient001" / "patient001_frame01.nii.gz"
    image = read_image(path)
    assert capfd.readouterr().err == ""
    np.testing.assert_allclose(image.grid.spacing, (1.5625, 1.5625, 10.0))
    sitk.ReadImage(str(path))
    assert "unexpected scales" in capfd.readouterr().err, "ITK's own logger is back in place"


def test_other_warnings_are_passed_on(capfd):
    with reading(Path("scan")):
        logger = sitk.LoggerBase.GetGlobalITKLogger()
        logger.DisplayWarningText("something that matters")
        logger.DisplayWarningText("has unexpected scales in sform")
    assert "something that matters" in capfd.readouterr().err


@pytest.mark.shared_data
def test_real_volumes_are_read(shared_data):
    lung = read_image(shared_data / "lung_ct_pair" / "fixed.mha")
    assert lung.grid.size == (115, 157, 129)
    labels = read_labels(shared_data / "totalsegmentator_example" / "labels.nii.gz")
    ct = read_image(shared_data / "totalsegmentator_example" / "ct.nii.gz")
    assert labels.grid.same_as(ct.grid)
    assert 5 in labels.present()


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_one_point_in_time_is_a_volume(tmp_path, image, suffix):
    volume = to_sitk(image.data, image.grid)
    sitk.WriteImage(sitk.JoinSeries([volume]), str(tmp_path / f"a{suffix}"))
    found = read_image(tmp_path / f"a{suffix}")
    assert found.grid.same_as(image.grid)
    assert torch.equal(found.data, image.data)


@pytest.mark.parametrize(
    ("place", "form", "value", "words"),
    [
        (42, "<h", -3, "is not a NIfTI image"),
        (70, "<h", 0, "is not a NIfTI image"),
        (108, "<f", np.nan, "vox_offset of the header NaN or infinite"),
        (292, "<f", np.inf, "srow_x of the header NaN or infinite"),
        (268, "<f", np.nan, "qoffset_x of the header NaN or infinite"),
    ],
)
def test_nifti_headers_at_fault(tmp_path, capfd, place, form, value, words):
    path = save_nifti(tmp_path / "a.nii", noise())
    raw = bytearray(path.read_bytes())
    struct.pack_into("<hh", raw, 252, 1, 1)  # both matrices count
    struct.pack_into(form, raw, place, value)
    path.write_bytes(raw)
    assert words in refusal(path)
    assert capfd.readouterr().err == ""


def test_nifti_2_is_refused(tmp_path, capfd):
    nib.save(nib.Nifti2Image(noise(), np.eye(4)), tmp_path / "a.nii")
    assert "a NIfTI-2 file; expected NIfTI-1" in refusal(tmp_path / "a.nii")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "line",
    ["DimSize = a b c", "DimSize = 2 4", "DimSize = -2 2 -2", "NDims = q", "Offset = nan 0 0"],
)
def test_metaimage_headers_at_fault(tmp_path, capfd, line):
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = 2 2 2", "ElementType = MET_UCHAR"]
    kept = [known for known in lines if known.split()[0] != line.split()[0]]
    (tmp_path / "a.mha").write_text("\n".join([*kept, line, "ElementDataFile = LOCAL", "01234567"]))
    assert "is not a MetaImage" in refusal(tmp_path / "a.mha")
    assert capfd.readouterr().err == ""


def test_names_need_not_be_english(tmp_path, image):
    sitk.WriteImage(to_sitk(image.data, image.grid), str(tmp_path / "Schädel.mhd"))
    assert torch.equal(read_image(tmp_path / "Schädel.mhd").data, image.data)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("suffix", [".nii", ".mha", ".h5"])
def test_a_name_that_is_no_text_is_refused(tmp_path, suffix):
    path = tmp_path / f"\udcff{suffix}"
    path.touch()
    read = read_transform if suffix == ".h5" else read_image
    assert "expected a name in UTF-8" in refusal(path, read)


def test_values_beyond_float32_are_refused(tmp_path):
    assert "infinite" in refusal(save_nifti(tmp_path / "a.nii", 1e300 * noise().astype(float)))

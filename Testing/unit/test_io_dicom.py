"""A folder of DICOM slices: read as a volume, or refused with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ElasticHyperRegLib import InputError, read_image

SPACING = 1.5
ROWS = COLUMNS = 16
TURN = np.radians(20)
ACROSS = np.array([np.cos(TURN), np.sin(TURN), 0])
DOWN = np.array([-np.sin(TURN), np.cos(TURN), 0])
UP = np.array([0.0, 0.0, 1.0])


def slice_values(number: int) -> np.ndarray:
    return np.arange(ROWS * COLUMNS, dtype=np.int16).reshape(ROWS, COLUMNS) + 500 * number


def write_series(
    folder: Path, positions: Iterable[np.ndarray], description: str = "thorax", frames: int = 1
) -> list[Path]:
    """CT slices at ``positions`` (LPS mm), turned by 20° about the long axis of the body."""
    folder.mkdir(exist_ok=True)
    series, study, paths = generate_uid(), generate_uid(), []
    for number, position in enumerate(positions):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{description}{number:03d}.dcm"
        data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID = series, study
        data.Modality, data.SeriesDescription = "CT", description
        data.ImagePositionPatient = [f"{value:.6g}" for value in position]
        data.ImageOrientationPatient = [f"{value:.10f}" for value in (*ACROSS, *DOWN)]
        data.PixelSpacing = [SPACING, SPACING]
        data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelRepresentation = 0
        data.PhotometricInterpretation = "MONOCHROME2"
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        if frames > 1:
            data.NumberOfFrames = frames
        data.PixelData = np.tile(slice_values(number), (frames, 1)).tobytes()
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def stack(count: int, gap: float = 2.5) -> list[np.ndarray]:
    return [np.array([10.0, -20.0, 30.0]) + n * gap * UP for n in range(count)]


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(folder)
    return str(caught.value)


def test_a_series_becomes_a_volume_in_ras(tmp_path):
    paths = write_series(tmp_path / "ct", stack(5))
    paths[0].rename(tmp_path / "ct" / "zzz.dcm")  # the order of names means nothing
    image = read_image(tmp_path / "ct")
    assert image.grid.size == (COLUMNS, ROWS, 5)
    assert image.dtype == "int16"
    expected = np.eye(4)
    flip = np.diag([-1, -1, 1])
    expected[:3, :3] = flip @ np.stack([ACROSS * SPACING, DOWN * SPACING, UP * 2.5], axis=1)
    expected[:3, 3] = flip @ (10, -20, 30)
    np.testing.assert_allclose(image.grid.ijk_to_ras, expected, atol=1e-5)
    for number in range(5):
        np.testing.assert_array_equal(image.data[0, 0, number], slice_values(number) - 1024)


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    write_series(tmp_path / "ct", stack(3))
    (tmp_path / "ct" / "notes.txt").write_text("inhale")
    assert read_image(tmp_path / "ct").grid.shape[0] == 3


def changed(path: Path, **values: object) -> None:
    data = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(data, name, value)
    data.save_as(path)


def test_every_slice_has_its_own_scale(tmp_path):
    paths = write_series(tmp_path / "pet", stack(4))
    scales = [(1, 0), (0.25, 0), (0.125, -3), (0.0625, -2048)]
    for path, (slope, intercept) in zip(paths, scales, strict=True):
        changed(path, RescaleSlope=slope, RescaleIntercept=intercept)
    image = read_image(tmp_path / "pet")
    for number, (slope, intercept) in enumerate(scales):
        truth = slope * slice_values(number) + intercept
        np.testing.assert_allclose(image.data[0, 0, number], truth)


def test_signed_and_unsigned_slices_are_read_as_they_are(tmp_path):
    paths = write_series(tmp_path / "ct", stack(4))
    whole = {"BitsStored": 16, "HighBit": 15, "RescaleIntercept": 0, "RescaleSlope": 1}
    high = np.full_like(slice_values(1), 40001, np.uint16).tobytes()
    changed(paths[0], PixelRepresentation=1, **whole)
    for path in paths[1:]:
        changed(path, PixelRepresentation=0, PixelData=high, **whole)
    assert read_image(tmp_path / "ct").data[0, 0, 1].unique().item() == 40001


def test_what_comes_with_images_is_passed_over(tmp_path):
    paths = write_series(tmp_path / "ct", stack(3))
    kinds = {"rs": "481.3", "sr": "88.33", "pr": "11.1", "ko": "88.59"}
    for name, kind in kinds.items():
        data = pydicom.dcmread(paths[0])
        del data.PixelData, data.Rows, data.Columns
        uid = UID(f"1.2.840.10008.5.1.4.1.1.{kind}")
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = uid
        data.SeriesInstanceUID = generate_uid()
        data.save_as(tmp_path / "ct" / f"{name}.dcm")
    assert read_image(tmp_path / "ct").grid.shape[0] == 3


def test_pixels_of_different_sizes_are_refused(tmp_path):
    paths = write_series(tmp_path / "ct", stack(4))
    changed(paths[2], PixelSpacing=[2.0, 2.0])
    assert "slices with pixels of " in refusal(tmp_path / "ct")


def test_slices_in_colour_are_refused(tmp_path):
    for path in write_series(tmp_path / "us", stack(3)):
        pixels = np.zeros((ROWS, COLUMNS, 3), np.uint8).tobytes()
        changed(
            path, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
            BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=pixels,
        )  # fmt: skip
    assert "slices in colour" in refusal(tmp_path / "us")


def test_several_series_are_named(tmp_path):
    write_series(tmp_path / "ct", stack(3), "inhale")
    write_series(tmp_path / "ct", stack(4), "exhale")
    text = refusal(tmp_path / "ct")
    assert "2 DICOM series" in text
    assert "CT inhale (3 files)" in text
    assert "CT exhale (4 files)" in text


def test_a_folder_without_slices_is_refused(tmp_path, capfd):
    assert "no DICOM slices" in refusal(tmp_path)
    assert capfd.readouterr().err == ""


def test_missing_slices_are_refused(tmp_path, capfd):
    paths = write_series(tmp_path / "ct", stack(8))
    paths[3].unlink()
    paths[4].unlink()
    text = refusal(tmp_path / "ct")
    assert "2 slices missing, a gap of 7.5 mm among gaps of 2.5 mm after slice 3" in text
    assert capfd.readouterr().err == ""


def test_uneven_slices_are_refused(tmp_path):
    positions = stack(6)
    positions[2] = positions[2] + 0.8 * UP
    write_series(tmp_path / "ct", positions)
    assert "uneven slice spacing" in refusal(tmp_path / "ct")


def test_rounded_positions_are_accepted(tmp_path):
    positions = [p + 0.03 * (-1) ** n * UP for n, p in enumerate(stack(6))]
    write_series(tmp_path / "ct", positions)
    assert read_image(tmp_path / "ct").grid.spacing[2] == pytest.approx(2.5, abs=0.02)


def test_two_slices_at_one_place_are_refused(tmp_path):
    write_series(tmp_path / "ct", [*stack(4), *stack(4)])
    assert "4 slices lie where another one lies" in refusal(tmp_path / "ct")


def test_a_tilted_gantry_is_refused(tmp_path):
    write_series(tmp_path / "ct", [p + n * 0.8 * DOWN for n, p in enumerate(stack(6))])
    assert "tilted gantry" in refusal(tmp_path / "ct")


def test_a_single_slice_is_refused(tmp_path):
    write_series(tmp_path / "ct", stack(1))
    assert "a single slice" in refusal(tmp_path / "ct")


def test_a_multi_frame_file_is_refused(tmp_path):
    write_series(tmp_path / "ct", stack(1), frames=3)
    assert "multi-frame" in refusal(tmp_path / "ct")


@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_damaged_slice_is_not_passed_over(tmp_path, which):
    paths = write_series(tmp_path / "ct", stack(5))
    paths[which].write_bytes(paths[which].read_bytes()[:300])
    assert "ct" in refusal(tmp_path / "ct")


@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_slice_without_all_its_pixels_is_refused(tmp_path, which):
    """By ourselves: SimpleITK before 2.5.4 makes up what is missing."""
    paths = write_series(tmp_path / "ct", stack(5))
    paths[which].write_bytes(paths[which].read_bytes()[:-100])
    assert f"{paths[which].name} cannot be read as a DICOM slice" in refusal(tmp_path / "ct")


@pytest.mark.parametrize(
    "name", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
@pytest.mark.parametrize("value", [None, "", ["0", "0"], "nan"])
def test_slices_without_positions_are_refused(tmp_path, name, value, capfd):
    path = write_series(tmp_path / "ct", stack(3))[1]
    data = pydicom.dcmread(path)
    if value is None:
        delattr(data, name)
    elif value == "nan":
        whole = "\\".join(map(str, data[name].value)).encode()
        first, rest = whole.split(b"\\", 1)  # pydicom writes no such number
        wrong = b"nan"[: len(first)].ljust(len(first)) + b"\\" + rest
        path.write_bytes(path.read_bytes().replace(whole, wrong))
    else:
        data[name].value = value
    if value != "nan":
        data.save_as(path)
    assert f"({name})" in refusal(tmp_path / "ct")


def test_what_macos_keeps_beside_a_file_is_passed_over(tmp_path):
    paths = write_series(tmp_path / "ct", stack(3))
    paths[0].with_name(f"._{paths[0].name}").write_bytes(b"\0\5\x16\7" + bytes(300))
    assert read_image(tmp_path / "ct").grid.shape[0] == 3


@pytest.mark.shared_data
def test_a_real_series_agrees_with_its_volume(shared_data, tmp_path):
    excerpt = shared_data / "thorax_ct" / "dicom_excerpt"
    image = read_image(excerpt)
    assert image.grid.size == (512, 512, 20)
    np.testing.assert_allclose(image.grid.spacing, (0.9765625, 0.9765625, 2.0))
    np.testing.assert_allclose(image.grid.origin, (250, 164, -40.5))
    for path in sorted(excerpt.iterdir())[:6]:
        shutil.copy(path, tmp_path)
    next(tmp_path.glob("*061*")).unlink()
    assert "1 slice missing" in refusal(tmp_path)

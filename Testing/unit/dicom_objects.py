"""DICOM segmentations and structure sets, made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib.io.itk import ras_lps


def ct_slices(grid: Grid) -> list[Any]:
    """The slices of a DICOM series on ``grid``, in memory."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    study, series, frame = (generate_uid() for _ in range(3))
    lps = ras_lps(grid.direction.T)
    found = []
    for k in range(grid.shape[0]):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.Modality, one.PatientID, one.PatientName = "CT", "1", "A^B"
        one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.StudyID = ""
        one.StudyDate = one.StudyTime = one.ReferringPhysicianName = ""
        one.SeriesNumber, one.InstanceNumber = 1, k + 1
        one.Rows, one.Columns = grid.shape[1:]
        one.PixelSpacing = [grid.spacing[1], grid.spacing[0]]
        one.SliceThickness = grid.spacing[2]
        one.ImageOrientationPatient = [*lps[0], *lps[1]]
        one.ImagePositionPatient = list(ras_lps((grid.ijk_to_ras @ [0, 0, k, 1])[:3]))
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = np.zeros(grid.shape[1:], np.int16).tobytes()
        found.append(one)
    return found


def write_seg(path: Path, grid: Grid, masks: dict[str, np.ndarray]) -> None:
    hd = pytest.importorskip("highdicom")
    codes = pytest.importorskip("pydicom.sr.codedict").codes
    from pydicom.uid import generate_uid

    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(masks, start=1)
    ]
    hd.seg.Segmentation(
        source_images=ct_slices(grid),
        pixel_array=np.stack(list(masks.values()), axis=-1).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


def structure_set(grid: Grid, contours: dict[str, list[np.ndarray]]) -> Any:
    """An RTSTRUCT with contours (P, 3) given in voxels i, j, k."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    file.SOPClassUID, file.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.Modality = "RTSTRUCT"
    rois, drawn = [], []
    for number, (name, outlines) in enumerate(contours.items(), start=1):
        roi = pydicom.Dataset()
        roi.ROINumber, roi.ROIName = number, name
        rois.append(roi)
        of = pydicom.Dataset()
        of.ReferencedROINumber = number
        sequence = []
        for outline in outlines:
            contour = pydicom.Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            ras = outline @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]
            contour.ContourData = [f"{v:.4f}" for v in ras_lps(ras).ravel()]
            contour.NumberOfContourPoints = len(outline)
            sequence.append(contour)
        of.ContourSequence = pydicom.Sequence(sequence)
        drawn.append(of)
    file.StructureSetROISequence = pydicom.Sequence(rois)
    file.ROIContourSequence = pydicom.Sequence(drawn)
    return file


def rectangle(low: tuple[float, float], high: tuple[float, float], k: float) -> np.ndarray:
    """Outline half a voxel outside the voxel centres ``low`` to ``high`` (i, j)."""
    a, b = np.array(low) - 0.5, np.array(high) + 0.5
    corners = [(a[0], a[1]), (b[0], a[1]), (b[0], b[1]), (a[0], b[1])]
    return np.array([(*corner, k) for corner in corners])

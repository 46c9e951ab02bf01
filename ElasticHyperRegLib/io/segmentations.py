"""Labels in any format, those too whose segments overlap or are outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..errors import InputError
from ..types import Grid, LabelMap
from .dicom_seg import read_dicom_seg
from .integrity import existing_file
from .itk import grid_of, reading
from .label_names import slicer_segments, whole_number
from .rtstruct import read_rtstruct
from .segments import Segment, merge_segments
from .volumes import read_labels

_DICOM_MARK = b"DICM"


def read_segmentation(
    path: str | Path, reference: Grid | None = None
) -> tuple[LabelMap, tuple[str, ...]]:
    """Read labels and their names; overlaps are resolved by the rule of ``merge_segments``.

    Args:
        path: NIfTI, NRRD (3D Slicer's ``.seg.nrrd`` with any number of layers), MetaImage, DICOM
            SEG or RTSTRUCT, these two also as the folder that holds nothing else.
        reference: grid of the scan that contours were drawn on; needed for an RTSTRUCT only,
            whose labels then lie on it. Others stay on the grid of their file.

    Returns:
        The labels, and one line for each thing that was resolved or looks odd.

    Raises:
        InputError: as ``read_labels``; a DICOM object of another kind; no reference.
    """
    path = _only_object(Path(path))
    if path.is_dir():
        return read_labels(path), ()
    existing_file(path)
    if _is_dicom(path):
        return _read_dicom(path, reference)
    if path.name.lower().endswith((".nrrd", ".nhdr")):
        layered = _layers(path)
        if layered is not None:
            return merge_segments(*layered, path.name)
    return read_labels(path), ()


def _only_object(path: Path) -> Path:
    """The file of a folder that holds one alone, as exports of a SEG or RTSTRUCT do."""
    if not path.is_dir():
        return path
    files = [file for file in path.iterdir() if not file.name.startswith(".")]
    alone = len(files) == 1 and files[0].is_file() and _is_dicom(files[0])
    return files[0] if alone else path


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == _DICOM_MARK


def _read_dicom(path: Path, reference: Grid | None) -> tuple[LabelMap, tuple[str, ...]]:
    dataset = _dataset(path)
    modality = str(dataset.get("Modality", ""))
    if modality == "SEG":
        return merge_segments(*read_dicom_seg(path), path.name)
    if modality != "RTSTRUCT":
        raise InputError(
            f"{path}, a DICOM object of the modality '{modality}'",
            "a segmentation (SEG) or a structure set (RTSTRUCT)",
            "give a folder for a series of slices",
        )
    if reference is None:
        raise InputError(
            f"{path}, outlines without a scan",
            "the scan that they were drawn on",
            "make a label map of them with the command segment --labels",
        )
    segments, remarks = read_rtstruct(path, dataset, reference)
    labels, overlaps = merge_segments(segments, reference, path.name)
    return labels, (*remarks, *overlaps)


def _dataset(path: Path) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise InputError(
            f"{path}, a DICOM object",
            "the package pydicom to read it with",
            'run pip install "elastic-hyperreg[dicom]"',
        ) from error
    try:
        return pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError, OSError) as error:
        raise InputError(f"{path} is damaged or cut short", "a complete DICOM file") from error


def _layers(path: Path) -> tuple[list[Segment], Grid] | None:
    """Segments of a ``.seg.nrrd`` with several layers; ``None`` for any other NRRD.

    Before 4.11 3D Slicer gave each segment a layer of its own, in order, and named no value.
    """
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        described = [s for s in slicer_segments(reader) if "Name" in s]
        if reader.GetNumberOfComponents() < 2 or not described or reader.GetDimension() != 3:
            return None
        volume = reader.Execute()
    values = sitk.GetArrayFromImage(volume)  # (K, J, I, layer)
    segments = []
    for number, told in enumerate(described):
        value = whole_number(told, "LabelValue", 1)
        layer = whole_number(told, "Layer", 0 if "LabelValue" in told else number)
        if layer >= values.shape[-1]:
            raise InputError(
                f"{path}: {told['Name']} in layer {layer}", f"one of {values.shape[-1]} layers"
            )
        segments.append(Segment(told["Name"], values[..., layer] == value))
    return segments, grid_of(volume)

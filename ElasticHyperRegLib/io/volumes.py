"""Volumes and label maps: NIfTI, NRRD, MetaImage and folders of DICOM slices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..types import Grid, Image, LabelMap
from .dicom import read_series
from .integrity import check_complete, existing_file
from .itk import array_to_sitk, from_sitk, grid_of, reading
from .outputs import writing

READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")
_FORMATS = "a volume in NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha) format"
_SEGMENT_KEY = re.compile(r"Segment(\d+)_(Name|LabelValue)")


def read_image(path: str | Path) -> Image:
    """Read one scalar volume, float32 in its own units, world RAS.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with the slices of one DICOM series.

    Raises:
        InputError: the file is missing, damaged, cut short or no image; the image is 2D, 4D, a
            vector or colour image, constant, or holds NaN or infinite voxels; its geometry is
            impossible or sheared; the folder holds several series or lacks slices.
    """
    path = Path(path)
    image = from_sitk(_read_scalar_volume(path), path.name)
    _refuse_non_finite(image.data, path)
    if image.data.min() == image.data.max():
        raise InputError(
            f"{path}: every voxel is {float(image.data.min()):g}",
            "an image with some contrast",
            "check the export",
        )
    return image


def read_labels(path: str | Path, names: Mapping[int, str] | None = None) -> LabelMap:
    """Read a label map, int32; segment names of a 3D Slicer ``.seg.nrrd`` become tissue names.

    Args:
        path: as for ``read_image``.
        names: label value → tissue name; wins over names in the file.

    Raises:
        InputError: as ``read_image``; a value is no whole number or negative; nothing is labelled.
    """
    path = Path(path)
    volume = _read_scalar_volume(path)
    values = sitk.GetArrayFromImage(volume)
    _refuse_unlabelled(values, path)
    data = torch.from_numpy(values.astype(np.int32))[None, None]
    return LabelMap(data, grid_of(volume), {**_segment_names(volume), **(names or {})}, path.name)


def write_image(image: Image, path: str | Path, dtype: str | None = None) -> None:
    """Write an image in the format that its suffix names.

    Args:
        path: ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``; an existing file is replaced.
        dtype: pixel type, by default the one the image was read with. Integers are rounded and
            kept within the range of the type.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    target = np.dtype(dtype or image.dtype)
    values = image.data.detach().cpu().numpy()[0, 0]
    if np.issubdtype(target, np.integer):
        limits = np.iinfo(target)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    _write_array(values.astype(target), image.grid, Path(path))


def write_labels(labels: LabelMap, path: str | Path) -> None:
    """Write a label map in the smallest of uint8, int16 and int32 that holds its values.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    values = labels.data.detach().cpu().numpy()[0, 0]
    low, high = values.min(), values.max()
    fitting = (
        t for t in (np.uint8, np.int16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max
    )
    _write_array(values.astype(next(fitting, np.int32)), labels.grid, Path(path))


def _read_scalar_volume(path: Path) -> sitk.Image:
    if path.is_dir():
        volume = read_series(path)
    else:
        existing_file(path)
        _known_suffix(path, READABLE, f"{_FORMATS}, or a folder of DICOM slices")
        check_complete(path)
        with reading(path):
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            _refuse_other_shapes(reader, path)
            volume = reader.Execute()
    try:
        grid_of(volume)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return volume


def _known_suffix(path: Path, suffixes: tuple[str, ...], expected: str) -> None:
    if not path.name.lower().endswith(suffixes):
        raise InputError(f"{path}", expected, "convert it first")


def _refuse_other_shapes(reader: sitk.ImageFileReader, path: Path) -> None:
    sizes = "×".join(str(n) for n in reader.GetSize())
    components = reader.GetNumberOfComponents()
    if components > 1 and reader.HasMetaDataKey("Segmentation_MasterRepresentation"):
        raise InputError(
            f"{path}: overlapping segments in {components} layers",
            "one layer",
            "export the segmentation as a label map",
        )
    if reader.GetDimension() > 3:
        raise InputError(
            f"{path}: {sizes}, {reader.GetDimension()}D", "a 3D volume", "extract one volume"
        )
    if reader.GetDimension() < 3 or min(reader.GetSize()) < 2:
        raise InputError(
            f"{path}: {sizes}, a single slice", "a 3D volume", "give the whole stack of slices"
        )
    if components > 1 or "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(
            f"{path}: {max(components, 2)} values per voxel (a vector, colour or complex image)",
            "one value per voxel",
            "extract one component",
        )


def _refuse_non_finite(data: torch.Tensor, path: Path) -> None:
    bad = int((~torch.isfinite(data)).sum())
    if bad:
        raise InputError(
            f"{path}: {bad} of {data.numel()} voxels are NaN or infinite",
            "finite values",
            "replace them by the background value",
        )


def _refuse_unlabelled(values: np.ndarray, path: Path) -> None:
    if values.dtype.kind == "f":
        _refuse_non_finite(torch.from_numpy(values), path)
        fractional = int((values != np.rint(values)).sum())
        if fractional:
            raise InputError(
                f"{path}: {fractional} voxels are no whole numbers",
                "a label map",
                "give a segmentation, resampled with nearest neighbour",
            )
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        raise InputError(
            f"{path}: values from {values.min():g} to {values.max():g}",
            "labels from 0 (background) upwards",
            "is it an image rather than a label map?",
        )
    if not values.any():
        raise InputError(f"{path}: no labelled voxel", "at least one label above 0")


def _segment_names(volume: sitk.Image) -> dict[int, str]:
    """Label value → segment name, from what 3D Slicer writes into a ``.seg.nrrd``."""
    segments: dict[str, dict[str, str]] = {}
    for key in volume.GetMetaDataKeys():
        if match := _SEGMENT_KEY.fullmatch(key):
            segments.setdefault(match[1], {})[match[2]] = volume.GetMetaData(key)
    return {
        int(found["LabelValue"]): found["Name"] for found in segments.values() if len(found) == 2
    }


def _write_array(values: np.ndarray, grid: Grid, path: Path) -> None:
    _known_suffix(path, WRITABLE, _FORMATS)
    with writing(path):
        if path.name.lower().endswith((".nii", ".nii.gz")):
            _write_nifti(values, grid, path)
        else:
            sitk.WriteImage(array_to_sitk(values, grid), str(path), useCompression=True)


def _write_nifti(values: np.ndarray, grid: Grid, path: Path) -> None:
    """With nibabel: ITK says nothing when the disk fills up under a NIfTI file."""
    affine = np.eye(4)
    affine[: grid.ndim, : grid.ndim] = grid.ijk_to_ras[: grid.ndim, : grid.ndim]
    affine[: grid.ndim, 3] = grid.origin
    image = nib.Nifti1Image(values.T, affine, dtype=values.dtype)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    nib.save(image, path)

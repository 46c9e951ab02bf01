"""Volumes and label maps: NIfTI, NRRD, MetaImage and folders of DICOM slices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..types import Grid, Image, LabelMap
from .detached import check_inside
from .dicom import read_series
from .integrity import (
    ANYWHERE,
    Bounds,
    check_complete,
    existing_file,
    refuse_large,
)
from .itk import array_to_sitk, from_sitk, grid_of, reading
from .label_names import name_table, names_in_nifti, names_in_nrrd, put_names_in_nrrd
from .outputs import writing

_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
"""Left to choose by content, ITK takes HDF5 under any name, which may link to any other file."""
READABLE = tuple(_READERS)
WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")
_FORMATS = "a volume in NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha) format"


def read_image(path: str | Path, bounds: Bounds = ANYWHERE) -> Image:
    """Read one scalar volume, float32 in its own units, world RAS.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with the slices of one DICOM series.
        bounds: that a stranger's file is held to.

    Raises:
        InputError: the file is missing, damaged, cut short, out of bounds or no image; the image
            is 2D, 4D, a vector or colour image, constant, or holds NaN or infinite voxels; its
            geometry is impossible or sheared; the folder holds several series or lacks slices.
    """
    path = Path(path)
    image = from_sitk(_read_scalar_volume(path, bounds), path.name)
    _refuse_non_finite(image.data, path)
    if image.data.min() == image.data.max():
        raise InputError(
            f"{path}: every voxel is {float(image.data.min()):g}",
            "an image with some contrast",
            "check the export",
        )
    return image


def read_grid(path: str | Path) -> Grid:
    """Where the voxels of a volume lie, whatever they show.

    Raises:
        InputError: as ``read_image``, but for what the voxels hold.
    """
    return grid_of(_read_scalar_volume(Path(path), ANYWHERE, of_numbers=False))


def read_labels(
    path: str | Path, names: Mapping[int, str] | None = None, bounds: Bounds = ANYWHERE
) -> LabelMap:
    """Read a label map, int32, with the names in its file.

    Names are the segments' of a 3D Slicer ``.seg.nrrd``, or those of the label table of a NIfTI
    file. ``read_segmentation`` reads more formats.

    Args:
        path: as for ``read_image``.
        names: label value → tissue name; wins over names in the file.
        bounds: as for ``read_image``.

    Raises:
        InputError: as ``read_image``; a value is no whole number or negative; nothing is labelled.
    """
    path = Path(path)
    volume = _read_scalar_volume(path, bounds)
    values = sitk.GetArrayFromImage(volume)
    _refuse_unlabelled(values, path)
    data = torch.from_numpy(values.astype(np.int32))[None, None]
    return LabelMap(
        data, grid_of(volume), {**_names_in_file(path, volume), **(names or {})}, path.name
    )


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
    _write_array(values.astype(target), image.grid, Path(path), {})


def write_labels(labels: LabelMap, path: str | Path) -> None:
    """Write a label map in the smallest of uint8, int16 and int32 that holds its values.

    Its names go into a NIfTI file as a label table, into an NRRD file as 3D Slicer names segments;
    ``read_labels`` finds them there. MetaImage keeps none.

    Args:
        path: ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``; an existing file is replaced.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    values = labels.data.detach().cpu().numpy()[0, 0]
    low, high = values.min(), values.max()
    fitting = (
        t for t in (np.uint8, np.int16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max
    )
    pixels = values.astype(next(fitting, np.int32))
    _write_array(pixels, labels.grid, Path(path), labels.names)


def _read_scalar_volume(path: Path, bounds: Bounds, of_numbers: bool = True) -> sitk.Image:
    """``of_numbers``: whether NaN and infinite voxels, which ITK may read as 0, are refused."""
    if not path.is_dir():
        existing_file(path)
        _known_suffix(path, READABLE, f"{_FORMATS}, or a folder of DICOM slices")
    if bounds.inside is not None:
        check_inside(path, bounds.inside)
    volume = _read_slices(path, bounds) if path.is_dir() else _read_file(path, bounds, of_numbers)
    try:
        grid_of(volume)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return volume


def _read_file(path: Path, bounds: Bounds, of_numbers: bool) -> sitk.Image:
    check_complete(path, bounds.most_bytes, of_numbers)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(next(io for end, io in _READERS.items() if path.name.lower().endswith(end)))
    with reading(path) as name:
        reader.SetFileName(name)
        reader.ReadImageInformation()
        _refuse_other_shapes(reader, path)
        refuse_large(path, _bytes(reader), bounds.most_bytes)
        size = reader.GetSize()
        reader.SetExtractSize((*size[:3], *[0] * (len(size) - 3)))  # of one point in time
        return reader.Execute()


def _read_slices(folder: Path, bounds: Bounds) -> sitk.Image:
    if bounds.most_bytes < math.inf:
        reader, total = sitk.ImageFileReader(), 0
        with reading(folder):
            for path in sorted(folder.iterdir()):
                reader.SetFileName(str(path))
                with suppress(RuntimeError):  # no slice: read_series says more of it
                    reader.ReadImageInformation()
                    total += _bytes(reader)
        refuse_large(folder, total, bounds.most_bytes)
    return read_series(folder)


def _bytes(reader: sitk.ImageFileReader) -> int:
    """That the voxels take, by what is read of their header."""
    bits = re.search(r"\d+", sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    voxels = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    return voxels * (int(bits[0]) if bits else 64) // 8


def check_writable(path: str | Path) -> None:
    """Refuse the name of a file in a format that no volume is written in.

    Raises:
        InputError: an unknown suffix.
    """
    _known_suffix(Path(path), WRITABLE, _FORMATS)


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
            "make a label map of it with the command segment --labels",
        )
    if math.prod(reader.GetSize()[3:]) > 1:
        raise InputError(
            f"{path}: {sizes}, {reader.GetDimension()}D", "a 3D volume", "extract one volume"
        )
    if reader.GetDimension() < 3 or min(reader.GetSize()[:3]) < 2:
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


def _names_in_file(path: Path, volume: sitk.Image) -> dict[int, str]:
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return names_in_nifti(path)
    return names_in_nrrd(volume)


def _write_array(values: np.ndarray, grid: Grid, path: Path, names: Mapping[int, str]) -> None:
    check_writable(path)
    with writing(path):
        if path.name.lower().endswith((".nii", ".nii.gz")):
            _write_nifti(values, grid, path, names)
            return
        volume = array_to_sitk(values, grid)
        if names and path.name.lower().endswith(".nrrd"):
            put_names_in_nrrd(volume, names)
        sitk.WriteImage(volume, str(path), useCompression=True)


def _write_nifti(values: np.ndarray, grid: Grid, path: Path, names: Mapping[int, str]) -> None:
    """With nibabel: ITK says nothing when the disk fills up under a NIfTI file."""
    affine = np.eye(4)
    affine[: grid.ndim, : grid.ndim] = grid.ijk_to_ras[: grid.ndim, : grid.ndim]
    affine[: grid.ndim, 3] = grid.origin
    image = nib.Nifti1Image(values.T, affine, dtype=values.dtype)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    if names:
        image.header.extensions.append(name_table(names))
    nib.save(image, path)

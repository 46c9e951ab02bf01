"""A folder with the slices of one DICOM series."""

from __future__ import annotations

import math
import mmap
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .itk import reading
from .outputs import check_name

UNEVEN = 0.1
"""Slice gaps may differ by this part of the median gap (positions are rounded in some headers)."""
ROUNDED = 1e-3
"""Likewise sides of pixels."""

_POSITION, _ORIENTATION = "0020|0032", "0020|0037"
_FRAMES, _DESCRIPTION, _MODALITY = "0028|0008", "0008|103e", "0008|0060"
_INTERCEPT, _SLOPE, _COLOURS = "0028|1052", "0028|1053", "0028|0002"
_SIGNED, _BITS, _SIDES = "0028|0103", "0028|0100", "0028|0030"
_VALUES = (_SLOPE, _INTERCEPT, _SIGNED, _BITS)
_WANTED = (*_VALUES, _POSITION, _ORIENTATION, _SIDES, _FRAMES, _DESCRIPTION, _MODALITY, _COLOURS)
_NEEDED = {
    _POSITION: "position (ImagePositionPatient)",
    _ORIENTATION: "orientation (ImageOrientationPatient)",
    _SIDES: "size of their pixels (PixelSpacing)",
}
_NO_IMAGE = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(481\.[3-9]|88|11|104|66\.[135])(\.\d+)*")
"""Classes of objects that come with images: structure sets and plans, reports, presentation states,
documents, registrations."""
_CLASS = b"\x02\x00\x02\x00UI"
"""Tag and type of the class of an object in the head of its file."""
_PIXELS = b"\xe0\x7f\x10\x00"
"""Tag of the pixels, before their type and length."""
HEAD = 1024


def read_series(folder: Path) -> sitk.Image:
    """Read the one DICOM series of ``folder`` as a volume.

    Raises:
        InputError: no series or several; unreadable, missing, doubled or unevenly spaced slices;
            a tilted gantry; a multi-frame file.
    """
    files = _slices_of_one_series(folder)
    with reading(folder):
        headers = [_header(file) for file in files]
    _check_geometry(folder, headers)
    with reading(folder):
        # ITK takes the type of the first slice, which need not hold the values of the others.
        kinds = {tuple(header.get(key) for key in _VALUES) for header in headers}
        return sitk.ReadImage(files, sitk.sitkUnknown if len(kinds) == 1 else sitk.sitkFloat32)


def _slices_of_one_series(folder: Path) -> list[str]:
    for file in folder.iterdir():
        check_name(file)
    with reading(folder):
        series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        files = {
            uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in series
        }
        described = [f"{_describe(names[0])} ({len(names)} files)" for names in files.values()]
    if not files:
        raise InputError(
            f"{folder} holds no DICOM slices", "the folder of one series", "check the path"
        )
    if len(files) > 1:
        raise InputError(
            f"{folder} holds {len(files)} DICOM series: {', '.join(described)}",
            "one series",
            "put the wanted one into a folder of its own",
        )
    names = list(next(iter(files.values())))
    _refuse_unreadable(folder, {Path(name).name for name in names})
    return names


def _describe(file: str) -> str:
    header = _header(file)
    words = (header.get(_MODALITY, "").strip(), header.get(_DESCRIPTION, "").strip())
    return " ".join(word for word in words if word) or "without description"


def _header(file: str) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    header = {key: reader.GetMetaData(key) for key in _WANTED if reader.HasMetaDataKey(key)}
    header["pixel"] = "\\".join(str(side) for side in reader.GetSpacing()[:2])
    _refuse_cut(Path(file), math.prod(reader.GetSize()[:2]), header)
    return header


def _refuse_cut(path: Path, pixels: int, header: dict[str, str]) -> None:
    """Refuse a slice whose pixels end early: SimpleITK before 2.5.4 makes up what is missing."""
    told = header.get(_BITS, "").strip(), header.get(_COLOURS, "1").strip()
    if not all(text.isdecimal() for text in told):
        return
    wanted = pixels * int(told[0]) // 8 * int(told[1])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_PIXELS)
        while at >= 0:
            begin = at + (12 if content[at + 4 : at + 6] in (b"OB", b"OW") else 8)
            length = int.from_bytes(content[begin - 4 : begin], "little")
            if length in (wanted, wanted + 1):  # else compressed, or a number that looks so
                if begin + length > len(content):
                    raise _unreadable(path)
                return
            at = content.find(_PIXELS, at + 1)


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"{path} cannot be read as a DICOM slice",
        "a complete, undamaged series",
        "copy or export it again",
    )


def _refuse_unreadable(folder: Path, names: set[str]) -> None:
    """GDCM passes over a damaged slice in silence; at either end nobody would miss it."""
    for path in sorted(folder.iterdir()):
        known = path.name in names or path.name.upper() == "DICOMDIR"
        if known or path.name.startswith("._") or not path.is_file():  # macOS keeps those beside
            continue
        with path.open("rb") as file:
            file.seek(128)
            head = file.read(HEAD)
        is_dicom = head.startswith(b"DICM")
        if is_dicom and _NO_IMAGE.fullmatch(_class_of(head)):
            continue
        if is_dicom or path.suffix.lower() == ".dcm":
            raise _unreadable(path)


def _class_of(head: bytes) -> str:
    """SOP class of the object whose file begins so, "" where it does not tell."""
    place = head.find(_CLASS)
    if place < 0:
        return ""
    begin = place + len(_CLASS) + 2
    length = int.from_bytes(head[begin - 2 : begin], "little")
    return head[begin : begin + length].decode("ascii", "replace").rstrip("\0 ")


def _check_geometry(folder: Path, headers: list[dict[str, str]]) -> None:
    if len(headers) < 2:
        frames = headers[0].get(_FRAMES, "1").strip()
        fault = "one multi-frame file" if frames not in ("", "1") else "a single slice"
        raise InputError(
            f"{folder} holds {fault}", "one file for each of several slices", "convert it to NIfTI"
        )
    pixel = _smallest_pixel(folder, headers)
    axes = np.array([_vector(folder, header, _ORIENTATION, 6) for header in headers])
    if np.abs(axes - axes[0]).max() > 1e-3:
        raise InputError(
            f"{folder}: slices of different orientations",
            "parallel slices",
            "put the wanted ones into a folder of their own",
        )
    normal = np.cross(axes[0, :3], axes[0, 3:])
    positions = np.array([_vector(folder, header, _POSITION, 3) for header in headers])
    positions = positions[np.argsort(positions @ normal)]
    _check_gaps(folder, positions @ normal)
    sideways = (positions - positions[0]) - np.outer((positions - positions[0]) @ normal, normal)
    if np.linalg.norm(sideways, axis=1).max() > pixel:
        raise InputError(
            f"{folder}: each slice is shifted against the last (a tilted gantry)",
            "slices stacked at right angles",
            "resample the series to a straight volume first",
        )


def _smallest_pixel(folder: Path, headers: list[dict[str, str]]) -> float:
    """Its shorter side, mm, where all slices have pixels of one size and one value."""
    if any(header.get(_COLOURS, "1").strip() != "1" for header in headers):
        raise InputError(
            f"{folder}: slices in colour", "one value a voxel", "convert them to grey values"
        )
    told = [_vector(folder, header, _SIDES, 2) for header in headers]
    if min(map(min, told)) <= 0:  # of which, as of none, ITK makes a millimetre
        raise InputError(f"{folder}: slices without {_NEEDED[_SIDES]}", "sides above zero")
    sizes = np.array([_numbers(header["pixel"]) for header in headers])
    if np.ptp(sizes, axis=0).max() > ROUNDED * sizes.min():
        raise InputError(
            f"{folder}: slices with pixels of {sizes.min():.4g} and {sizes.max():.4g} mm",
            "pixels of one size",
            "put the wanted ones into a folder of their own",
        )
    return float(sizes.min())


def _check_gaps(folder: Path, depths: np.ndarray) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    doubled = int((gaps < 1e-3).sum())
    if doubled:
        raise InputError(
            f"{folder}: {doubled} slices lie where another one lies",
            "one slice at each position",
            "keep one time point or echo",
        )
    worst = int(np.argmax(np.abs(gaps - usual)))
    if abs(gaps[worst] - usual) > UNEVEN * usual:
        missing = round(gaps[worst] / usual) - 1
        absent = "1 slice missing" if missing == 1 else f"{missing} slices missing"
        fault = absent if missing > 0 else "uneven slice spacing"
        raise InputError(
            f"{folder}: {fault}, a gap of {gaps[worst]:.3g} mm among gaps of {usual:.3g} mm"
            f" after slice {worst + 1} of {len(depths)}",
            "evenly spaced slices",
            "export the whole series again",
        )


def _vector(folder: Path, header: dict[str, str], key: str, length: int) -> list[float]:
    """So many finite numbers under ``key``, one of ``_NEEDED``; it may be missing or wrong."""
    try:
        numbers = _numbers(header.get(key, ""))
    except ValueError:
        numbers = []
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise InputError(f"{folder}: slices without {_NEEDED[key]}", "it in every slice")
    return numbers


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split("\\")]

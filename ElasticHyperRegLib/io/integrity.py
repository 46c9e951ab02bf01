"""Is a file there, is all of it there, and does it keep within bounds?

ITK fills what is missing of a truncated NIfTI file with zeros, reads NaN as 0 and a spacing of
0 as 1, and takes a damaged compressed MetaImage as it comes, all without a word: a wrong image
would be registered. NRRD and DICOM need no help, ITK refuses them.

A header may name any file of the machine as that of its voxels, and these may unpack to a thousand
times the file's size. That is the owner's right; a stranger's file is held to ``Bounds``.
"""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ..errors import InputError
from .outputs import check_name

LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_PACKED_BLOCK = 1 << 14
"""A thousand times as much may come out of it."""
_NIFTI_HEADER = 348
_NIFTI_2 = 540
"""Bytes of its header, with which it begins; ITK does not read it."""
_NIFTI_MATRICES = {
    "sform_code": ("srow_x", "srow_y", "srow_z"),
    "qform_code": (*(f"quatern_{i}" for i in "bcd"), *(f"qoffset_{i}" for i in "xyz")),
}
SCALE_TOLERANCE = 0.01
_MAX_HEADER = 1 << 16
_META_BYTES = {
    **dict.fromkeys(("MET_UCHAR", "MET_CHAR"), 1),
    **dict.fromkeys(("MET_USHORT", "MET_SHORT"), 2),
    **dict.fromkeys(("MET_UINT", "MET_INT", "MET_ULONG", "MET_LONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_ULONG_LONG", "MET_LONG_LONG", "MET_DOUBLE"), 8),
}
META_LOCAL = ("LOCAL", "Local", "local")
_META_GEOMETRY = (
    *("Offset", "Position", "Origin", "ElementSpacing", "ElementSize"),
    *("TransformMatrix", "Rotation", "Orientation"),
)
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Bounds:
    """How far a file may lead that somebody else gave; by default anywhere.

    Attributes:
        inside: folder that it and its voxels have to lie in, links followed; None for no matter.
        most_bytes: that its voxels may take, unpacked.
    """

    inside: Path | None = None
    most_bytes: float = math.inf


ANYWHERE = Bounds()


def existing_file(path: str | Path) -> Path:
    """``path``, if a file with something in it that may be read stands there.

    Raises:
        InputError: no such file, a folder, an empty file, no permission.
    """
    path = Path(path)
    check_name(path)
    if not path.exists():
        raise InputError(f"{path} does not exist", action="check the path")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise InputError(f"{path} is {kind}", "one file")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path} is empty", action="copy or export it again")
    except PermissionError as error:
        raise InputError(f"{path} may not be read", action="check its permissions") from error
    return path


def check_complete(path: Path, most_bytes: float = math.inf, of_numbers: bool = True) -> None:
    """Refuse a NIfTI, MetaImage or HDF5 file that ends too early, is damaged or too large.

    Args:
        path: of the file.
        most_bytes: that its voxels may take, unpacked.
        of_numbers: whether NaN and infinite voxels of a NIfTI file are refused too.

    Raises:
        InputError: bytes are missing, the compressed stream is broken or holds more than
            ``most_bytes``, the header is none or, in a NIfTI file, voxels are NaN or infinite.
    """
    checks: dict[str, Callable[[Path, float], None]] = {
        ".nii": partial(_check_nifti, of_numbers=of_numbers),
        ".nii.gz": partial(_check_nifti, of_numbers=of_numbers),
        ".mha": _check_metaimage,
        ".mhd": _check_metaimage,
        ".h5": _check_hdf5,
        ".hdf5": _check_hdf5,
    }
    for suffix, check in checks.items():
        if path.name.lower().endswith(suffix):
            check(path, most_bytes)


def _check_nifti(path: Path, most_bytes: float, of_numbers: bool) -> None:
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = _nifti_header(file.read(_NIFTI_HEADER), path)
            pixel, voxels = header.get_data_dtype(), math.prod(header.get_data_shape())
            offset, present, bad = int(header["vox_offset"]), 0, 0
            refuse_large(path, offset + voxels * pixel.itemsize, most_bytes)
            file.seek(offset)
            while block := file.read(_BLOCK):
                present += len(block)
                refuse_large(path, offset + present, most_bytes)
                if pixel.kind == "f":
                    whole = len(block) - len(block) % pixel.itemsize
                    bad += int((~np.isfinite(np.frombuffer(block[:whole], pixel))).sum())
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(path) from error
    _refuse_short(path, present, voxels * pixel.itemsize)
    if bad and of_numbers:
        raise InputError(
            f"{path}: {bad} of {voxels} voxels are NaN or infinite",
            "finite values",
            "replace them by the background value",
        )


def _nifti_header(start: bytes, path: Path) -> Any:
    """The header, read raw: what only ITK needs to understand is left to ITK."""
    if _NIFTI_2 in (int.from_bytes(start[:4], order) for order in ("little", "big")):
        raise InputError(f"{path} is a NIfTI-2 file", "NIfTI-1", "convert it first")
    try:
        header = nib.Nifti1Header(start[: nib.Nifti1Header.sizeof_hdr], check=False)
        shape = header.get_data_shape()
        sound = header.get_data_dtype().itemsize > 0 and min(shape, default=1) > 0
    except (HeaderDataError, WrapStructError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a NIfTI image", action="check the file") from error
    if not (sound and bytes(header["magic"]).startswith(b"n+")):
        raise InputError(f"{path} is not a NIfTI image", action="check the file")
    spacing = header["pixdim"][1 : 1 + min(len(shape), 3)]
    if not (np.isfinite(spacing) & (spacing != 0)).all():
        raise InputError(
            f"{path}: a voxel spacing of {spacing.tolist()} mm",
            "spacings above zero",
            "correct the header",
        )
    _refuse_endless_geometry(header, path)
    _refuse_two_scales(header, path)
    _refuse_two_places(header, path)
    return header


def _refuse_endless_geometry(header: Any, path: Path) -> None:
    """What the header counts with; a matrix whose code is 0 may hold anything."""
    named = ["vox_offset"]
    for code, names in _NIFTI_MATRICES.items():
        named += names if header[code] > 0 else ()
    bad = [name for name in named if not np.isfinite(header[name]).all()]
    if bad:
        raise InputError(
            f"{path}: {', '.join(bad)} of the header NaN or infinite",
            "finite millimetres",
            "correct the header",
        )


def _refuse_two_scales(header: Any, path: Path) -> None:
    """Voxels of one size by pixdim, which ITK takes, and of another by the sform alone.

    Columns of length 1 tell directions and no size: so several programs write them.
    """
    if header["sform_code"] == 0 or header["qform_code"] > 0 or header["dim"][0] < 3:
        return
    columns = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    spacing = np.abs(header["pixdim"][1:4])
    other = np.abs(columns - spacing) > SCALE_TOLERANCE * spacing
    if other.any() and (np.abs(columns - 1) > SCALE_TOLERANCE).any():
        raise InputError(
            f"{path}: voxels of {_sides(spacing)} mm (pixdim) and of {_sides(columns)} mm (sform)",
            "one size",
            "correct the header, which may have been written with set_sform alone",
        )


def _refuse_two_places(header: Any, path: Path) -> None:
    """A qform and an sform that put the voxels elsewhere: programs differ in which they take.

    Where they are of two spaces, as of the scanner and of an atlas, they may: that is told.
    """
    codes = int(header["qform_code"]), int(header["sform_code"])
    if min(codes) <= 0 or header["dim"][0] < 3:
        return
    try:
        qform = header.get_qform()
    except (ValueError, HeaderDataError):
        return  # a quaternion a little too long, a side below 0: ITK takes them as they are meant
    corners = np.array(list(np.ndindex(2, 2, 2))) * (header["dim"][1:4] - 1)
    apart = (header.get_sform() - qform) @ np.column_stack([corners, np.ones(8)]).T
    furthest = float(np.linalg.norm(apart[:3], axis=0).max())
    if furthest <= max(np.abs(header["pixdim"][1:4])) / 2:
        return
    told = f"{path}: qform and sform put its voxels up to {furthest:.3g} mm apart"
    if codes[0] == codes[1]:
        raise InputError(told, "one place", "set one as the other is, with nibabel's set_qform")
    LOG.warning("%s; taken is what ITK and 3D Slicer take", told)


def _sides(lengths: np.ndarray) -> str:
    return "×".join(f"{length:.4g}" for length in lengths)


def _check_metaimage(path: Path, most_bytes: float) -> None:
    header, offset = _metaimage_header(path)
    data_file = header.get("ElementDataFile", "")
    pixel = _META_BYTES.get(header.get("ElementType", ""))
    values = _metaimage_values(header)
    if not (values and data_file and pixel):
        raise InputError(f"{path} is not a MetaImage", action="check the file")
    needed = values * pixel
    refuse_large(path, needed, most_bytes)
    packed = header.get("CompressedData", "").lower() == "true"
    binary = header.get("BinaryData", "true").lower() == "true"
    if data_file not in META_LOCAL:
        if "%" in data_file or data_file.startswith("LIST"):
            files = _slice_files(path, header, offset)
            _check_slices(path, files, needed, binary and not packed)
            return
        path, offset = existing_file(path.parent / data_file), 0
    with path.open("rb") as file:
        file.seek(offset)
        present = _inflated_size(file, path, most_bytes) if packed else path.stat().st_size - offset
    if binary:
        _refuse_short(path, present, needed)


def _slice_files(path: Path, header: dict[str, str], offset: int) -> list[Path]:
    """The files of a MetaImage that has several: listed after its header, or numbered.

    As ITK reads them: ``LIST`` or ``LIST 2D``, or ``NAME%03d first last step`` (without numbers one
    for each slice from 1 on; two of three it does not survive).
    """
    data_file, size = header["ElementDataFile"], [int(n) for n in header["DimSize"].split()]
    words, count = data_file.split(), size[-1]
    try:
        if words[0] == "LIST":
            each = int(words[1].rstrip("Dd")) if len(words) > 1 else len(size) - 1
            if not 1 <= each < len(size):
                raise ValueError("as many dimensions as the image")
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.read().decode("utf-8", "surrogateescape").splitlines()
            names, count = [line.strip() for line in lines if line.strip()], math.prod(size[each:])
        elif len(words) == 3:
            raise ValueError("two numbers")
        else:
            numbers = [int(word) for word in words[-3:]] if len(words) > 3 else []
            name = data_file.rsplit(maxsplit=3)[0] if numbers else words[0]
            first = numbers[0] if numbers else int((*words, "1")[1])
            last, step = numbers[1:] or (first + count - 1, 1)
            names = [name % number for number in islice(range(first, last + 1, step), count)]
    except (TypeError, ValueError) as error:
        form = "LIST, LIST 2D or a pattern such as s%03d.raw 1 20 1"
        raise InputError(f"{path}: data in '{data_file}'", form, "check the header") from error
    if not names:
        raise InputError(f"{path}: a list of no files", "one for each slice", "check the header")
    return [path.parent / name for name in names[:count]]


def _check_slices(path: Path, files: list[Path], needed: int, plain: bool) -> None:
    """ITK leaves the voxels of files that are missing at the end of the list as memory was.

    ``plain``: neither compressed nor text, so that each byte counts.
    """
    present = [existing_file(file).stat().st_size for file in files]
    if plain:
        _refuse_short(path, sum(present), needed)
        for file, size in zip(files, present, strict=True):
            _refuse_short(file, size, needed // len(files))


def _metaimage_values(header: dict[str, str]) -> int:
    """How many numbers the voxels are; 0 where size or geometry are none."""
    try:
        size = [int(n) for n in header["DimSize"].split()]
        placed = " ".join(header.get(key, "") for key in _META_GEOMETRY).split()
        sound = len(size) == int(header["NDims"]) and all(math.isfinite(float(v)) for v in placed)
        channels = int(header.get("ElementNumberOfChannels", 1))
    except (KeyError, ValueError):
        return 0
    return math.prod(size) * channels if sound and min(size, default=0) > 0 else 0


def _metaimage_header(path: Path) -> tuple[dict[str, str], int]:
    """The ``Key = value`` lines and where the data begins; ``ElementDataFile`` is the last."""
    header: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in header and file.tell() < _MAX_HEADER:
            line = file.readline(_MAX_HEADER)
            if not line:
                break
            key, _, value = line.decode("utf-8", "surrogateescape").partition("=")
            header[key.strip()] = value.strip()
        return header, file.tell()


def _inflated_size(file: BinaryIO, path: Path, most_bytes: float) -> int:
    stream, size = zlib.decompressobj(zlib.MAX_WBITS | 32), 0  # 32: zlib or gzip, as found
    try:
        while not stream.eof and (block := file.read(_PACKED_BLOCK)):
            size += len(stream.decompress(block))
            refuse_large(path, size, most_bytes)
    except zlib.error as error:
        raise _damaged(path) from error
    if not stream.eof:
        raise _damaged(path)
    return size


def _check_hdf5(path: Path, _most_bytes: float) -> None:
    """The superblock holds the length of the file; HDF5 itself prints pages about a short one."""
    with path.open("rb") as file:
        start = file.read(48)
    if not start.startswith(_HDF5_SIGNATURE) or len(start) < 48:
        raise InputError(f"{path} is not an HDF5 file", "a transform file", "check the file")
    end = start[40:48] if start[8] < 2 else start[28:36]
    _refuse_short(path, path.stat().st_size, int.from_bytes(end, "little"))


def refuse_large(path: Path, needed: float, most_bytes: float) -> None:
    """Refuse what unpacks to more bytes than it may.

    Raises:
        InputError: it does.
    """
    if needed > most_bytes:
        raise InputError(
            f"{path} unpacks to {needed / 2**20:.0f} MiB or more",
            f"at most {most_bytes / 2**20:.0f} MiB",
            "crop it",
        )


def _refuse_short(path: Path, present: int, needed: int) -> None:
    if present < needed:
        raise InputError(
            f"{path} is cut short: {present} of {needed} bytes",
            "a complete file",
            "copy or export it again",
        )


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is damaged or cut short", "a complete file", "copy or export it again"
    )

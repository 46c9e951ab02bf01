"""Zipped DICOM: unpacked only where that is safe."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ElasticHyperRegLib.errors import InputError

MOST_FILES = 20_000
MOST_RATIO = 200
"""DICOM slices compress by less than 100; a bomb by some 1000."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What others pack comes out in one piece, however large."""
SMALL = 1 << 20
BLOCK = 1 << 20
FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)


def unpack(archive: Path, folder: Path, most_bytes: int) -> Path:
    """Unpack a zip of DICOM slices into the new ``folder``.

    Args:
        archive: the zip file.
        folder: does not exist yet; afterwards holds the files of the archive, flat, numbered.
        most_bytes: they may have together.

    Returns:
        ``folder``.

    Raises:
        InputError: no zip file, damaged, encrypted, too large, or it holds names that lead out
            of the folder, links, or further archives.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [info for info in opened.infolist() if not info.filename.endswith("/")]
            files = [_checked(info) for info in found]
            files = [info for info in files if not _is_litter(info.filename)]
            _check_amount(files, most_bytes)
            folder.mkdir(parents=True)
            left = most_bytes
            for number, info in enumerate(files):
                left = _write(opened, info, folder / f"{number:05d}.dcm", left)
    except FAULTS as error:
        raise InputError(
            f"an archive that cannot be read ({error})", "a zip file of DICOM slices", "zip anew"
        ) from error
    return folder


def _checked(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(
            f"an archive with the name {info.filename!r}", "names inside the archive", "zip anew"
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError(
            f"an archive in which {info.filename!r} is no plain file", "plain files only"
        )
    if info.compress_type not in METHODS:
        raise InputError(
            "an archive packed in an unusual way", "a plain zip file (deflated)", "zip anew"
        )
    if info.flag_bits & 1:
        raise InputError("an encrypted archive", "a zip file without a password", "zip anew")
    return info


def _is_litter(name: str) -> bool:
    """What file managers add, and the table of contents of a DICOM disc."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(".") or path.name == "DICOMDIR"


def _check_amount(files: list[zipfile.ZipInfo], most_bytes: int) -> None:
    if not files:
        raise InputError("an empty archive", "a zip file of DICOM slices")
    total = sum(info.file_size for info in files)
    packed = sum(info.compress_size for info in files)
    if len(files) > MOST_FILES or total > most_bytes:
        raise InputError(
            f"an archive of {len(files)} files, {total / 2**20:.0f} MiB",
            f"at most {MOST_FILES} files and {most_bytes / 2**20:.0f} MiB",
            "send one series only",
        )
    if total > SMALL and total > MOST_RATIO * packed:
        raise InputError(
            f"an archive that unpacks to {total // max(packed, 1)} times its size",
            "a zip file of DICOM slices",
        )


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Copy one file, counting what truly comes out; the sizes in an archive may lie."""
    with opened.open(info) as source, target.open("xb") as sink:
        while block := source.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise InputError(
                    "an archive larger than it says", "a zip file of DICOM slices", "zip anew"
                )
            sink.write(block)
    return left

"""Voxels that lie in files of their own beside a NRRD or MetaImage header, and where."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from .integrity import META_LOCAL

_META_KEY = b"ElementDataFile"
_META_LINE = re.compile(_META_KEY + rb"[ \t]*=[ \t]*([^\s=:].*?)\s*")
_NRRD_LINE = re.compile(rb"data ?file\s*:\s*(.*?)\s*", re.IGNORECASE)
_ONE_EACH = re.compile(r"(\S*%0?\d*d\S*)[ \t]+(\d+)[ \t]+(\d+)(?:[ \t]+(\d+))?")
"""Names of one file a slice: pattern, first, last, step."""


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a file, or a folder of slices, that leads out of ``folder``.

    Raises:
        InputError: a link does, or a header, or that names more than one file of voxels.
    """
    for file in path.iterdir() if path.is_dir() else (path, *_named_by(path)):
        if not (file.resolve().is_relative_to(folder.resolve()) and file.exists()):
            raise InputError(f"{path} leads to {file}", "voxels in the file itself or beside it")


def voxel_files(path: Path) -> list[Path]:
    """Where the voxels of a NRRD or MetaImage file are which has them not itself, in order."""
    try:
        return [file for file in _named_by(path) if file.is_file()]
    except InputError:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    names = [line.strip() for line in text.splitlines()]
    for pattern, *numbers in _ONE_EACH.findall(text):
        first, last, step = (int(number or 1) for number in numbers)
        names += [pattern % number for number in range(first, last + 1, step)]
    return [path.parent / name for name in names if name and (path.parent / name).is_file()]


def _named_by(path: Path) -> Iterator[Path]:
    """The file that has the voxels of a NRRD or MetaImage file which has them not itself."""
    suffix, name = path.suffix.lower(), ""
    if suffix in (".nrrd", ".nhdr"):
        found = (_NRRD_LINE.fullmatch(line) for line in _nrrd_header(path))
        name = next((line[1].decode("utf-8", "surrogateescape") for line in found if line), "")
    elif suffix in (".mha", ".mhd"):
        name = _metaimage_data(path)
    if "%" in name or "\0" in name or name.startswith("LIST"):
        raise InputError(f"{path}: voxels in {name!r}", "voxels in one file")
    if name and name not in META_LOCAL:
        yield path.parent / name


def _nrrd_header(path: Path) -> Iterator[bytes]:
    """Its lines as NrrdIO divides them: by CR, LF or CR LF, up to an empty one."""
    with path.open("rb") as file:
        for part in file:
            for line in part.splitlines():
                if not line:
                    return
                yield line


def _metaimage_data(path: Path) -> str:
    """Where a MetaImage says that its voxels are.

    MetaIO divides a header in ways of its own and might find the key where we do not; it cannot
    where it does not stand, so that the file must hold the key once.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = max(content.find(_META_KEY), 0)
        content.seek(at)
        line = _META_LINE.fullmatch(content.readline())
        if line is None or content.find(_META_KEY, at + 1) >= 0:
            raise InputError(f"{path} is not a MetaImage", action="check the file")
        return line[1].decode("utf-8", "surrogateescape")

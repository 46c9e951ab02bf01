"""The folder of this machine that a page may open images from, and nothing outside it."""

from __future__ import annotations

import os
from pathlib import Path

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io.volumes import READABLE

MOST_ENTRIES = 2000
SLICE_SUFFIXES = (".dcm", ".ima")
PREAMBLE, MAGIC = 128, b"DICM"
"""Bytes before it, and what a DICOM file says of itself."""


class DataFolder:
    """Names below a folder, and the files they stand for.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve(strict=True)

    @property
    def root(self) -> Path:
        """The folder, links followed."""
        return self._root

    def names(self) -> list[str]:
        """Volumes, and folders that hold DICOM slices, relative to the root, sorted.

        There are ``MOST_ENTRIES`` at most; names that are not UTF-8 cannot be shown, and are left
        out.
        """
        found: list[str] = []
        for place, folders, files in os.walk(self._root, followlinks=False):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = Path(place)
            if holds_slices(here, files):
                found.append(self._name(here))
            found += [
                self._name(here / name)
                for name in files
                if name.lower().endswith(READABLE) and self.holds(here / name)
            ]
            if len(found) >= MOST_ENTRIES:
                break
        return sorted(filter(_is_text, found))[:MOST_ENTRIES]

    def path(self, name: str) -> Path:
        """The file or folder called ``name``.

        Raises:
            InputError: it is not there, or not inside the folder once links are followed.
        """
        path = self._root / name
        try:
            there = "\0" not in name and self.holds(path) and path.exists()
        except OSError:  # such as a name that is too long
            there = False
        if not there:
            raise InputError(
                f"{name!r}", "a name from the list, inside the folder given with --data"
            )
        return path.resolve()

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the folder once links are followed; a circle of them does not."""
        try:
            return path.resolve().is_relative_to(self._root)
        except (OSError, RuntimeError):  # the latter up to Python 3.12
            return False

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def holds_slices(folder: Path, files: list[str]) -> bool:
    """Whether ``files`` of a folder are DICOM, as their names say or else the first without suffix.

    Archives and media often call them IM0001 and the like.
    """
    if any(name.lower().endswith(SLICE_SUFFIXES) for name in files):
        return True
    bare = min((name for name in files if "." not in name and name != "DICOMDIR"), default=None)
    if bare is None:
        return False
    try:
        with (folder / bare).open("rb") as file:
            return file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

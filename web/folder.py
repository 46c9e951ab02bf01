"""The folder of this machine that a page may open images from, and nothing outside it."""

from __future__ import annotations

import os
from pathlib import Path

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io.volumes import READABLE

MOST_ENTRIES = 2000
SLICE_SUFFIXES = (".dcm", ".ima")


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

        There are ``MOST_ENTRIES`` at most.
        """
        found: list[str] = []
        for place, folders, files in os.walk(self._root, followlinks=False):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = Path(place)
            if any(name.lower().endswith(SLICE_SUFFIXES) for name in files):
                found.append(self._name(here))
            found += [
                self._name(here / name)
                for name in files
                if name.lower().endswith(READABLE) and self.holds(here / name)
            ]
            if len(found) >= MOST_ENTRIES:
                break
        return sorted(found)[:MOST_ENTRIES]

    def path(self, name: str) -> Path:
        """The file or folder called ``name``.

        Raises:
            InputError: it is not there, or not inside the folder once links are followed.
        """
        path = self._root / name
        if "\0" in name or not self.holds(path) or not path.exists():
            raise InputError(
                f"{name!r}", "a name from the list, inside the folder given with --data"
            )
        return path.resolve()

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the folder once links are followed."""
        return path.resolve().is_relative_to(self._root)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

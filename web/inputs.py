"""The files a user gives for one pair: uploaded or from the data folder, read and checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import read_image, read_labels
from ElasticHyperRegLib.io.volumes import READABLE
from ElasticHyperRegLib.types import Image, LabelMap

from .archives import unpack
from .folder import DataFolder
from .options import PageOptions

ROLES = ("fixed", "moving", "fixed_labels", "moving_labels")
ARCHIVE = ".zip"
DETACHED = (".nhdr", ".mhd")
"""Headers whose voxels lie in a file of their own, which an upload does not bring."""
ACCEPTED = (*(suffix for suffix in READABLE if suffix not in DETACHED), ARCHIVE)


@dataclass(frozen=True, eq=False)
class Given:
    """One file that was read: by which ``name``, and what it holds."""

    name: str
    content: Image | LabelMap


class Inputs:
    """What has been given for the next pair, by role (``ROLES``).

    Args:
        options: limits and the data folder.

    Attributes:
        given: role → what was read.
        folder: the data folder; None where none may be read.
    """

    def __init__(self, options: PageOptions) -> None:
        self.given: dict[str, Given] = {}
        self.folder = None if options.data is None else DataFolder(options.data)
        self._most_bytes = options.upload_mib << 20
        self._place = Path(tempfile.mkdtemp(prefix="elastic-hyperreg-uploads-"))
        self._count = 0

    @property
    def most_bytes(self) -> int:
        """The largest upload."""
        return self._most_bytes

    @contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """Where an upload called ``name`` may be written, for a while; only its suffix is kept.

        Raises:
            InputError: not a kind of file that can be read.
        """
        suffix = next((s for s in sorted(ACCEPTED, key=len)[::-1] if name.lower().endswith(s)), "")
        if not suffix:
            raise InputError(
                f"{Path(name).name!r}",
                "NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha) or zipped DICOM (.zip)",
            )
        self._count += 1
        folder = self._place / str(self._count)
        folder.mkdir()
        try:
            yield folder / f"upload{suffix}"
        finally:
            shutil.rmtree(folder)

    def take(self, role: str, path: Path, name: str) -> Given:
        """Read a file for ``role``; what it held before stays where the new one is at fault.

        Raises:
            InputError: an unknown role, or the file cannot be read; its message names the
                file as the user does.
        """
        if role not in ROLES:
            raise InputError(f"a file for {role!r}", " or ".join(ROLES))
        read: Callable[[Path], Image | LabelMap]
        read = read_labels if role.endswith("labels") else read_image
        try:
            source = path
            if path.name.endswith(ARCHIVE):
                source = unpack(path, path.parent / "unpacked", self._most_bytes)
            self.given[role] = Given(name, read(source))
        except InputError as error:
            raise InputError(_as_user_says(str(error), path, name)) from error
        return self.given[role]


def _as_user_says(message: str, path: Path, name: str) -> str:
    """``message`` with the name that the user knows in place of where the file was put."""
    for place in (path.parent / "unpacked", path):
        message = message.replace(str(place), name)
    return message.replace(path.name, name)

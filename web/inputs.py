"""The files a user gives for one pair: uploaded or from the data folder, read and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import read_image, read_labels
from ElasticHyperRegLib.io.integrity import ANYWHERE, Bounds
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
        self._opened: dict[str, Given] = {}
        self.folder = None if options.data is None else DataFolder(options.data)
        self._most_bytes = options.upload_mib << 20
        self._place = Path(tempfile.mkdtemp(prefix="elastic-hyperreg-uploads-"))

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
        with tempfile.TemporaryDirectory(dir=self._place) as folder:
            yield Path(folder) / f"upload{suffix}"

    def take(self, role: str, path: Path, name: str) -> Given:
        """Read a file for ``role``; what it held before stays where the new one is at fault.

        With a scan the labels of the one before go, where they have served a pair already.

        Raises:
            InputError: an unknown role, or the file cannot be read; its message names the
                file as the user does.
        """
        if role not in ROLES:
            raise InputError(f"a file for {role!r}", " or ".join(ROLES))
        read: Callable[..., Image | LabelMap]
        read = read_labels if role.endswith("labels") else read_image
        source = path
        try:
            with tempfile.TemporaryDirectory(dir=self._place) as place:
                if path.name.lower().endswith(ARCHIVE):
                    source = unpack(path, Path(place) / "unpacked", self._most_bytes)
                content = read(source, bounds=self._bounds(source))
        except InputError as error:
            message = str(error).replace(str(source), name).replace(str(path), name)
            if path.is_relative_to(self._place):
                message = message.replace(path.name, name)
            raise InputError(message) from error
        except OSError as error:
            raise InputError(f"{name} cannot be read here ({error.strerror or error})") from error
        self.given[role] = Given(name, replace(content, name=name))
        labels = f"{role}_labels"
        if labels in self.given and self.given[labels] is self._opened.get(labels):
            del self.given[labels]
        return self.given[role]

    def opened(self) -> None:
        """What is given now has become a pair: its labels are of its scans and of no other."""
        self._opened = dict(self.given)

    def in_folder(self, name: str) -> Path:
        """The file or folder of the data folder that is called ``name``.

        Raises:
            InputError: there is no data folder, or nothing of that name in it.
        """
        if self.folder is None:
            raise InputError("a file of the server", "--data FOLDER when it was started")
        return self.folder.path(name)

    def _bounds(self, path: Path) -> Bounds:
        """What a file is held to: an upload, one of the data folder, one of the command line."""
        if path.is_relative_to(self._place):
            return Bounds(path.parent, self._most_bytes)
        if self.folder is not None and self.folder.holds(path):
            return Bounds(self.folder.root)
        return ANYWHERE

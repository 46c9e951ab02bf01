"""Where TotalSegmentator is: chosen by the user, our private environment, PATH, 3D Slicer."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .install import private_program

VARIABLE = "ELASTIC_HYPERREG_TOTALSEGMENTATOR"
_EXE = ".exe" if sys.platform == "win32" else ""
SCRIPT = f"TotalSegmentator{_EXE}"
_MAC_SLICER = Path("/Applications/Slicer.app/Contents")


@dataclass(frozen=True)
class Program:
    """A TotalSegmentator that can be started.

    Attributes:
        command: the words it is started with.
        origin: how it was found, for people.
    """

    command: tuple[str, ...]
    origin: str

    @property
    def signature(self) -> str:
        """Changes when another TotalSegmentator, or another version of it, is installed."""
        path = Path(self.command[-1])
        return f"{path.resolve()} {path.stat().st_mtime_ns}"


def find_program(chosen: str | None = None) -> Program:
    """TotalSegmentator's executable.

    The first of: ``chosen``; the environment variable ``ELASTIC_HYPERREG_TOTALSEGMENTATOR``; the
    environment that ``install_program`` made; ``PATH``; the Python of 3D Slicer, into which its
    extension TotalSegmentator installs it.

    Raises:
        InputError: what was chosen is no executable; or there is none anywhere.
    """
    for setting, origin in ((chosen, "--program"), (os.environ.get(VARIABLE), f"${VARIABLE}")):
        if setting:
            return Program((_executable(setting, origin),), origin)
    own = private_program()
    if own is not None:
        return Program((str(own),), "the environment made for it")
    on_path = shutil.which("TotalSegmentator")
    if on_path:
        return Program((on_path,), "PATH")
    found = _in_slicer()
    if found:
        return found
    raise InputError(
        "TotalSegmentator is not installed",
        "its program on PATH, in 3D Slicer, or named by --program",
        "run segment with --install, which makes an environment for it, or use --backend threshold",
    )


def _executable(setting: str, origin: str) -> str:
    """The program that a setting names: a file, a command, or an environment that holds it."""
    path = Path(setting).expanduser()
    inside = [path / folder / SCRIPT for folder in ("bin", "Scripts", "")]
    candidates = inside if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate.absolute())
    named = shutil.which(setting)
    if named:
        return named
    raise InputError(
        f"{origin} {setting}",
        "TotalSegmentator's executable, or the environment it is installed in",
        "correct the path",
    )


def _in_slicer() -> Program | None:
    for home in _slicer_homes():
        python = home / "bin" / f"PythonSlicer{_EXE}"
        for folder in ("bin", "Scripts"):
            script = home / "lib" / "Python" / folder / SCRIPT
            if python.is_file() and script.is_file():
                return Program((str(python), str(script)), f"3D Slicer in {home}")
    return None


def _slicer_homes() -> list[Path]:
    """Folders of 3D Slicer: the one this process runs in, one on PATH, the usual one on macOS."""
    homes = []
    if os.environ.get("SLICER_HOME"):
        homes.append(Path(os.environ["SLICER_HOME"]))
    for name in ("Slicer", "PythonSlicer"):
        launcher = shutil.which(name)
        if launcher:
            folder = Path(launcher).resolve().parent
            homes += [folder, folder.parent]
    return [*homes, _MAC_SLICER]

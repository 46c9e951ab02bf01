"""An environment for TotalSegmentator alone, made on the user's word."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..engine import Progress
from ..errors import InputError
from .folders import data_folder
from .process import run_program

PACKAGE = "TotalSegmentator"
_READY = ".complete"
NEEDED_GIB = 8
"""Free space that its packages need, a CUDA build of PyTorch included."""


def private_folder() -> Path:
    """The environment that ``install_program`` makes."""
    return data_folder() / "totalsegmentator"


def private_program() -> Path | None:
    """TotalSegmentator in that environment, where it has been made completely."""
    program = _scripts() / f"{PACKAGE}{'.exe' if sys.platform == 'win32' else ''}"
    return program if program.is_file() and (private_folder() / _READY).is_file() else None


def install_program(
    progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
) -> Path:
    """Make the environment anew and install TotalSegmentator into it; some gigabytes.

    pip is used as it is configured: a package index for PyTorch is chosen with
    ``PIP_EXTRA_INDEX_URL``, for example. Nothing of this program's own environment changes.

    Returns:
        The executable.

    Raises:
        InputError: no virtual environment can be made, no network, too little space.
        Cancelled: ``cancelled`` was true; nothing is left.
    """
    folder = private_folder()
    _require_space(folder)
    report = progress or (lambda step, fraction: None)
    done = False
    try:
        report("making an environment", 0.0)
        _run([_base_python(), "-m", "venv", "--clear", str(folder)], "an environment", cancelled)
        python = str(_scripts() / ("python.exe" if sys.platform == "win32" else "python"))
        report("installing TotalSegmentator", 0.05)
        _run([python, "-m", "pip", "install", PACKAGE], "its packages", cancelled)
        report("checking it", 0.95)
        check = "import totalsegmentator.python_api"
        _run([python, "-c", check], "a TotalSegmentator that can be started", cancelled)
        (folder / _READY).touch()
        done = True
    finally:
        if not done:
            shutil.rmtree(folder, ignore_errors=True)
    report("installed", 1.0)
    program = private_program()
    if program is None:
        raise InputError(
            f"{folder} without {PACKAGE}", "its executable", "install it by hand and use --program"
        )
    return program


def _run(command: list[str], what: str, cancelled: Callable[[], bool] | None) -> None:
    status, lines = run_program(command, lambda line: None, cancelled)
    if status:
        said = [line.strip() for line in lines if line.strip()] or ["it said nothing"]
        errors = [line for line in said if "error" in line.lower()]
        raise InputError(
            f"could not make {what}: {(errors or said)[-1][:300]}",
            action="check the network and the free space, or install TotalSegmentator by hand "
            "and name it with --program",
        )


def _scripts() -> Path:
    return private_folder() / ("Scripts" if sys.platform == "win32" else "bin")


def _base_python() -> str:
    """The interpreter below this environment; 3D Slicer's own where we run inside it."""
    slicer = shutil.which("PythonSlicer") if "SLICER_HOME" in os.environ else None
    return slicer or getattr(sys, "_base_executable", None) or sys.executable


def _require_space(folder: Path) -> None:
    anchor = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(anchor).free / 2**30
    if free < NEEDED_GIB:
        raise InputError(
            f"{free:.1f} GiB free in {anchor}",
            f"{NEEDED_GIB} GiB for TotalSegmentator",
            "free some space, or set ELASTIC_HYPERREG_HOME to a folder on another disk",
        )

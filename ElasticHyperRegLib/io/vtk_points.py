"""Points of legacy ASCII VTK polydata, in LPS mm as ITK and elastix write them.

3D Slicer may write RAS; its second line says so.

Format: https://docs.vtk.org/en/latest/vtk_file_formats/vtk_legacy_file_format.html
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from .itk import ras_lps

_POINTS = re.compile(r"^POINTS\s+(\d+)\s+\w+\s*$", re.MULTILINE)


def read_vtk(text: str) -> np.ndarray:
    """Text of a ``.vtk`` file → (P, 3) RAS mm."""
    lines = [line.strip().upper() for line in text.splitlines()[:5]]
    if not lines or not lines[0].startswith("# VTK DATAFILE"):
        raise InputError("no VTK file", "legacy VTK polydata")
    if "ASCII" not in lines or "DATASET POLYDATA" not in lines:
        raise InputError("VTK data of another kind", "ASCII POLYDATA", "save it as such")
    match = _POINTS.search(text)
    if match is None:
        raise InputError("VTK polydata without POINTS", "some points")
    numbers = text[match.end() :].split()[: 3 * int(match[1])]
    values = np.array(numbers, dtype=float)
    if values.size != 3 * int(match[1]):
        raise InputError(f"{values.size // 3} points where {match[1]} are announced", "all of them")
    points = values.reshape(-1, 3)
    return points if "SPACE=RAS" in lines[1] else ras_lps(points)

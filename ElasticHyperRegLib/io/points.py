"""Landmarks: CSV here, the other formats in files of their own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..types import Grid
from .elastix_points import read_elastix
from .integrity import existing_file
from .outputs import writing
from .slicer_markups import format_fcsv, format_markups, read_fcsv, read_markups
from .vtk_points import read_vtk

_FORMATS = "points as .csv (R,A,S), .mrk.json, .fcsv"
_COLUMNS = ("R", "A", "S")


def read_points(path: str | Path, grid: Grid | None = None) -> np.ndarray:
    """Read landmarks → (P, 3) float64, RAS mm, in the order of the file.

    Args:
        path: CSV with a header R,A,S; 3D Slicer markups (.mrk.json, .fcsv); elastix points
            (.txt, .pts; LPS); VTK ASCII polydata (.vtk; LPS).
        grid: grid of the image, for elastix files that hold voxel indices.

    Raises:
        InputError: the file is missing, of another format, empty of points, or damaged.
    """
    path = existing_file(path)
    readers: dict[str, Callable[[str], np.ndarray]] = {
        ".csv": _read_csv,
        ".mrk.json": read_markups,
        ".fcsv": read_fcsv,
        ".txt": lambda text: read_elastix(text, grid),
        ".pts": lambda text: read_elastix(text, grid),
        ".vtk": read_vtk,
    }
    suffix = _suffix(path, tuple(readers), f"{_FORMATS}, elastix (.txt, .pts) or .vtk")
    try:
        points = np.asarray(readers[suffix](path.read_text(encoding="utf-8-sig")), dtype=float)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read as points ({reason})", "three numbers for each point"
        ) from error
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise InputError(f"{path} holds no points", "three coordinates for each of some points")
    if not np.isfinite(points).all():
        raise InputError(f"{path} holds NaN or infinite coordinates", "finite millimetres")
    return points


def write_points(points: np.ndarray, path: str | Path) -> None:
    """Write landmarks (P, 3), RAS mm, as ``.csv``, ``.mrk.json`` or ``.fcsv``.

    Raises:
        InputError: another suffix, not (P, 3), or the file cannot be written.
    """
    path = Path(path)
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points of shape {points.shape}", "(P, 3)")
    writers = {".csv": _format_csv, ".mrk.json": format_markups, ".fcsv": format_fcsv}
    suffix = _suffix(path, tuple(writers), _FORMATS)
    with writing(path):
        path.write_text(writers[suffix](points), encoding="utf-8")


def _suffix(path: Path, known: tuple[str, ...], expected: str) -> str:
    for suffix in known:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(f"{path}", expected, "convert it first")


def _read_csv(text: str) -> np.ndarray:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = {name.strip().upper(): name for name in rows.fieldnames or [] if name}
    if not all(column in header for column in _COLUMNS):
        raise InputError(
            f"a CSV header of {','.join(rows.fieldnames or [])}",
            "the columns R,A,S in mm",
            "name the columns, or export RAS coordinates",
        )
    return np.array([[float(row[header[column]]) for column in _COLUMNS] for row in rows])


def _format_csv(points: np.ndarray) -> str:
    lines = [",".join(f"{value:.6f}" for value in point) for point in points]
    return "\n".join([",".join(_COLUMNS), *lines]) + "\n"

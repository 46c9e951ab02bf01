"""Landmarks: CSV here, the other formats in files of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..types import Grid
from .elastix_points import read_elastix
from .integrity import existing_file
from .outputs import writing
from .slicer_markups import (
    format_fcsv,
    format_markups,
    names_in_fcsv,
    names_in_markups,
    read_fcsv,
    read_markups,
    refuse_unplaced,
)
from .vtk_points import read_vtk

_FORMATS = "points as .csv (R,A,S), .mrk.json, .fcsv"
_COLUMNS = ("R", "A", "S")
_NAMES = ("LABEL", "NAME")


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
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8", "a text in UTF-8", "save it so") from error
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


def read_point_names(path: str | Path) -> tuple[str, ...]:
    """Names of landmarks that ``read_points`` can read, in their order; none where it has none.

    3D Slicer's labels, or the column ``label`` or ``name`` of a CSV.
    """
    path = existing_file(path)
    readers: dict[str, Callable[[str], list[str]]] = {
        ".csv": _names_in_csv,
        ".mrk.json": names_in_markups,
        ".fcsv": names_in_fcsv,
    }
    for suffix, read in readers.items():
        if path.name.lower().endswith(suffix):
            names = read(path.read_text(encoding="utf-8-sig"))
            return tuple(names) if any(names) else ()
    return ()


def write_points(points: np.ndarray, path: str | Path, names: Sequence[str] = ()) -> None:
    """Write landmarks (P, 3), RAS mm, as ``.csv``, ``.mrk.json`` or ``.fcsv``.

    Args:
        points: (P, 3).
        path: file to write.
        names: of the points; without them 3D Slicer's are P-1, P-2, …, and a CSV has none.

    Raises:
        InputError: another suffix, not (P, 3), or the file cannot be written.
    """
    path = Path(path)
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points of shape {points.shape}", "(P, 3)")
    writers: dict[str, Callable[[np.ndarray, Sequence[str]], str]] = {
        ".csv": _format_csv,
        ".mrk.json": format_markups,
        ".fcsv": format_fcsv,
    }
    suffix = _suffix(path, tuple(writers), _FORMATS)
    if not names and suffix != ".csv":
        names = [f"P-{number}" for number in range(1, len(points) + 1)]
    with writing(path):
        path.write_text(writers[suffix](points, names), encoding="utf-8")


def _suffix(path: Path, known: tuple[str, ...], expected: str) -> str:
    for suffix in known:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(f"{path}", expected, "convert it first")


def _table(text: str) -> tuple[csv.DictReader[str], dict[str, str]]:
    """Rows, and the names of their columns by what they are in capitals."""
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    return rows, {name.strip().upper(): name for name in rows.fieldnames or [] if name}


def _names_in_csv(text: str) -> list[str]:
    rows, header = _table(text)
    column = next((header[name] for name in _NAMES if name in header), None)
    return [] if column is None else [row[column] or "" for row in rows]


def _read_csv(text: str) -> np.ndarray:
    rows, header = _table(text)
    if not all(column in header for column in _COLUMNS):
        raise InputError(
            f"a CSV header of {','.join(rows.fieldnames or [])}",
            "the columns R,A,S in mm",
            "name the columns, or export RAS coordinates",
        )
    table, placed = list(rows), header.get("DEFINED")
    if placed is not None:
        refuse_unplaced(sum((row[placed] or "").strip() == "0" for row in table))
    points = []
    for number, row in enumerate(table, start=1):
        given = [row[header[column]] or "" for column in _COLUMNS]
        try:
            points.append([float(value) for value in given])
        except ValueError as error:
            raise InputError(f"'{','.join(given)}' for point {number}", "three numbers") from error
    return np.array(points)


def _format_csv(points: np.ndarray, names: Sequence[str]) -> str:
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow((*_COLUMNS, *([_NAMES[0].lower()] if names else [])))
    for number, point in enumerate(points):
        rows.writerow((*(f"{value:.6f}" for value in point), *names[number : number + 1]))
    return file.getvalue()

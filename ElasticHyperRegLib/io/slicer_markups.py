"""Point lists of 3D Slicer: ``.mrk.json`` and the older ``.fcsv``.

Formats: https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .itk import ras_lps

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
_FCSV_FRAMES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_LABEL, _STATUS = 11, 14
_PLACED = "2"
"""So newer versions write it; other numbers are of points that are not, or not yet."""
_FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"


def read_markups(text: str) -> np.ndarray:
    """Text of a ``.mrk.json`` with one point list → (P, 3) RAS mm."""
    markups = json.loads(text)["markups"]
    if len(markups) != 1:
        raise InputError(f"{len(markups)} point lists", "one", "save each list to its own file")
    markup = markups[0]
    if set(np.atleast_1d(markup.get("coordinateUnits", "mm"))) != {"mm"}:
        raise InputError(f"coordinates in {markup['coordinateUnits']}", "mm")
    placed = "defined"
    controls = markup["controlPoints"]
    refuse_unplaced(sum(point.get("positionStatus", placed) != placed for point in controls))
    points = np.array([point["position"] for point in controls], dtype=float)
    return _to_ras(points, str(markup.get("coordinateSystem", "")))


def read_fcsv(text: str) -> np.ndarray:
    """Text of a ``.fcsv`` → (P, 3) RAS mm."""
    frame, rows, unplaced = "", [], 0
    for line in text.splitlines():
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition("=")
            if key.strip() == "CoordinateSystem":
                frame = value.strip()
        elif line.strip():
            cells = next(csv.reader([line]))
            rows.append([float(value) for value in cells[1:4]])
            unplaced += len(cells) > _STATUS and cells[_STATUS].strip() != _PLACED
    refuse_unplaced(unplaced)
    return _to_ras(np.array(rows), frame)


def refuse_unplaced(count: int) -> None:
    """Points that have coordinates in the file and no place, such as (0, 0, 0).

    Raises:
        InputError: there are some.
    """
    if count:
        raise InputError(f"{count} points without a position", "every point placed")


def names_in_markups(text: str) -> list[str]:
    """Labels of the points of a ``.mrk.json``, in order; empty ones for points without."""
    return [
        str(point.get("label", "")) for point in json.loads(text)["markups"][0]["controlPoints"]
    ]


def names_in_fcsv(text: str) -> list[str]:
    """Labels of the points of a ``.fcsv``, in order."""
    rows = csv.reader(line for line in text.splitlines() if line.strip() and line[0] != "#")
    return [row[_LABEL] if len(row) > _LABEL else "" for row in rows]


def format_markups(points: np.ndarray, names: Sequence[str]) -> str:
    """(P, 3) RAS mm and their labels → text of a ``.mrk.json``."""
    controls = [
        {"id": str(n), "label": name, "position": point, "positionStatus": "defined"}
        for n, (name, point) in enumerate(zip(names, ras_lps(points).tolist(), strict=True), 1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": controls,
    }
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1) + "\n"


def format_fcsv(points: np.ndarray, names: Sequence[str]) -> str:
    """(P, 3) RAS mm and their labels → text of a ``.fcsv``."""
    file = io.StringIO()
    file.write("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n")
    file.write(f"# columns = {_FCSV_COLUMNS}\n")
    rows = csv.writer(file, lineterminator="\n")
    for n, (name, point) in enumerate(zip(names, ras_lps(points).tolist(), strict=True), 1):
        rows.writerow((n, *(f"{x:.6f}" for x in point), 0, 0, 0, 1, 1, 1, 0, name, "", ""))
    return file.getvalue()


def _to_ras(points: np.ndarray, frame: str) -> np.ndarray:
    known = _FCSV_FRAMES.get(frame.upper())
    if known is None:
        raise InputError(
            f"the coordinate system {frame or '(not named)'}", "RAS or LPS", "save it in RAS"
        )
    return points if known == "RAS" or not len(points) else ras_lps(points)

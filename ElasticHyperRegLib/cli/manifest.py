"""The table of a cohort: one row a pair."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from ..io import existing_file

NEEDED = ("case", "fixed", "moving")
OPTIONAL_FILES = (
    "fixed_labels",
    "moving_labels",
    "fixed_mask",
    "moving_mask",
    "fixed_points",
    "moving_points",
)
COLUMNS = (*NEEDED, *OPTIONAL_FILES, "model", "elasticity")

Row = Mapping[str, str]
"""Column → cell, without the empty ones."""


def read_manifest(path: Path, reserved: str) -> list[Row]:
    """Read a manifest.

    Args:
        path: CSV with a header, comma separated.
        reserved: a name that no case may have.

    Raises:
        InputError: the file is missing or no CSV, a column is missing or unknown, a case has no
            name, one that is no folder name, or one that another has too.
    """
    path = existing_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            _check_header(header, path)
            reader.fieldnames = header
            rows = [row for row in (_filled(r, path, reader.line_num) for r in reader) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "a CSV file in UTF-8") from error
    if not rows:
        raise InputError(f"{path} lists no case", "one row a pair")
    _check_names([row.get("case", "") for row in rows], path, reserved)
    return rows


def _check_header(header: list[str], path: Path) -> None:
    missing = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    doubled = [f"{name} {count} times" for name, count in Counter(header).items() if count > 1]
    if missing or unknown or doubled:
        extra = ", ".join(unknown + doubled)
        fault = f"without {', '.join(missing)}" if missing else f"with {extra}"
        raise InputError(
            f"{path}: a header {fault}",
            f"{','.join(NEEDED)} and, where wanted, {','.join(COLUMNS[len(NEEDED) :])}",
            "correct the first line",
        )


def _filled(row: Mapping[str, str | list[str]], path: Path, line: int) -> Row:
    if any(cell.strip() for cell in row.get("", ())):
        raise InputError(
            f"{path}, line {line}: more cells than columns",
            "one cell a column",
            'put cells that hold a comma between quotes, as "0.1,0.3"',
        )
    cells = {name: cell.strip() for name, cell in row.items() if isinstance(cell, str)}
    return {name: cell for name, cell in cells.items() if cell}


def _check_names(names: list[str], path: Path, reserved: str) -> None:
    alike = Counter(name.casefold() for name in names)  # one folder on Windows and macOS
    for name in names:
        count = alike[name.casefold()]
        if count > 1 and name:
            raise InputError(f"{path}: the case '{name}' {count} times", "each name once")
        unfit = set(name) & set('/\\:*?"<>|') or not name.isprintable()
        if unfit or not name or name != name.strip(". ") or name == reserved:
            raise InputError(f"{path}: the case '{name}'", "a name that a folder can have")

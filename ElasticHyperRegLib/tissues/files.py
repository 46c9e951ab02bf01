"""Tissue files: where they lie, and TOML tables whose mistakes are told with their line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..resources import resource_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?")
_KEY = re.compile(r"\s*\"?([\w-]+)\"?\s*=")
_QUOTED = re.compile(r"\"[^\"]*\"")
_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)")


def tissue_folder() -> Path:
    """``Resources/Tissues``: of the package."""
    return resource_folder("Tissues")


@dataclass(frozen=True)
class Table:
    """One table of a TOML file.

    Attributes:
        path: the file.
        values: what the table says.
        lines: key, or text in quotation marks, → line where it stands, from 1.
        first: line of the table's header.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[str, int]
    first: int

    def fault(self, key: str, given: str, expected: str = "", action: str = "") -> InputError:
        """What to raise for a mistake at ``key``: names file and line."""
        return _fault(self.path, self.lines.get(key, self.first), given, expected, action)

    def allow(self, *keys: str) -> None:
        """Raise an ``InputError`` for a key that is not one of ``keys``."""
        for key in self.values:
            if key not in keys:
                raise self.fault(
                    key, f"unknown key '{key}'", f"one of {', '.join(keys)}", suggestion(key, keys)
                )

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self._missing(key, "a text in quotation marks")
        return value

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """Whole numbers between ``low`` and ``high``; none where the key is absent."""
        values = self.values.get(key, [])
        valid = isinstance(values, list) and all(
            type(v) is int and low <= v <= high for v in values
        )
        if not valid:
            raise self._missing(key, f"a list of whole numbers from {low} to {high}")
        return tuple(values)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """``count`` numbers."""
        values = self.values.get(key)
        valid = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if not valid or len(values or ()) != count:
            raise self._missing(key, f"{count} numbers, such as [0.1, 0.3]")
        return tuple(float(v) for v in values or ())

    def texts(self, key: str) -> tuple[str, ...]:
        """Texts; none where the key is absent."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
            raise self._missing(key, "a list of texts in quotation marks")
        return tuple(values)

    def _missing(self, key: str, expected: str) -> InputError:
        given = f"{key} = {self.values[key]!r}" if key in self.values else f"no '{key}'"
        return self.fault(key, given, expected)


def read_tables(path: Path, name: str) -> tuple[Table, list[Table]]:
    """The keys above all headers of a TOML file, and its tables ``[[name]]``.

    Raises:
        InputError: no such file, not TOML (with the line), or no ``[[name]]``.
    """
    text, values = read_toml(path)
    tables = values.pop(name, None)
    valid = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if not (tables and valid):
        raise InputError(f"{path}: no [[{name}]]", f"one table [[{name}]] for every {name}")
    top, places = _places(text, name)
    places += [top] * (len(tables) - len(places))  # written in line, as name = [{...}, {...}]
    return Table(path, values, top[1], 1), [
        Table(path, table, lines, first)
        for table, (first, lines) in zip(tables, places, strict=True)
    ]


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and values of a TOML file.

    Raises:
        InputError: no such file, or not TOML (with the line).
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist", "a tissue file (.toml)", "check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no UTF-8 text", "a TOML file in UTF-8") from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.match(str(error))
        line = int(found[2]) if found else len(text.splitlines())
        reason = found[1] if found else str(error)
        raise _fault(path, line, f"no valid TOML ({reason})", "", "correct the line") from error


def suggestion(given: str, known: Iterable[str]) -> str:
    """``write '…'`` where one of ``known`` looks like ``given``, else nothing."""
    close = get_close_matches(given, list(known), 1)
    return f"perhaps you mean '{close[0]}'" if close else ""


def _fault(path: Path, line: int, given: str, expected: str, action: str) -> InputError:
    return InputError(f"{path}, line {line}: {given}", expected, action)


_Place = tuple[int, dict[str, int]]


def _places(text: str, name: str) -> tuple[_Place, list[_Place]]:
    """Line of each key, above all headers and in each table ``[[name]]``."""
    top: _Place = (1, {})
    tables: list[_Place] = []
    current = top
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            current = (number, {})
            if header.groups() == ("[[", name):
                tables.append(current)
            continue
        if key := _KEY.match(line):
            current[1].setdefault(key[1], number)
        for quoted in _QUOTED.findall(line):
            current[1].setdefault(quoted, number)
    return top, tables

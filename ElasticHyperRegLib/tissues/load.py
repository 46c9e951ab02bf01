"""Reads tissue schemes; a mistake is told with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from ..engine.sliding import OTHERS
from ..errors import InputError
from ..names import matched
from ..resources import scheme_names
from ..types import Elasticity
from .classes import class_names
from .files import Table, read_tables, suggestion, tissue_folder
from .presets import presets
from .scheme import LARGEST_LABEL, Tissue, TissueScheme

_NAME = re.compile(r"[A-Za-z][\w-]*")


def load_scheme(name_or_path: str | Path) -> TissueScheme:
    """A packaged scheme by its name, or one of the user's own from a ``.toml`` file.

    Raises:
        InputError: there is none of that name; or a mistake in the file, with its line.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in scheme_names():
            raise InputError(
                f"tissue scheme '{name_or_path}'",
                f"one of {', '.join(scheme_names())}, or a .toml file",
                suggestion(str(name_or_path), scheme_names()),
            )
        path = tissue_folder() / f"{name_or_path}.toml"
    top, tables = read_tables(path, "tissue")
    top.allow("name", "title", "task", "rest", "slides")
    known = _known_classes(top)
    tissues = tuple(_tissue(table, known) for table in tables)
    _refuse_duplicates(tables, tissues)
    if all(tissue.label for tissue in tissues):
        raise tables[0].fault("label", "no tissue has label 0", "one for the background")
    names = [tissue.name for tissue in tissues]
    rest = top.text("rest") if "rest" in top.values else None
    if rest is not None and rest not in names:
        raise top.fault("rest", f"rest = '{rest}'", f"one of {', '.join(names)}")
    return TissueScheme(
        top.text("name", path.stem),
        top.text("title", path.stem),
        tissues,
        rest,
        top.values.get("task"),
        _slides(top, names),
    )


def _slides(top: Table, names: list[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of tissues whose border may slide."""
    form = 'pairs of tissues, such as [["lung", "rest"]]'
    given = top.values.get("slides", [])
    pairs = given if isinstance(given, list) else [given]
    found = []
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is str for n in pair)):
            raise top.fault("slides", f"slides = {given!r}", form)
        for name, known in zip(pair, (names, [*names, OTHERS]), strict=True):
            if name not in known:
                raise top.fault(
                    f'"{name}"',
                    f"unknown tissue '{name}' in slides",
                    f"one of {', '.join(known)}",
                    suggestion(name, known),
                )
        if pair[0] == pair[1]:
            raise top.fault("slides", f"{pair[0]} sliding along itself", form)
        found.append((pair[0], pair[1]))
    return tuple(found)


def _known_classes(top: Table) -> tuple[str, ...] | None:
    """Names of the classes of the scheme's task; ``None`` where any name is possible."""
    if "task" not in top.values:
        return None
    task = top.text("task")
    try:
        return tuple(class_names(task).values())
    except InputError as error:
        raise top.fault("task", str(error)) from error


def _tissue(table: Table, known: tuple[str, ...] | None) -> Tissue:
    table.allow("name", "label", "color", "preset", "elasticity", "source", "classes", "labels")
    name = table.text("name")
    if not _NAME.fullmatch(name):
        raise table.fault("name", f"name = '{name}'", "letters, digits, - and _")
    if name == OTHERS:
        raise table.fault("name", f"name = '{name}'", "a name that does not mean all others")
    label = table.values.get("label")
    if type(label) is not int or not 0 <= label <= LARGEST_LABEL:
        raise table.fault(
            "label", f"label = {label!r}", f"a whole number from 0 to {LARGEST_LABEL}"
        )
    color = table.integers("color", 0, 255)
    if len(color) != 3:
        raise table.fault("color", f"color = {list(color)}", "[red, green, blue] from 0 to 255")
    labels = table.integers("labels", 1, LARGEST_LABEL)
    sources: tuple[int | str, ...] = (*labels, *_classes(table, known))
    patterns = tuple(given for given in table.texts("classes") if "*" in given)
    color_3 = color[0], color[1], color[2]
    return Tissue(name, label, color_3, sources, *_preset(table), patterns)


def _classes(table: Table, known: tuple[str, ...] | None) -> Iterable[str]:
    """The classes of a tissue, patterns such as ``rib_*`` replaced by what they match."""
    for given in table.texts("classes"):
        if known is None:
            yield given
            continue
        matching = [name for name in known if fnmatchcase(name, given)]
        if not matching:
            raise table.fault(
                f'"{given}"',
                f"unknown class '{given}'",
                "classes of the scheme's task",
                suggestion(given, known),
            )
        yield from matching


def _preset(table: Table) -> tuple[Elasticity, str]:
    given = [key for key in ("preset", "elasticity") if key in table.values]
    if len(given) != 1:
        count = "both" if given else "neither"
        raise table.fault("preset", f"{count} of 'preset' and 'elasticity'", "one of them")
    if "elasticity" in table.values:
        lam, mu = table.numbers("elasticity", 2)
        try:
            value = Elasticity(lam, mu)
        except InputError as error:
            raise table.fault("elasticity", str(error)) from error
        return value, table.text("source", f"chosen in {table.path.name}")
    name = table.text("preset")
    if name not in presets():
        raise table.fault(
            "preset",
            f"unknown preset '{name}'",
            f"one of {', '.join(presets())}",
            suggestion(name, presets()),
        )
    return presets()[name].elasticity, presets()[name].source


def _refuse_duplicates(tables: list[Table], tissues: tuple[Tissue, ...]) -> None:
    """No two tissues share a name, a label, or anything that they are made of."""
    seen: set[tuple[str, int | str]] = set()
    for table, tissue in zip(tables, tissues, strict=True):
        for item in (("name", matched(tissue.name)), ("label", tissue.label)):
            if item in seen:
                raise table.fault(item[0], f"{item[0]} {item[1]} a second time", "another one")
            seen.add(item)
    owners: dict[int | str, str] = {matched(tissue.name): tissue.name for tissue in tissues}
    for table, tissue in zip(tables, tissues, strict=True):
        for source in tissue.sources:
            owner = owners.setdefault(matched(source), tissue.name)
            if owner != tissue.name:
                quoted = f'"{source}"'
                key = "classes" if isinstance(source, str) else "labels"
                raise table.fault(
                    quoted if quoted in table.lines else key,
                    f"{source} is part of {owner} and of {tissue.name}",
                    "one tissue for it",
                )

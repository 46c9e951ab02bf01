"""Sources of pairs by name, with options as a settings file holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError

from .acdc import AcdcOptions, AcdcSource
from .learn2reg import Learn2RegOptions, Learn2RegSource
from .mixture import MixtureSource
from .own import OwnOptions, OwnSource
from .pair import PairSource
from .phantom import PhantomSource, PhantomSourceOptions
from .shapes import ShapesOptions, ShapesSource
from .simulated import SimulatedOptions, SimulatedSource

Options = Mapping[str, Any]
MIXTURE = "mixture"


@dataclass(frozen=True)
class _Kind:
    """How a source is made; ``make`` takes root, split and options."""

    make: Callable[[Any, str, Any], PairSource]
    options: type
    needs_root: bool = True


def _shapes(root: Path | None, split: str, options: ShapesOptions) -> PairSource:
    if root is not None:
        raise InputError(f"{root} for the data set shapes", "no folder", "it is made from nothing")
    return ShapesSource(split, options)


_KINDS = {
    "acdc": _Kind(AcdcSource, AcdcOptions),
    "nlst": _Kind(partial(Learn2RegSource, "NLST"), Learn2RegOptions),
    "lungct": _Kind(partial(Learn2RegSource, "LungCT"), Learn2RegOptions),
    "oasis": _Kind(partial(Learn2RegSource, "OASIS"), Learn2RegOptions),
    "own": _Kind(OwnSource, OwnOptions),
    "phantom": _Kind(PhantomSource, PhantomSourceOptions, needs_root=False),
    "shapes": _Kind(_shapes, ShapesOptions, needs_root=False),
    "simulated": _Kind(SimulatedSource, SimulatedOptions),
}


def source_names() -> tuple[str, ...]:
    """Every name that ``open_source`` knows."""
    return (*_KINDS, MIXTURE)


def open_source(
    name: str, root: Path | None, split: str, options: Options | None = None
) -> PairSource:
    """The pairs of one split of a data set.

    Args:
        name: one of ``source_names``.
        root: folder or table of the data set. ``phantom`` keeps finished phantoms there, if
            given; the roots of the parts of a ``mixture`` are relative to it; ``shapes`` has none.
        split: ``train``, ``val`` or ``test``.
        options: fields of the options of that source, see there. Of a ``mixture``: ``parts``, a
            list of tables with ``source``, ``root``, ``weight`` (1 if absent) and ``options``.

    Raises:
        InputError: an unknown name or option, one of the wrong type, no root where one is
            needed, or data at fault.
    """
    if name == MIXTURE:
        return _mixture(root, split, options or {})
    if name not in _KINDS:
        raise InputError(f"the data set '{name}'", f"one of {', '.join(source_names())}")
    kind = _KINDS[name]
    chosen = _options(name, kind.options, options or {})
    if kind.needs_root:
        if root is None:
            raise InputError(f"the data set {name} without a folder", "where it stands")
        if not root.exists():
            raise InputError(f"{root} does not exist", f"the data set {name}", "check the path")
    return kind.make(root, split, chosen)


def _options(name: str, kind: type, given: Options) -> Any:
    known = [field.name for field in fields(kind)]
    for key in given:
        if key not in known:
            raise InputError(f"the option '{key}' of {name}", f"one of {', '.join(known)}")
    lists = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    try:
        return kind(**lists)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the options {dict(given)} of {name} ({error})", "values of the right kind"
        ) from error


def _mixture(base: Path | None, split: str, options: Options) -> PairSource:
    parts, weights = [], []
    tables = options.get("parts")
    if options.keys() != {"parts"} or not isinstance(tables, list):
        raise InputError(f"the options {sorted(options)} of a mixture", "parts, a list of tables")
    for table in tables:
        unknown = table.keys() - {"source", "root", "weight", "options"}
        if unknown or "source" not in table:
            raise InputError(
                f"a part of a mixture with {sorted(table)}", "source, root, weight and options"
            )
        root = (base or Path()) / table["root"] if "root" in table else None
        parts.append(open_source(table["source"], root, split, table.get("options")))
        weights.append(float(table.get("weight", 1.0)))
    return MixtureSource(parts, weights)

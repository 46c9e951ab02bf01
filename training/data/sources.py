"""Sources of pairs by name, with options as a settings file holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError

from .acdc import AcdcOptions, AcdcSource
from .pair import PairSource


@dataclass(frozen=True)
class _Kind:
    """How a source is made; ``open`` takes root, split and options."""

    open: Callable[[Path, str, Any], PairSource]
    options: type
    needs_root: bool = True


_KINDS = {
    "acdc": _Kind(AcdcSource, AcdcOptions),
}


def source_names() -> tuple[str, ...]:
    """Every name that ``open_source`` knows."""
    return tuple(_KINDS)


def open_source(
    name: str, root: Path | None, split: str, options: Mapping[str, Any] | None = None
) -> PairSource:
    """The pairs of one split of a data set.

    Args:
        name: one of ``source_names``.
        root: folder or table of the data set; None for what is made from nothing.
        split: ``train``, ``val`` or ``test``.
        options: fields of the options of that source.

    Raises:
        InputError: an unknown name or option, no root where one is needed, or data at fault.
    """
    if name not in _KINDS:
        raise InputError(f"the data set '{name}'", f"one of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    known = [field.name for field in fields(kind.options)]
    for option in options or {}:
        if option not in known:
            raise InputError(f"the option '{option}' of {name}", f"one of {', '.join(known)}")
    if root is None and kind.needs_root:
        raise InputError(f"no folder for the data set {name}", "its root")
    if root is not None and not root.exists():
        raise InputError(f"{root} does not exist", f"the data set {name}", "check the path")
    return kind.open(root, split, kind.options(**(options or {})))  # type: ignore[arg-type]

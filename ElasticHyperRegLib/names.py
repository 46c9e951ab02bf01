"""When two names mean one tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .types import LabelMap


def matched(source: int | str) -> int | str:
    """What is compared: names without what programs write differently, case and separators."""
    if isinstance(source, int):
        return source
    return source.strip().lower().replace(" ", "_").replace("-", "_")


def spelled_like(labels: LabelMap, other: LabelMap) -> LabelMap:
    """``labels`` with the names of ``other`` wherever theirs mean the same tissue."""
    names = _respelled(labels.names, other.names)
    return labels if names == labels.names else replace(labels, names=names)


def spelled_in(labels: LabelMap, name: str) -> str:
    """``name`` as ``labels`` write the tissue that it means; as it is where they have none."""
    own = labels.names.values()
    return name if name in own else next((n for n in own if matched(n) == matched(name)), name)


def _respelled(own: Mapping[int, str], other: Mapping[int, str]) -> dict[int, str]:
    exact = set(other.values())
    spelling: dict[int | str, str] = {}
    for name in other.values():
        spelling.setdefault(matched(name), name)
    taken = set(own.values())  # two tissues of one map stay two
    renamed: dict[str, str] = {}  # labels of one name stay one tissue
    for name in dict.fromkeys(own.values()):
        wanted = name if name in exact else spelling.get(matched(name), name)
        renamed[name] = name if wanted in taken else wanted
        taken.add(renamed[name])
    return {label: renamed[name] for label, name in own.items()}

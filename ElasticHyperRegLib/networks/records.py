"""Frozen dataclasses out of JSON or TOML tables and back; one clear line for what is wrong."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, TypeVar

from ..errors import InputError
from .specs import BACKBONES, ModelSpec

T = TypeVar("T")


def read_record(kind: type[T], table: Any, where: str) -> T:
    """``kind`` with the values of ``table``, every one of the type its field declares.

    Args:
        kind: a dataclass of finite numbers, texts, tuples, string-keyed dicts and other
            dataclasses.
        table: mapping of field names.
        where: named in errors, such as a file.

    Raises:
        InputError: a key is missing or unknown, a value is of another type or refused.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} holds {table!r:.40}", "a table")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = [str(key) for key in table if key not in known]
    needed = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    missing = sorted(needed - set(table))
    if unknown or missing:
        faults = [f"lacks {name}" for name in missing] + [f"has an unknown {n}" for n in unknown]
        raise InputError(f"{where} {', '.join(faults)}", f"the keys {', '.join(known)}")
    hints = typing.get_type_hints(kind)
    values = {key: _convert(hints[key], value, f"{where}, {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or origin in (typing.Union, types.UnionType):
        return _one_of(inner, value, where)
    if is_dataclass(hint):
        return read_record(typing.cast(type, hint), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        hints = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(hints) == len(value):
            return tuple(_convert(h, v, where) for h, v in zip(hints, value, strict=True))
    elif origin is dict and isinstance(value, Mapping):
        return {str(key): _convert(inner[1], v, where) for key, v in value.items()}
    elif origin is typing.Literal and value in inner:
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif hint in (bool, int, str) and _is_a(hint, value):
        return value
    raise InputError(f"{where} is {value!r:.40}", _described(hint))


def _is_a(kind: type, value: Any) -> bool:
    """To Python true and false are whole numbers too."""
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """``value`` as the first of ``hints`` that it fits; as it is where there are none."""
    if not hints or is_dataclass(value) or (value is None and types.NoneType in hints):
        return value
    plain = [hint for hint in hints if hint is not types.NoneType]
    if len(plain) == 1:
        return _convert(plain[0], value, where)
    for hint in plain:
        with suppress(InputError):
            return _convert(hint, value, where)
    raise InputError(f"{where} is {value!r:.40}", " or ".join(map(_described, plain)))


def _described(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(map(str, inner))
    if origin is tuple:
        return f"[{', '.join('…' if h is Ellipsis else _described(h) for h in inner)}]"
    names: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
    }
    return "a table" if origin is dict else names.get(hint, str(hint))


def spec_from_table(table: Any, where: str) -> ModelSpec:
    """``ModelSpec`` from a table in which ``backbone`` names the kind of ``options``.

    Raises:
        InputError: an unknown backbone, or as ``read_record``.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} holds {table!r:.40}", "a table")
    rest = dict(table)
    backbone = rest.pop("backbone", None)
    if not isinstance(backbone, str) or backbone not in BACKBONES:
        raise InputError(f"{where} has backbone {backbone!r:.40}", " or ".join(BACKBONES))
    options = read_record(BACKBONES[backbone], rest.get("options", {}), f"{where}, options")
    return read_record(ModelSpec, {**rest, "options": options}, where)


def spec_to_table(spec: ModelSpec) -> dict[str, Any]:
    """Inverse of ``spec_from_table``."""
    table = asdict(spec)
    return {"name": table.pop("name"), "backbone": spec.backbone, **table}

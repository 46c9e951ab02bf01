"""Configurations as TOML tables: read, laid over the one they extend, and written down again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTENDS = "extends"
Table = dict[str, Any]


def read_table(path: Path) -> tuple[Table, str]:
    """The table of a configuration file and its text.

    With ``extends = "other.toml"``, a file beside it, every section is that of the other file,
    which may extend a further one, with the own keys laid over it; the text is then that of the
    whole, so that it stands alone.

    Raises:
        InputError: a file cannot be read, is no TOML or extends itself.
    """
    return _extended(path, ())


def _extended(path: Path, above: tuple[Path, ...]) -> tuple[Table, str]:
    if path.resolve() in above:
        raise InputError(f"{path}, which {EXTENDS} itself", "a file that ends somewhere")
    text = _text(path)
    table = _parsed(text, path)
    if EXTENDS not in table:
        return table, text
    base = table.pop(EXTENDS)
    if not isinstance(base, str):
        raise InputError(f"{path}, {EXTENDS} is {base!r:.40}", "the name of a file beside it")
    below = path.parent / base
    whole = laid_over(_extended(below, (*above, path.resolve()))[0], table)
    return whole, as_toml(whole)


def laid_over(base: Table, own: Table) -> Table:
    """``own`` over ``base``: sections key by key, everything else as a whole."""
    sections = {
        key: {**base[key], **value}
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **own, **sections}


def as_toml(table: Table) -> str:
    """A table of values and of sections as the text of a file."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    parts = [_lines(values)]
    parts += [f"[{key}]\n{_lines(section)}" for key, section in table.items() if key not in values]
    return "\n".join(parts)


def _lines(values: Table) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key, ensure_ascii=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}, which cannot be read ({error.strerror})", "a training configuration in TOML"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, which is no TOML ({error})", "a configuration") from error


def _parsed(text: str, path: Path) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}, which is no TOML ({error})", "a configuration") from error

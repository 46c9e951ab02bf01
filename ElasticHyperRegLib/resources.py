"""Where the files that come with the package are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """``Resources/<name>``: inside an installed package, beside it in a checkout."""
    installed = _PACKAGE / "Resources"
    return (installed if installed.is_dir() else _PACKAGE.parent / "Resources") / name

"""Where the user's files of this room lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..resources import home_folder


def cache_folder() -> Path:
    """``$ELASTIC_HYPERREG_CACHE``, else the platform's folder for what may be deleted."""
    chosen = os.environ.get("ELASTIC_HYPERREG_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "elastic-hyperreg"
    return _base("XDG_CACHE_HOME", home_folder() / ".cache") / "elastic-hyperreg"


def data_folder() -> Path:
    """``$ELASTIC_HYPERREG_HOME``, else the platform's folder for a program's data."""
    chosen = os.environ.get("ELASTIC_HYPERREG_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "elastic-hyperreg"
    return _base("XDG_DATA_HOME", home_folder() / ".local" / "share") / "elastic-hyperreg"


def _base(variable: str, usual: Path) -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local")
    return Path(os.environ.get(variable) or usual)

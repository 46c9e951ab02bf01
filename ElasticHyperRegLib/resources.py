"""Where the files that come with the package are."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import gettempdir

_PACKAGE = Path(__file__).resolve().parent
_NO_SCHEME = re.compile(r"presets|totalsegmentator_.*")
"""Of ``Tissues``: presets, and the classes of a segmenter that schemes refer to."""


def resource_folder(name: str) -> Path:
    """``Resources/<name>``: inside an installed package, beside it in a checkout."""
    installed = _PACKAGE / "Resources"
    return (installed if installed.is_dir() else _PACKAGE.parent / "Resources") / name


def home_folder() -> Path:
    """Of the user; the folder for temporary files where there is none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(gettempdir())


def scheme_names() -> tuple[str, ...]:
    """Names of the packaged tissue schemes; without PyTorch, for a panel that still lacks it."""
    files = resource_folder("Tissues").glob("*.toml")
    return tuple(sorted(path.stem for path in files if not _NO_SCHEME.fullmatch(path.stem)))

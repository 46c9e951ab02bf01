"""Where ElasticHyperRegLib is: beside the module once installed, above it in a plain checkout."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "ElasticHyperRegLib"


def makeImportable() -> None:
    """Let ``import ElasticHyperRegLib`` work from a plain checkout too."""
    if find_spec(LIBRARY) is None:
        root = Path(__file__).resolve().parents[2]
        if (root / LIBRARY).is_dir():
            sys.path.append(str(root))

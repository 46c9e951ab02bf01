"""Register a cohort without a window, in 3D Slicer or in plain Python.

    Slicer --no-splash --no-main-window --python-script batch.py MANIFEST.csv OUT [options]
    python batch.py MANIFEST.csv OUT [options]

Does what ``elastic-hyperreg batch MANIFEST.csv --out OUT [options]`` does, with the same code.
"""

from __future__ import annotations

import sys
from pathlib import Path

USAGE = "usage: batch.py MANIFEST.csv OUT [options of elastic-hyperreg batch]"
INPUT_FAULT = 2


def run(arguments: list[str]) -> int:
    """The exit code: 0 all done, 2 the input is at fault, 1 a fault of ours, 130 stopped."""
    if len(arguments) < 2:
        sys.stderr.write(f"{USAGE}\n")
        return INPUT_FAULT
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from ElasticHyperRegSlicer import library

    library.makeImportable()
    if "slicer" in sys.modules:
        from ElasticHyperRegSlicer.installation import Installation

        missing = Installation().obstacle()
        if missing:
            sys.stderr.write(f"{missing}\n")
            return INPUT_FAULT
    from ElasticHyperRegLib.cli import main

    manifest, out, *options = arguments
    return main(["batch", manifest, "--out", out, *options])


def leave(code: int) -> None:
    """End this program; 3D Slicer has its own way."""
    slicer = sys.modules.get("slicer")
    if slicer is not None and hasattr(slicer, "app"):
        slicer.util.exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(run(sys.argv[1:]))

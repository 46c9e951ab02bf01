"""The command line ``elastic-hyperreg``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXTRA = ("typer", "click", "rich", "shellingham")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done; 2 the input is at fault; 1 a fault of ours; 130 stopped by the user.

    Args:
        arguments: command and options; those of the process by default.
    """
    # For an OpenMP that is not GNU's, as the package says for that one. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from .shell import run
    except KeyboardInterrupt:
        sys.stderr.write("elastic-hyperreg: stopped before anything was begun.\n")
        return 130
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        sys.stderr.write(
            f"elastic-hyperreg: the package {error.name} is missing, which the command line "
            'needs; run pip install "elastic-hyperreg[cli]".\n'
        )
        return 2
    return run(sys.argv[1:] if arguments is None else list(arguments))

"""Exit codes, and how an unforeseen error is told."""

from __future__ import annotations

import tempfile
import traceback

NAME = "elastic-hyperreg"
DONE, OUR_FAULT, INPUT_FAULT, STOPPED = 0, 1, 2, 130


def our_fault(error: Exception) -> str:
    """One line about an unforeseen error, whose traceback goes to a log file."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=f"{NAME}-", suffix=".log", delete=False
    ) as log:
        traceback.print_exception(error, file=log)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a fault of this program ({what:.200}); please report it with the log {log.name}"

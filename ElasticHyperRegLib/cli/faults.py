"""Exit codes, and how an unforeseen error is told."""

from __future__ import annotations

import errno
import tempfile
import traceback

from ..errors import InputError

NAME = "elastic-hyperreg"
_UNREACHABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EROFS, errno.ELOOP)
DONE, OUR_FAULT, INPUT_FAULT, STOPPED = 0, 1, 2, 130


def reachable(error: Exception) -> Exception:
    """``error``; where it is a path that cannot be followed, the ``InputError`` that says so."""
    if isinstance(error, OSError) and error.errno in _UNREACHABLE and error.filename:
        return InputError(
            f"{error.filename} cannot be reached ({error.strerror})",
            action="check the path and its permissions",
        )
    return error


def our_fault(error: Exception) -> str:
    """One line about an unforeseen error, whose traceback goes to a log file."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=f"{NAME}-", suffix=".log", delete=False
    ) as log:
        traceback.print_exception(error, file=log)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a fault of this program ({what:.200}); please report it with the log {log.name}"

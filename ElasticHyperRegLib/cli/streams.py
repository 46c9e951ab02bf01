"""Standard streams that are closed, or that nobody reads any more."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from ..io.outputs import FULL
from .faults import NAME

NAMES = ("stdout", "stderr")
UNREAD = (errno.EPIPE, errno.EIO, *((errno.EINVAL,) if sys.platform == "win32" else ()))


class _Unread:
    """``stream``, or nothing once its reader is gone: behind ``| head``, a closed terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno in FULL:
            line = f"{NAME}: no space left for what is printed; it is lost, files are not.\n"
            with suppress(OSError):  # where that is full as well
                os.write(2, line.encode())
        elif error.errno not in UNREAD:
            raise error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())
        os.close(nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def usable_streams() -> Iterator[None]:
    """Inside, standard output and error can be written to whatever became of them.

    What nobody reads is dropped and the work goes on, as its results are files.
    """
    before = {name: getattr(sys, name) for name in NAMES}
    # A file of ours must not take the number of a closed stream: libraries would write into it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    with ExitStack() as stack:
        for name, stream in before.items():
            if stream is None:
                stream = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # not every terminal can write λ and μ
            setattr(sys, name, _Unread(stream))
        try:
            yield
        finally:
            for name, stream in before.items():
                getattr(sys, name).flush()
                setattr(sys, name, stream)

"""Another program as a child: its lines as they come, and no trace of it when it is stopped."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from ..errors import Cancelled

POLL_SECONDS = 0.1
GRACE_SECONDS = 3.0
"""So long a stopped program may tidy up before it is killed."""
LAST_WORDS_SECONDS = 1.0
"""So long what a program said before its end is waited for."""
KEPT_LINES = 2000
_ENDS = re.compile(rb"[\r\n]+")
_PRIVATE = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
_SEARCHED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def run_program(
    command: Sequence[str],
    on_line: Callable[[str], None],
    cancelled: Callable[[], bool] | None = None,
) -> tuple[int, list[str]]:
    """Run ``command`` to its end, error output and output as one.

    What belongs to this process's Python, or to a 3D Slicer around it, is not passed on.

    Args:
        command: the executable and its arguments; no shell is involved.
        on_line: called with each line, and with each state of a progress bar.
        cancelled: asked often; once it is true, the program and all that it started are killed.

    Returns:
        Exit status (negative for a signal) and the last lines.

    Raises:
        Cancelled: ``cancelled`` was true.
        OSError: the executable cannot be started.
    """
    lines: list[str] = []
    with _started(command, clean_environment(os.environ)) as child:
        for line in _lines(child, cancelled):
            lines.append(line)
            del lines[:-KEPT_LINES]
            on_line(line)
        return child.wait(), lines


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """``given`` without what makes another Python load this one's packages or Slicer's."""
    kept = {name: value for name, value in given.items() if name not in _PRIVATE}
    slicer = kept.get("SLICER_HOME")
    if slicer:
        for name in _SEARCHED:
            parts = [p for p in kept.get(name, "").split(os.pathsep) if not p.startswith(slicer)]
            if name in kept:
                kept[name] = os.pathsep.join(parts)
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a process group of its own, which is gone when the block is left."""
    child = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )
    try:
        yield child
    finally:
        _kill_tree(child)
        if child.stdout:
            child.stdout.close()


def _lines(child: subprocess.Popen[bytes], cancelled: Callable[[], bool] | None) -> Iterator[str]:
    """Lines as they come; a thread reads, because a pipe cannot be waited for everywhere."""
    found: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(child.stdout, found), daemon=True)
    reader.start()
    while True:
        if cancelled is not None and cancelled():
            raise Cancelled(f"{child.args!r} was stopped")
        try:
            line = found.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if child.poll() is not None:
                reader.join(LAST_WORDS_SECONDS)  # a busy machine may let it read the end later
                if found.empty():
                    return  # what it started may keep the pipe open
            continue
        if line is None:
            return
        yield line


def _read(stream: IO[bytes], found: queue.Queue[str | None]) -> None:
    rest = b""
    with suppress(OSError, ValueError):  # closed while it was read
        while block := os.read(stream.fileno(), 1 << 16):
            *whole, rest = _ENDS.split(rest + block)
            for line in whole:
                found.put(line.decode("utf-8", "replace"))
    if rest:
        found.put(rest.decode("utf-8", "replace"))
    found.put(None)


def _kill_tree(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        if child.poll() is None:
            tree = ["taskkill", "/F", "/T", "/PID", str(child.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        child.wait()
        return
    if child.poll() is None:
        _signal_group(child, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
    _signal_group(child, signal.SIGKILL)  # workers may outlive the one that started them
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)

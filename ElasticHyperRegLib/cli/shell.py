"""Runs a command line; turns whatever ends it into an exit code and one line."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from ..errors import Cancelled, InputError
from . import (
    batch,
    benchmark,
    demo,
    estimate,
    evaluate,
    models,
    register,
    segment,
    serve,
    train,
    warp,
)
from .app import app
from .faults import DONE, INPUT_FAULT, NAME, OUR_FAULT, STOPPED, our_fault, reachable
from .streams import usable_streams

__all__ = [
    "batch",
    "benchmark",
    "demo",
    "estimate",
    "evaluate",
    "models",
    "register",
    "run",
    "segment",
    "serve",
    "train",
    "warp",
]

# Typer brings its own click since 0.26 and used the real one before: both have this ancestry.
_UsageFault = typer.BadParameter.__mro__[2]


ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def run(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name; returns the exit code."""
    with usable_streams():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with _terminated_as_interrupt():
            code = command.main(args=list(arguments), prog_name=NAME, standalone_mode=False)
    except (KeyboardInterrupt, Cancelled, typer.Abort):
        code = STOPPED
    except Exception as caught:
        error = reachable(caught)
        if isinstance(error, InputError):
            return _say(str(error), INPUT_FAULT)
        if isinstance(error, _UsageFault):
            return _say(_usage(error, arguments), INPUT_FAULT)
        return _say(our_fault(error), OUR_FAULT)
    if code == STOPPED:
        return _say("stopped; what was unfinished is removed.", STOPPED)
    return code if isinstance(code, int) else DONE


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"{NAME}: {' '.join(line.split())}\n")
    return code


def _usage(error: Any, arguments: Sequence[str]) -> str:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    command = next((f"{a} " for a in arguments if a in known), "")
    return f"{error.format_message().rstrip('.')}; see {NAME} {command}--help."


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, so that what is partial is removed.

    So does SIGHUP, of a terminal or connection that is closed, unless it is ignored (nohup).
    """

    def interrupt(number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not None and handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # of a host that is not Python
                signal.signal(number, handler)

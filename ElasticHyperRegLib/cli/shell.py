"""Runs a command line; turns whatever ends it into an exit code and one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import typer

from ..errors import Cancelled, InputError, Paused
from ..io.outputs import terminated_as_interrupt
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


def run(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name; returns the exit code."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which tells of its cache folder
    with usable_streams():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        _refuse_nothing(arguments)
        with terminated_as_interrupt():
            code = command.main(args=list(arguments), prog_name=NAME, standalone_mode=False)
    except Paused as paused:
        return _say(f"{paused}.", STOPPED)
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


def _refuse_nothing(arguments: Sequence[str]) -> None:
    """As an unset variable of the shell gives it; as a path it would be the current folder."""
    for before, given in zip(("", *arguments), arguments, strict=False):
        option, equals, value = given.partition("=")
        if not given or (option.startswith("--") and equals and not value):
            where = option or (before if before.startswith("-") else "")
            raise InputError(
                f"nothing for {where or 'an argument'}", "a value", "check the variable it is from"
            )


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"{NAME}: {' '.join(line.split())}\n")
    return code


def _usage(error: Any, arguments: Sequence[str]) -> str:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    command = next((f"{a} " for a in arguments if a in known), "")
    return f"{error.format_message().rstrip('.')}; see {NAME} {command}--help."

"""The two ways a run can end badly, and how it can be stopped."""

from __future__ import annotations


class ElasticHyperRegError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(ElasticHyperRegError, ValueError):
    """The input is at fault.

    The message is one line that says what was given, what was expected and what to do.
    The command line turns it into exit code 2.
    """

    def __init__(self, given: str, expected: str = "", action: str = "") -> None:
        parts = [given.strip().rstrip(".")]
        if expected:
            parts.append(f"expected {expected.strip().rstrip('.')}")
        if action:
            parts.append(action.strip().rstrip("."))
        super().__init__("; ".join(" ".join(part.split()) for part in parts) + ".")


class Cancelled(ElasticHyperRegError):
    """The user stopped the run; nothing of it is kept."""


class Paused(Cancelled):
    """The user stopped the run; it can go on later, and the message says how."""

"""Progress, cancellation and the clock of one registration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from ..errors import Cancelled
from .request import Progress

STEPS = {
    "prepare": (0.0, 0.05),
    "initial": (0.05, 0.2),
    "network": (0.2, 0.3),
    "refine": (0.3, 0.85),
    "measure": (0.85, 1),
}
"""Which part of a run each step takes, roughly, for the progress."""


def silent(step: str, fraction: float) -> None:
    """Tell nobody."""


def never() -> bool:
    """Nobody stops the run."""
    return False


@dataclass
class Run:
    """Steps of a registration as they are announced, timed and stopped.

    Attributes:
        progress: called with the name of the step and the fraction done of all, 0 to 1.
        cancelled: asked before each step and within the long ones; true stops the run.
        seconds: that each step has taken.
    """

    progress: Progress = silent
    cancelled: Callable[[], bool] = never
    seconds: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Stop where that is wanted.

        Raises:
            Cancelled: ``cancelled`` said so.
        """
        if self.cancelled():
            raise Cancelled("the registration was cancelled")

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[float], None]]:
        """Announce and time a step; what it is given tells how much of the step is done.

        Raises:
            Cancelled: ``cancelled`` said so.
        """
        self.check()
        first, last = STEPS[name]
        self.progress(name, first)
        start = perf_counter()
        yield lambda fraction: self.progress(name, min(last, first + fraction * (last - first)))
        self.seconds[name] = perf_counter() - start
        self.progress(name, last)

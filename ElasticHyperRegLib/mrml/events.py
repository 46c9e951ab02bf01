"""What ``LiveController.poll`` tells its shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .quality import Quality


@dataclass(frozen=True)
class Status:
    """One line for the status bar; ``warning`` where the user should look at it."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Progressed:
    """How far a long job is: ``what`` (prepare, estimate, sensitivity, register) and 0 to 1."""

    what: str
    fraction: float


@dataclass(frozen=True)
class Ready:
    """The pair is prepared: sliders work now.

    Attributes:
        model: what answers the sliders.
        device: where it runs.
        tissues: names of the tissues that can be set.
        notes: what fell back to something else, and why.
        objectives: of an estimate that the pair's evidence allows, the best first.
    """

    model: str
    device: str
    tissues: tuple[str, ...]
    notes: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()

    def objective(self, wanted: str) -> str:
        """``wanted``, a name or weights in words, where the evidence allows it; else the best."""
        from ..estimation.options import parse_objective  # loads torch

        try:
            named = set(parse_objective(wanted))
        except InputError:
            named = {wanted}
        return wanted if named <= set(self.objectives) else self.objectives[0]


@dataclass(frozen=True)
class Updated:
    """A result is shown.

    Attributes:
        number: of the submitted setting.
        stage: ``preview``, ``network``, ``refined`` or ``kept`` (a kept setting shown again).
        final: nothing better follows for this number.
        seconds: from the setting to the answer.
        metrics: of the answer, keys as in ``metrics.json``.
    """

    number: int
    stage: str
    final: bool
    seconds: float
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The quality table of the shown result is ready."""

    quality: Quality


@dataclass(frozen=True)
class Surfaced:
    """An estimate under way has one more response surface, or a finer one than before.

    Attributes:
        surface: the library's ``Surface``.
    """

    surface: Any


@dataclass(frozen=True)
class Estimated:
    """The parameters of this pair were found; they are set (one step of undo) and shown.

    Attributes:
        estimate: the library's ``Estimate``, with the surface for the heat map.
    """

    estimate: Any


@dataclass(frozen=True)
class Sensed:
    """The sensitivity of the shown setting is known; ``set_sensitivity`` shows it."""

    sensitivity: Any


@dataclass(frozen=True)
class Unsensed:
    """The sensitivity that was told belongs to another setting; it is shown no more."""


@dataclass(frozen=True)
class Exported:
    """The files of ``register`` stand in ``folder``; ``metrics`` is its ``metrics.json``."""

    folder: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Written:
    """The full result stands in the scene; ``nodes`` maps what it is to the node's ID."""

    nodes: dict[str, str]


@dataclass(frozen=True)
class Failed:
    """A job failed or was cancelled; the rest goes on.

    Attributes:
        what: the job.
        message: one line for the user.
        cancelled: the user wished it.
    """

    what: str
    message: str
    cancelled: bool = False


@dataclass(frozen=True)
class Closed:
    """The live pair has ended and why, in one line; make a new controller to go on."""

    reason: str


Event = (
    Status
    | Progressed
    | Ready
    | Updated
    | Measured
    | Surfaced
    | Estimated
    | Sensed
    | Unsensed
    | Exported
    | Written
    | Failed
    | Closed
)


def _words(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


_TEXTS: dict[type, Callable[[Any], str]] = {
    Status: lambda event: event.text,
    Failed: lambda event: event.message,
    Closed: lambda event: event.reason,
    Ready: lambda event: f"ready: {event.model} on {event.device}",
    Progressed: lambda event: f"{event.what}: {event.fraction:.0%}",
    Updated: lambda event: (
        f"{'final' if event.final else 'shown'} after {_words(event.seconds)} ({event.stage})"
        + ("" if event.final else ", refining …")
    ),
    Estimated: lambda event: "the parameters of this pair were found and set",
    Sensed: lambda event: "the sensitivity map is ready",
    Exported: lambda event: f"written to {event.folder}",
    Written: lambda event: f"{len(event.nodes)} nodes hold the full result",
}


def status_of(event: Event) -> str:
    """What the status bar says after ``event``; empty where it goes on saying what it said."""
    text = _TEXTS.get(type(event))
    return "" if text is None else text(event)

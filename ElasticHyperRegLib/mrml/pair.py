"""One live pair at work: nodes, session, display, background jobs."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from ..engine import Progress, RegistrationResult
from ..engine.threads import give_back_threads
from ..errors import InputError
from ..estimation.options import possible_objectives
from ..types import Elasticity
from .display import RegistrationDisplay
from .events import (
    Closed,
    Estimated,
    Event,
    Exported,
    Measured,
    Ready,
    Sensed,
    Status,
    Surfaced,
    Unsensed,
    Updated,
    Written,
    status_of,
)
from .followers import let_go
from .inputs import FIXED_SIDE, ONE_FOR_ALL, read_inputs
from .jobs import Jobs, failure
from .live import LiveAnswers, open_session, rest_map
from .nodes import Node, Scene, name_of
from .options import ControllerOptions
from .outputs import OutputNodes, export_result, sources_of
from .pair_state import PairState
from .quality import Measure, Quality
from .settings import EVERYWHERE, TissueSettings
from .spreads import OFF
from .watch import Watch

FLICKER_SECONDS = 0.5
REST_SECONDS = 0.7
"""After the last answer, before it is measured: the next move must not wait for that."""


class LivePair:
    """What ``LiveController`` does with the session and the scene; see there.

    Args:
        scene: vtkMRMLScene.
        nodes: role (as in ``PairState.nodes``) → node; ``fixed`` and ``moving`` are required.
        options: see ``ControllerOptions``.

    Raises:
        InputError: a node is missing, has no image, or stands under an unsuitable transform.
    """

    def __init__(self, scene: Scene, nodes: dict[str, Node], options: ControllerOptions) -> None:
        self.scene, self.options, self._nodes = scene, options, nodes
        self._inputs = read_inputs(nodes, options)
        self._watch = Watch(scene, nodes)
        self._settings = TissueSettings(self._inputs.starts)
        self._jobs = Jobs()
        self._session: Any = None
        self._answers: LiveAnswers | None = None
        self._submitted: dict[str, Elasticity] | None = None
        self._measure: Measure | None = None
        self._full: tuple[dict[str, Elasticity], RegistrationResult] | None = None
        self._saved = PairState()
        self._events: list[Event] = []
        self._notes_told: tuple[str, ...] = ()
        self._surfaces: SimpleQueue[Event] = SimpleQueue()
        self._sensed_for: dict[str, Elasticity] | None = None
        self._measure_again, self._measure_due, self._flicked_at = False, inf, 0.0
        self.display: RegistrationDisplay | None = None
        self.quality: Quality | None = None
        self.estimate_found: Any = None
        self.shown: Any = None
        self.status, self.closed, self.flickers = "the pair is not prepared yet", False, True

    @property
    def busy(self) -> frozenset[str]:
        """Some of prepare, update, estimate, sensitivity, register, measure."""
        waiting = self._answers is not None and self._answers.waiting
        due = {"update"} if waiting else {"measure"} if self._measure_due < inf else set()
        return self._jobs.busy | due

    def start(self) -> None:
        """Prepare the session in the background; ``Ready`` tells the end.

        Raises:
            InputError: that was done already, or the pair is closed.
        """
        if self.closed or self._answers is not None:
            state = "closed" if self.closed else "prepared already"
            raise InputError(f"a pair that is {state}", action="make a new one from its volumes")

        def prepare(progress: Progress, cancelled: Callable[[], bool]) -> Any:
            progress("prepare", 0.0)
            return open_session(self._inputs, self.options)

        self._jobs.run("prepare", prepare, self._ready, drop=lambda session: session.close())
        self._say(Status("preparing the pair …"))

    def poll(self) -> list[Event]:
        """Bring what is ready into the scene; what happened since the last call, in order."""
        if not self.closed and not self._watch.away:
            lost = self._lost()
            if lost:
                self.close(lost)
            else:
                self._look()
        give_back_threads()  # to the session: what was shown has been computed here
        events, self._events = self._events, []
        for event in events:
            self.status = status_of(event) or self.status
        return events

    @property
    def awaits(self) -> bool:
        """Whether a setting was asked for that has no answer of any kind yet."""
        return self._answers is not None and self._answers.unanswered

    def estimate(self, objective: str = "dice", method: str = "grid") -> None:
        """Find the parameters of this pair.

        ``Progressed`` and ``Surfaced``, then ``Estimated`` or ``Failed``.

        Raises:
            InputError: the pair is not prepared, or an estimate runs already.
        """
        session, start = self._require_session(), self._values()
        self._jobs.run(
            "estimate",
            lambda progress, cancelled: session.estimate(
                objective,
                method,
                progress,
                cancelled,
                start,
                lambda surface: self._surfaces.put(Surfaced(surface)),
            ),
            self._estimated,
        )

    def sensitivity(self) -> None:
        """How far the result depends on the settings; ``Sensed`` tells it is there.

        After an estimate: over the settings that are as good; else over the table's neighbours,
        whether it was asked for last or is a kept setting. Of another setting than the one shown
        nothing is shown: ``Unsensed`` tells that it is away.

        Raises:
            InputError: the pair is not prepared, or this runs already.
        """
        session, compared = self._require_session(), self._plausible() or self._values()
        values = self._settings.elasticity
        self._jobs.run(
            "sensitivity",
            lambda progress, cancelled: session.sensitivity(compared, progress, cancelled),
            lambda found: self._sensed(found, values),
        )

    def measure(self) -> None:
        """Fill the quality table for what is shown; ``Measured`` tells it is there.

        Raises:
            InputError: nothing is shown yet.
        """
        measure, shown = self._measure, self.shown
        if measure is None or shown is None:
            raise InputError("nothing is shown yet", action="wait for the first result")
        self._measure_again = "measure" in self._jobs.busy
        if not self._measure_again:
            self._jobs.run("measure", lambda *_: measure(shown), self._measured)

    def export(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the files of ``register`` into ``folder``; ``Exported`` tells the end.

        Raises:
            InputError: the pair is not prepared, or a full result is being made already.
        """
        place = Path(folder)
        sources = sources_of(self._nodes)
        self._register(
            lambda result: export_result(result, place, overwrite, sources),
            lambda metrics: [Exported(place, metrics)],
        )

    def write_outputs(self) -> None:
        """Put the full result into the scene as nodes; ``Written`` tells the end.

        Raises:
            InputError: the pair is not prepared, or a full result is being made already.
        """
        self._register(lambda result: result, self._written)

    def cancel(self, *kinds: str) -> None:
        """Stop estimate, sensitivity, register, or some; ``Failed(cancelled=True)`` confirms it."""
        self._jobs.cancel(*(kinds or ("estimate", "sensitivity", "register")))

    def close(self, reason: str = "the pair was closed") -> None:
        """End the pair; the shown nodes stay, the moving volume goes back where it stood."""
        if self.closed:
            return
        self.closed = True
        self._jobs.abandon()
        if self.display is not None:
            self.display.close()
        if self._session is not None:
            self._jobs.end_with(self._session.close)
        self._say(Closed(reason))

    # -- below: what happens on the way, all on the thread that owns the scene ------------------

    def _lost(self) -> str:
        """Why the pair cannot go on; empty where it can."""
        lost = self._watch.missing()
        if not lost and self.display is not None and not self.display.anchored:
            lost = "the live transform was deleted"
        return lost

    def _look(self) -> None:
        strayed = [] if self.display is None else self.display.strayed()
        told = dict.fromkeys(self._watch.changed(), "was changed")
        told |= {name_of(node): "was taken out of the live transform" for node in strayed}
        for name, what in told.items():
            self._say(Status(f"{name} {what}; start again to use it as it is now", True))
        if self.display is not None and self.display.mend():
            self._say(Status("a deleted overlay was made anew", True))
            if self._sensed_for is not None:
                self._unsense()
        while not self._surfaces.empty():
            self._say(self._surfaces.get())
        self._say(*self._jobs.poll())
        self._say(*self._new_notes())
        self._fetch()
        now = perf_counter()
        if now > self._measure_due:
            self._measure_due = inf
            self.measure()
        display = self.display if self.flickers else None
        if display is not None and now - self._flicked_at > FLICKER_SECONDS:
            self._flicked_at = now
            display.flick()

    def _new_notes(self) -> list[Event]:
        """What fell back since the last look, and why."""
        notes = () if self._session is None else tuple(self._session.notes)
        before, self._notes_told = self._notes_told, notes
        return [Status(note, True) for note in notes if note not in before]

    def _fetch(self) -> None:
        if self._answers is None:
            return
        answer, error = self._answers.fetch()
        if error is not None:
            self._submitted = None  # it is not answered: to be asked again
            self._say(failure("update", error))
        if answer is not None:
            self._say(self._show(answer, answer.stage))

    def _show(self, answer: Any, stage: str) -> Updated:
        display = self._require_display()
        display.update(answer.displacement, answer.jacobian)
        if self._sensed_for not in (None, self._settings.elasticity):
            self._unsense()
        self.shown = answer
        at_rest = answer.final and self.options.measure_at_rest
        self._measure_due = perf_counter() + REST_SECONDS if at_rest else inf
        return Updated(answer.number, stage, answer.final, answer.seconds, dict(answer.metrics))

    def _values(self) -> dict[str, Elasticity]:
        """The settings as the session takes them: only tissues that it knows."""
        known = (*self._require_session().tissues, EVERYWHERE)
        return {name: e for name, e in self._settings.elasticity.items() if name in known}

    def _submit(self) -> bool:
        """Ask for the present settings, once there is a session."""
        if self._answers is not None and not self.closed:
            self._measure_due, self._submitted = inf, self._values()
            self._answers.submit(self._submitted)
        return True

    def _ready(self, session: Any) -> list[Event]:
        self._session = session
        if not session.tissues and EVERYWHERE not in self._settings.elasticity:
            self._settings = TissueSettings((ONE_FOR_ALL,))  # whatever tissues are known
            self._restore_settings()
        pair = self._nodes["fixed"], self._nodes["moving"]
        transform = self._saved.nodes.get("transform")
        frames = session.grid, transform, session.initial
        for role in FIXED_SIDE & set(self._nodes):
            let_go(self.scene, self._nodes[role])
        self.display = RegistrationDisplay(self.scene, *pair, *frames)
        if "moving_labels" in self._nodes:
            self.display.follow(self._nodes["moving_labels"])
        self.display.update(*rest_map(session.grid, session.initial))
        self.display.restore(self._saved.display)
        self._measure = Measure(self._inputs, session)
        self._answers = LiveAnswers(session)
        self._submit()
        ready = Ready(
            session.model_name,
            session.device,
            tuple(session.tissues),
            (*session.notes, *self._inputs.notes),
            possible_objectives(
                {"labels", "moving_labels"} <= set(self._nodes),
                {"fixed_points", "moving_points"} <= set(self._nodes),
            ),
        )
        return [ready]

    def _restore_settings(self) -> None:
        """What was saved of the rows that there are."""
        known = self._settings.elasticity
        saved = {n: Elasticity(*pair) for n, pair in self._saved.elasticity.items() if n in known}
        self._settings.restore(saved, self._saved.locked)

    def _estimated(self, found: Any) -> list[Event]:
        self.estimate_found = found
        self._settings.replace(self._wanted_by(found))
        self._submit()
        return [Estimated(found)]  # whose warnings hold until the next one, not for good

    def _wanted_by(self, found: Any) -> dict[str, Elasticity]:
        """The rows of the table as an estimate wants them."""
        default = found.elasticity.get(EVERYWHERE)
        wanted = {n: found.elasticity.get(n, default) for n in self._settings.elasticity}
        return {name: e for name, e in wanted.items() if e is not None}

    def _plausible(self) -> list[Any] | None:
        """Settings as good as the ones set, as far as an estimate can tell; ``None``: unknown."""
        found = self.estimate_found
        if found is None or self._wanted_by(found) != self._settings.elasticity:
            return None
        settings = found.plausible()
        return settings if len(settings) > 1 else None

    def _sensed(self, found: Any, values: dict[str, Elasticity]) -> list[Event]:
        if values != self._settings.elasticity:
            raise InputError("the sliders moved meanwhile", action="compute the sensitivity again")
        display = self._require_display()
        # The volume change, switched on meanwhile, stays where it is.
        display.set_sensitivity(found, OFF if display.state.jacobian else "displacement")
        self._sensed_for = values
        return [Sensed(found)]

    def _unsense(self) -> None:
        self._require_display().set_sensitivity(None, OFF)
        self._sensed_for = None
        self._say(Unsensed())

    def _measured(self, quality: Quality) -> list[Event]:
        self.quality = quality
        if self._measure_again:
            self.measure()
        return [Measured(quality)]

    def _written(self, result: RegistrationResult) -> list[Event]:
        colors = {row.name: row.color for row in self._settings.rows}
        anchor = self._require_display().transform_node
        kept = self._nodes.values()  # what was put in again, such as warped labels mended by hand
        nodes = OutputNodes(self.scene, anchor, kept).write(result, colors)
        return [Written({name: str(node.GetID()) for name, node in nodes.items()})]

    def _register(self, use: Callable[[Any], Any], then: Callable[[Any], list[Event]]) -> None:
        """The full result of the present settings; ``use`` in the background, ``then`` here."""
        session, values = self._require_session(), self._values()

        def work(progress: Progress, cancelled: Callable[[], bool]) -> Any:
            if self._full is None or self._full[0] != values:
                self._full = values, session.register(values, progress, cancelled)
            return use(self._full[1])

        self._jobs.run("register", work, then)

    def _require_session(self) -> Any:
        if self._session is None or self.closed:
            raise InputError(
                "a pair that is closed" if self.closed else "a pair that is not prepared yet",
                action="start it and wait until it is ready",
            )
        return self._session

    def _require_display(self) -> RegistrationDisplay:
        self._require_session()
        if self.display is None:
            raise InputError("a pair that is not shown yet", action="wait until it is ready")
        return self.display

    def _say(self, *events: Event) -> None:
        self._events += events

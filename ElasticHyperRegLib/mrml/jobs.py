"""Work in the background whose results come back to the thread that owns the scene."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from ..engine import Progress
from ..engine.memory import give_back
from ..errors import Cancelled, InputError
from .events import Event, Failed, Progressed

Work = Callable[[Progress, Callable[[], bool]], Any]
"""Runs in the background; given what to tell progress to, and whether to stop."""
Then = Callable[[Any], Iterable[Event]]
"""Takes the result on the thread that owns the scene."""

EXIT_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job:
    what: str
    then: Then
    drop: Callable[[Any], object] | None
    stop: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Background jobs, each kind at most once at a time.

    ``poll`` gives at most the last progress of each kind, so that nothing piles up.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Job] = {}
        self._done: SimpleQueue[tuple[_Job, Any, Exception | None]] = SimpleQueue()
        self._fractions: dict[str, float] = {}
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, threading.Event] = {}
        weakref.finalize(self, _end, self._threads)

    @property
    def busy(self) -> frozenset[str]:
        """Kinds that run."""
        return frozenset(self._running)

    def run(
        self, what: str, work: Work, then: Then, drop: Callable[[Any], object] | None = None
    ) -> None:
        """Start a job.

        Args:
            what: its kind.
            work: runs in the background.
            then: takes its result.
            drop: ends a result that is no longer wanted; without it a result that comes in spite
                of ``cancel`` is taken.

        Raises:
            InputError: one of that kind runs already.
        """
        if what in self._running:
            raise InputError(f"'{what}' twice", "one at a time", "wait for it or cancel it")
        job = self._running[what] = _Job(what, then, drop)
        thread = threading.Thread(
            target=self._work, args=(job, work), name=f"ElasticHyperReg {what}", daemon=True
        )
        self._threads[thread] = job.stop
        thread.start()

    def cancel(self, *kinds: str) -> None:
        """Ask jobs to stop; without kinds all of them. ``poll`` tells when they have."""
        for what in kinds or tuple(self._running):
            if what in self._running:
                self._running[what].stop.set()

    def abandon(self) -> None:
        """Ask all to stop and forget them: nothing of them comes back."""
        with self._lock:
            self.cancel()
            left, self._done = self._done, SimpleQueue()
        self._running.clear()
        self._fractions.clear()
        while not left.empty():
            job, result, error = left.get_nowait()
            if job.drop is not None and error is None:
                job.drop(result)

    def end_with(self, close: Callable[[], None]) -> None:
        """Close what the jobs used, which may be at work still; Python waits for it."""

        def work() -> None:
            try:
                close()
            finally:
                self._threads.pop(threading.current_thread(), None)

        thread = threading.Thread(target=work, name="ElasticHyperReg close")
        self._threads[thread] = threading.Event()
        thread.start()

    @property
    def alive(self) -> bool:
        """Whether a thread of theirs still runs, those of abandoned jobs too."""
        return bool(self._threads)

    def poll(self) -> list[Event]:
        """What happened since the last call; results are taken here."""
        events: list[Event] = []
        for what in list(self._fractions):
            events.append(Progressed(what, self._fractions.pop(what)))
        while True:
            try:
                job, result, error = self._done.get_nowait()
            except Empty:
                return events
            if self._running.get(job.what) is not job:
                continue
            del self._running[job.what]
            events += self._taken(job, result) if error is None else [failure(job.what, error)]

    def _taken(self, job: _Job, result: Any) -> list[Event]:
        try:
            return list(job.then(result))
        except InputError as error:
            return [failure(job.what, error)]

    def _work(self, job: _Job, work: Work) -> None:
        try:
            self._do(job, work)
            give_back()
        finally:
            self._threads.pop(threading.current_thread(), None)

    def _do(self, job: _Job, work: Work) -> None:
        def progress(step: str, fraction: float) -> None:
            if self._running.get(job.what) is job:
                self._fractions[job.what] = fraction

        try:
            result = work(progress, job.stop.is_set)
        except Exception as error:  # the thread ends here: whatever it is, the user must be told
            self._done.put((job, None, error))
            return
        with self._lock:
            wanted = job.drop is None or not job.stop.is_set()
            self._done.put((job, result, None) if wanted else (job, None, Cancelled()))
        if job.drop is not None and not wanted:
            job.drop(result)


def _end(threads: dict[threading.Thread, threading.Event]) -> None:
    """When Python ends: a thread that is killed in the middle of torch takes the program along."""
    running = dict(threads)
    for stop in running.values():
        stop.set()
    for thread in running:
        thread.join(EXIT_SECONDS)


def failure(what: str, error: Exception) -> Failed:
    """What the user is told of an error; one of ours goes to the log in full."""
    if isinstance(error, Cancelled):
        return Failed(what, f"{what} was cancelled", cancelled=True)
    if isinstance(error, InputError):
        return Failed(what, str(error))
    _log.error("%s failed", what, exc_info=error)
    kind = type(error).__name__
    return Failed(what, f"{what} failed ({kind}: {error}); the log says more, please report it")
